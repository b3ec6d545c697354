use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::clock::{Timestamp, millis};
use crate::store::Result;

/// The times at which a schedule fires, in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// By a cron pattern, in a time zone of the IANA database.
    Cron {
        /// The pattern.
        cron: String,
        /// The zone.
        timezone: String,
    },
    /// Whenever the time since 1970-01-01T00:00:00Z is a multiple of this.
    Every(Duration),
}

/// The longest pattern: far more than one that lists every minute.
const MAX_CRON_BYTES: usize = 512;
/// The longest interval: some ten years.
const MAX_EVERY: Duration = Duration::from_secs(3653 * 86_400);
/// The first stretch in which the newest ticks are looked for, and what it grows by.
const FIRST_STRETCH: Duration = Duration::from_secs(64);
const GROWTH: u32 = 4;

impl Timing {
    /// Checks that it fires at all.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid), naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        match self.ticks()?.next(Timestamp(0)) {
            Some(_) => Ok(()),
            None => invalid("cron", "must name a day that comes: no date fits all of its fields"),
        }
    }

    /// The timing in words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self, self.ticks()) {
            (Timing::Cron { timezone, .. }, Ok(Ticks::Cron(cron, _))) => {
                let words = cron.describe();
                format!("{} ({timezone})", words.trim_end_matches('.'))
            }
            (Timing::Cron { cron, timezone }, _) => format!("{cron} ({timezone})"),
            (Timing::Every(every), _) => format!("Every {}", in_words(*every)),
        }
    }

    /// Reads the pattern and the zone.
    pub(super) fn ticks(&self) -> Result<Ticks> {
        match self {
            Timing::Cron { cron, timezone } => Ok(Ticks::Cron(Box::new(pattern(cron)?), zone(timezone)?)),
            Timing::Every(every) if every.subsec_nanos() != 0 || every.is_zero() || *every > MAX_EVERY => {
                let most = MAX_EVERY.as_secs();
                invalid("every", format!("must be a whole number of seconds from 1 to {most}"))
            }
            Timing::Every(every) => Ok(Ticks::Every(millis(*every))),
        }
    }
}

fn pattern(cron: &str) -> Result<Cron> {
    const FORM: &str = "must be 'minute hour day-of-month month day-of-week', as '30 3 * * MON-FRI', with a field for the second \
                        before them where it is to be exact, or @hourly, @daily, @weekly, @monthly or @yearly";
    if cron.len() > MAX_CRON_BYTES {
        return invalid("cron", format!("must be at most {MAX_CRON_BYTES} bytes"));
    }
    // The parser takes these, and then looks through thousands of years for a moment that no field without values has: `, * * * *`
    // took 38 s.
    if cron.split_whitespace().any(|field| field.split(',').all(str::is_empty)) {
        return invalid("cron", format!("{FORM} (a field has no value)"));
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser
        .parse(cron)
        .or_else(|error| invalid("cron", format!("{FORM} ({})", error.to_string().trim_end_matches('.'))))
}

fn zone(name: &str) -> Result<TimeZone> {
    // A name alone: `TimeZone::posix` rules and offsets change without the law that they stand for.
    TimeZone::get(name).or_else(|_| {
        let reason = format!(
            "must be a time zone of the IANA database, as Europe/Berlin or UTC, and '{name}' is none"
        );
        invalid("timezone", reason)
    })
}

/// A timing that was read.
pub(super) enum Ticks {
    Cron(Box<Cron>, TimeZone),
    /// Milliseconds, of whole seconds.
    Every(i64),
}

impl Ticks {
    /// The first tick after a moment; `None` where there is none in reach.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Ticks::Every(every) => {
                let next = after.0.div_euclid(*every).checked_add(1)?.checked_mul(*every)?;
                Some(Timestamp(next)).filter(|next| *next <= Timestamp::MAX)
            }
            Ticks::Cron(cron, zone) => {
                // Whole seconds: whatever comes after a part of one comes after its beginning.
                let second = jiff::Timestamp::from_second(after.0.div_euclid(1000)).ok()?;
                let next = cron.find_next_occurrence(&second.to_zoned(zone.clone()), false).ok()?;
                Some(Timestamp(next.timestamp().as_millisecond()))
            }
        }
    }

    /// The newest ticks in a stretch of time that begins after one moment and ends with the other, at most `limit` of them,
    /// in their order. What it costs depends on `limit` and not on the stretch.
    pub(super) fn newest(&self, after: Timestamp, until: Timestamp, limit: usize) -> Vec<Timestamp> {
        let mut stretch = FIRST_STRETCH;
        loop {
            let begin = after.max(until.minus(stretch));
            let ticks = std::iter::successors(self.next(begin), |tick| self.next(*tick));
            let mut ticks: Vec<Timestamp> = ticks.take_while(|tick| *tick <= until).collect();
            if begin == after || ticks.len() >= limit {
                ticks.drain(..ticks.len().saturating_sub(limit));
                return ticks;
            }
            stretch = stretch.saturating_mul(GROWTH);
        }
    }
}

/// A moment of whole seconds, as RFC 3339 in UTC.
pub(super) fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A time in its largest unit that it is a whole number of.
fn in_words(every: Duration) -> String {
    let seconds = every.as_secs();
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) =
        units.into_iter().find(|(size, _)| seconds.is_multiple_of(*size)).unwrap_or((1, "second"));
    match seconds / size {
        1 => unit.to_owned(),
        n => format!("{n} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;

    fn cron(cron: &str, timezone: &str) -> Timing {
        Timing::Cron { cron: cron.into(), timezone: timezone.into() }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn next(timing: &Timing, after: &str, limit: usize) -> Vec<String> {
        let ticks = timing.ticks().unwrap();
        std::iter::successors(ticks.next(at(after)), |tick| ticks.next(*tick)).take(limit).map(text).collect()
    }

    #[test]
    fn a_time_of_day_that_is_left_out_or_comes_twice_fires_once() {
        let berlin = cron("30 2 * * *", "Europe/Berlin");
        let spring = ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"];
        assert_eq!(next(&berlin, "2027-03-27T00:00:00Z", 3), spring);
        let autumn = ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"];
        assert_eq!(next(&berlin, "2027-10-30T00:00:00Z", 3), autumn);
    }

    #[test]
    fn a_field_without_a_value_is_refused_before_a_moment_is_looked_for() {
        for pattern in [", * * * *", "30 , * * MON-FRI", "0 0 ,, * *", "* * * * ,", ", * * * * *"] {
            let error = cron(pattern, "UTC").validate().expect_err(pattern).to_string();
            assert!(error.contains("a field has no value"), "{pattern}: {error}");
        }
        // An item too many was taken ever since, and is there in schedules.
        assert!(cron("1,,2 3 * * *", "UTC").validate().is_ok());
    }

    #[test]
    fn a_pattern_with_a_wildcard_follows_the_clock() {
        let berlin = cron("30 * * * *", "Europe/Berlin");
        let autumn = ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z", "2027-10-31T02:30:00Z"];
        assert_eq!(next(&berlin, "2027-10-31T00:00:00Z", 3), autumn);
        let spring = ["2027-03-28T00:30:00Z", "2027-03-28T01:30:00Z"];
        assert_eq!(next(&berlin, "2027-03-28T00:00:00Z", 2), spring);
    }

    #[test]
    fn an_interval_counts_from_the_epoch() {
        let quarters = Timing::Every(Duration::from_secs(900));
        assert_eq!(
            next(&quarters, "2027-01-01T00:00:00.001Z", 2),
            ["2027-01-01T00:15:00Z", "2027-01-01T00:30:00Z"]
        );
        assert_eq!(next(&quarters, "2026-12-31T23:59:59.999Z", 1), ["2027-01-01T00:00:00Z"]);
    }

    #[test]
    fn a_tick_after_a_part_of_a_second_is_not_left_out() {
        let minute = cron("* * * * *", "UTC");
        assert_eq!(next(&minute, "2027-01-01T00:00:59.500Z", 1), ["2027-01-01T00:01:00Z"]);
        assert_eq!(next(&minute, "2027-01-01T00:01:00Z", 1), ["2027-01-01T00:02:00Z"]);
        assert_eq!(next(&minute, "2027-01-01T00:01:00.001Z", 1), ["2027-01-01T00:02:00Z"]);
    }

    #[test]
    fn the_newest_ticks_are_the_last_of_all_however_long_the_time() {
        for timing in
            [cron("*/5 * * * * *", "UTC"), Timing::Every(Duration::from_secs(5)), cron("0 3 1 * *", "UTC")]
        {
            let ticks = timing.ticks().unwrap();
            let (after, until) = (at("2027-01-01T00:00:00Z"), at("2027-01-02T12:00:00Z"));
            let all: Vec<Timestamp> = std::iter::successors(ticks.next(after), |tick| ticks.next(*tick))
                .take_while(|tick| *tick <= until)
                .collect();
            for limit in [1, 100, 100_000] {
                let newest = &all[all.len().saturating_sub(limit)..];
                assert_eq!(ticks.newest(after, until, limit), newest);
            }
            assert_eq!(ticks.newest(until, after, 5), []);
        }
        let ticks = Timing::Every(Duration::from_secs(1)).ticks().unwrap();
        assert_eq!(ticks.newest(Timestamp(0), at("2027-01-01T00:00:00Z"), 2).len(), 2, "57 years of seconds");
    }

    #[test]
    fn a_timing_that_is_wrong_is_refused_with_what_is_right() {
        let cases = [
            (cron("0 3 * *", "UTC"), "cron: must be 'minute hour"),
            (cron("0 25 * * *", "UTC"), "cron: must be 'minute hour"),
            (cron("", "UTC"), "cron: must be 'minute hour"),
            (cron("0 0 0 1 1 * 2030", "UTC"), "cron: must be 'minute hour"),
            (cron("0 0 30 2 *", "UTC"), "cron: must name a day that comes"),
            (cron(&"1,".repeat(300), "UTC"), "cron: must be at most 512 bytes"),
            (cron("0 3 * * *", "Europe/Berln"), "timezone: must be a time zone of the IANA database"),
            (cron("0 3 * * *", "UTC+1"), "timezone: must be a time zone of the IANA database"),
            (Timing::Every(Duration::ZERO), "every: must be a whole number of seconds from 1"),
            (Timing::Every(Duration::from_millis(1500)), "every: must be a whole number of seconds from 1"),
            (Timing::Every(Duration::MAX), "every: must be a whole number of seconds from 1"),
        ];
        for (timing, reason) in cases {
            let error: Error = timing.validate().unwrap_err();
            assert!(error.to_string().starts_with(reason), "{timing:?}: {error}");
        }
    }

    #[test]
    fn a_timing_is_told_in_words() {
        assert_eq!(
            cron("30 3 * * MON-FRI", "Europe/Berlin").describe(),
            "At 03:30, on Monday, Tuesday, Wednesday, Thursday, and Friday (Europe/Berlin)"
        );
        assert_eq!(Timing::Every(Duration::from_secs(900)).describe(), "Every 15 minutes");
        assert_eq!(Timing::Every(Duration::from_secs(86_400)).describe(), "Every day");
    }
}
