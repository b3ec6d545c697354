use jiff::civil::{Date, Time};
use longhaul::Timestamp;

/// A time of day in the form `HH:MM`.
pub(crate) fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_two_digits(hour) || !is_two_digits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

/// True once a session's end has passed everywhere on earth: its date and time have no time zone, and users must be
/// able to join a session that still runs. A time that cannot be read has not passed.
pub(crate) fn is_past(date: &str, end: &str, now: Timestamp) -> bool {
    /// The zone in which a day ends last is twelve hours behind.
    const LAST_ZONE_HOURS: i64 = 12;
    let day = date.get(..10).and_then(|day| day.parse::<Date>().ok());
    let last = time(end).unwrap_or(Time::constant(23, 59, 0, 0));
    let utc = day.and_then(|day| day.to_datetime(last).to_zoned(jiff::tz::TimeZone::UTC).ok());
    utc.is_some_and(|utc| {
        let end = utc.timestamp().as_millisecond().saturating_add(LAST_ZONE_HOURS * 3_600_000);
        end <= now.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_hours_and_minutes_in_two_digits_each() {
        for text in ["00:00", "09:05", "14:00", "23:59"] {
            assert!(time(text).is_some(), "{text}");
        }
        for text in ["", "9:05", "24:00", "23:60", "14:00:00", "2 pm", "14.00", "+1:00", "14:0", "１４:００"]
        {
            assert!(time(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_session_is_past_when_its_end_has_passed_everywhere() {
        // 2026-01-01T00:00:00Z
        let now = |hours: i64| Timestamp(1_767_225_600_000 + hours * 3_600_000);
        assert!(is_past("2024-01-15", "16:00", now(0)));
        assert!(!is_past("2026-01-01", "16:00", now(16 + 11)));
        assert!(is_past("2026-01-01", "16:00", now(16 + 12)));
        assert!(is_past("2025-12-30T10:00:00+02:00", "16:00", now(0)));
        assert!(!is_past("2025-12-31", "late", now(0)));
        assert!(!is_past("someday", "16:00", now(0)));
    }
}
