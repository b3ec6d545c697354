use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The durability of a write at the time of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The write is synced to disk before its answer. A power cut loses no answered write.
    #[default]
    Sync,
    /// A write is answered once the operating system has it, and is synced within this time. A crash of the process
    /// loses nothing; a power cut, or a crash of the operating system, loses at most the writes of such a span. If a
    /// sync takes longer, writes wait for it, so that the span does not become longer either.
    Within(Duration),
}

impl Durability {
    /// The shortest span, because a sync takes some time.
    pub const SHORTEST: Duration = Duration::from_millis(2);
    /// The longest span.
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
