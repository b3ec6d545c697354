//! Times and durations as the HTTP contract writes them: RFC 3339 with milliseconds, and seconds.

use std::time::Duration;

use jiff::fmt::temporal::Pieces;
use longhaul::Timestamp;
use longhaul::webhook::rfc3339;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, written in RFC 3339 with milliseconds, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = parse(&text).map(Self);
        moment.ok_or_else(|| serde::de::Error::custom("must be a time in RFC 3339: 2026-01-01T00:00:00Z"))
    }
}

/// Reads a moment in RFC 3339, with any offset; parts of a millisecond are cut off.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        // The last hours of the year 9999 are beyond the last moment that has a form in every zone.
        let pieces = Pieces::parse(text).ok()?;
        (pieces.date().year() == 9999 && pieces.to_numeric_offset().is_some()).then_some(jiff::Timestamp::MAX)
    })?;
    Some(Timestamp(moment.as_millisecond()))
}

/// The longest duration that a request may ask for: ten years, in seconds.
pub(crate) const LONGEST: f64 = 315_360_000.0;

/// A duration of zero to ten years, from seconds; nothing where it is outside of these bounds.
pub(crate) fn seconds(seconds: f64) -> Option<Duration> {
    (0.0..=LONGEST).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// A duration in seconds, to the microsecond.
///
/// `Duration::as_secs_f64` adds a whole and a fraction and rounds twice: it makes 1.945 s 1.9449999999999998.
pub(crate) fn in_seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_milliseconds_and_read_back() {
        let moment = Timestamp(1_767_225_600_070);
        let text = serde_json::to_string(&Rfc3339(moment)).unwrap();
        assert_eq!(text, "\"2026-01-01T00:00:00.070Z\"");
        assert_eq!(parse("2026-01-01T01:00:00.0709+01:00"), Some(moment));
        assert_eq!(parse("tomorrow"), None);
        assert_eq!(parse("9999-12-31T23:59:59Z"), Some(Timestamp(jiff::Timestamp::MAX.as_millisecond())));
        assert_eq!(parse("9999-12-31T23:59:59"), None);
        assert!(serde_json::to_string(&Rfc3339(Timestamp(i64::MAX))).unwrap().starts_with("\"9999-12-3"));
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(seconds(0.25), Some(Duration::from_millis(250)));
        assert_eq!(seconds(-0.1), None);
        assert_eq!(seconds(1e300), None);
    }

    #[test]
    fn every_millisecond_is_written_as_people_write_it() {
        for millis in 0..10_000 {
            let text = in_seconds(Duration::from_millis(millis)).to_string();
            let people = format!("{}.{:03}", millis / 1_000, millis % 1_000);
            assert_eq!(text, people.trim_end_matches('0').trim_end_matches('.'));
        }
    }
}
