use std::fmt;

use longhaul::Deadline;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use super::seconds::Seconds;
use crate::time::{LONGEST, Rfc3339, parse, seconds};

/// When a job must have ended: a number of seconds from when it is enqueued, or a time in RFC 3339.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeadlineBody(pub(crate) Deadline);

impl Serialize for DeadlineBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Deadline::In(time) => Seconds(time).serialize(serializer),
            Deadline::At(at) => Rfc3339(at).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for DeadlineBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl Visitor<'_> for Either {
    type Value = DeadlineBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds, or a time in RFC 3339: 2026-01-01T00:00:00Z")
    }

    fn visit_f64<E: Error>(self, given: f64) -> Result<DeadlineBody, E> {
        let time = seconds(given).ok_or_else(|| E::custom(format!("must be from 0 to {LONGEST} seconds")))?;
        // Rounded, because a fraction has no exact form in binary: what was milliseconds is to be so again.
        let micros = (time.as_secs_f64() * 1e6).round() as u64;
        Ok(DeadlineBody(Deadline::In(std::time::Duration::from_micros(micros))))
    }

    fn visit_u64<E: Error>(self, given: u64) -> Result<DeadlineBody, E> {
        self.visit_f64(given as f64)
    }

    fn visit_i64<E: Error>(self, given: i64) -> Result<DeadlineBody, E> {
        self.visit_f64(given as f64)
    }

    fn visit_str<E: Error>(self, given: &str) -> Result<DeadlineBody, E> {
        let at = parse(given).ok_or_else(|| E::custom("must be a time in RFC 3339: 2026-01-01T00:00:00Z"))?;
        Ok(DeadlineBody(Deadline::At(at)))
    }
}

impl PartialSchema for DeadlineBody {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .build();
        let both = OneOfBuilder::new()
            .item(Seconds::schema())
            .item(time)
            .description(Some("Seconds from when it is enqueued, or a time in RFC 3339."));
        RefOr::T(both.build().into())
    }
}

impl ToSchema for DeadlineBody {}
