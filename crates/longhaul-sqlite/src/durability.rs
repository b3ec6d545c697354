use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is durable when a write is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The write: it is synced to disk first. A power cut loses nothing that was answered.
    #[default]
    Sync,
    /// All but the writes of a span of this length: a write is answered once the operating system has it, and is synced within
    /// that time. A crash of the process loses nothing; a power cut, or a crash of the operating system, loses at most what was
    /// answered in such a span. Where a sync takes longer, no more is answered until it has ended, so that the span is not
    /// longer either.
    Within(Duration),
}

impl Durability {
    /// The shortest span: a disk needs some time for a sync.
    pub const SHORTEST: Duration = Duration::from_millis(2);
    /// The longest.
    pub const LONGEST: Duration = Duration::from_secs(60);
}

impl FromStr for Durability {
    type Err = String;

    /// Reads `sync`, or a number of milliseconds or seconds, `50ms` or `1s`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "sync" {
            return Ok(Self::Sync);
        }
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (text.strip_suffix('s').unwrap_or_default(), 1000),
        };
        let within =
            number.parse().ok().and_then(|number: u64| number.checked_mul(unit)).map(Duration::from_millis);
        match within {
            Some(within) if (Self::SHORTEST..=Self::LONGEST).contains(&within) => Ok(Self::Within(within)),
            _ => Err("use sync, or a time from 2ms to 60s: 50ms".to_owned()),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Within(within) => write!(f, "{}ms", within.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_is_a_word_or_a_time_with_its_unit() {
        let read = |text: &str| text.parse::<Durability>().map(|durability| durability.to_string());
        for (text, shown) in
            [("sync", "sync"), ("50ms", "50ms"), ("1s", "1000ms"), ("2ms", "2ms"), ("60s", "60000ms")]
        {
            assert_eq!(read(text), Ok(shown.to_owned()));
        }
        for text in
            ["", "50", "0ms", "1ms", "61s", "-5ms", "5 ms", "fast", "ms", "s", "99999999999999999999s"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
