use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The version of a lesson: 1.0, 1.1, … 1.9, 1.10. The second part is its number among those of its subject and topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "1.3", as = LessonVersionNumber)]
pub(crate) struct Version(pub(crate) u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for Version {
    type Err = ();

    /// Reads just what is written: `1.03` and `1.+3` are no versions, so that every lesson has one address.
    fn from_str(text: &str) -> Result<Self, ()> {
        let version = Self(text.strip_prefix("1.").and_then(|number| number.parse().ok()).ok_or(())?);
        if version.to_string() == text { Ok(version) } else { Err(()) }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_written() {
        for number in [0, 9, 10, 123] {
            assert_eq!(Version(number).to_string().parse(), Ok(Version(number)));
        }
        assert_eq!(Version(10).to_string(), "1.10");
        for text in ["", "1", "1.", "2.0", "1.03", "1.+3", "1.-1", "1.x", "v1.0", "1.4294967296"] {
            assert_eq!(text.parse::<Version>(), Err(()), "{text}");
        }
    }
}
