use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in a trace, in the form of the W3C's header `traceparent`: `00-{trace id}-{span id}-{flags}`, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span in it that is the parent of what follows; not 0.
    pub span_id: u64,
    /// The flags: 1 where the trace is recorded.
    pub flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a W3C traceparent, as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
pub struct NoTraceParent;

impl TraceParent {
    /// True where the trace is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, span_id, flags } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// Reads what any version of the form begins with, as its recommendation asks for.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let number = |from: usize, length: usize| {
            let digits = text.get(from..from + length)?;
            let is_lower_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            is_lower_hex.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
        };
        let read = || {
            let has_dashes = [2, 35, 52].iter().all(|place| text.as_bytes().get(*place) == Some(&b'-'));
            let version = number(0, 2).filter(|version| has_dashes && *version != 0xff)?;
            // A later version may have more behind it.
            let has_end = text.len() == 55 || (version > 0 && text.as_bytes().get(55) == Some(&b'-'));
            let trace_id = number(3, 32).filter(|id| has_end && *id != 0)?;
            let span_id = number(36, 16).filter(|id| *id != 0)?;
            Some(Self { trace_id, span_id: span_id as u64, flags: number(53, 2)? as u8 })
        };
        read().ok_or(NoTraceParent)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceParent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let read: TraceParent = text.parse().unwrap();
        assert_eq!((read.span_id, read.is_sampled()), (0xb7ad_6b71_6920_3331, true));
        assert_eq!(read.to_string(), text);
        assert_eq!(
            serde_json::from_str::<TraceParent>(&serde_json::to_string(&read).unwrap()).unwrap(),
            read
        );
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-what-the-future-will-be-like";
        assert_eq!(later.parse(), Ok(TraceParent { flags: 3, ..read }));
    }

    #[test]
    fn what_breaks_the_form_is_refused() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c8031+c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(NoTraceParent), "{text}");
        }
    }
}
