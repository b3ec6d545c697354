use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::time::{LONGEST, in_seconds};

/// A duration in seconds, exact to the microsecond: 0 to ten years. What is longer is sent as ten years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(in_seconds(self.0).min(LONGEST))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.0..=LONGEST).contains(&seconds) {
            return Err(D::Error::custom(format!("must be from 0 to {LONGEST} seconds")));
        }
        // Rounded, because a fraction has no exact form in binary: what was milliseconds is to be so again.
        Ok(Self(Duration::from_micros((seconds * 1e6).round() as u64)))
    }
}

impl PartialSchema for Seconds {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Double)))
            .description(Some("In seconds."))
            .minimum(Some(0.0))
            .maximum(Some(LONGEST));
        RefOr::T(number.build().into())
    }
}

impl ToSchema for Seconds {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_come_back_as_they_were_sent() {
        for millis in [0, 1, 7, 50, 1_100, 86_399_999, 7_776_000_001, 315_359_999_999] {
            let sent = Seconds(Duration::from_millis(millis));
            let text = serde_json::to_string(&sent).unwrap();
            assert_eq!(serde_json::from_str::<Seconds>(&text).unwrap(), sent, "{text}");
        }
        assert_eq!(serde_json::to_string(&Seconds(Duration::MAX)).unwrap(), "315360000.0");
        for text in ["-1", "315360001", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        }
    }
}
