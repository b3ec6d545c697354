use std::time::Duration;

use longhaul::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that a refusal tells: in `retry-after-ms` or `Retry-After`, and where it is a limit, in the headers that tell
/// when the limit is reset, or in words.
pub(crate) fn told(
    status: StatusCode,
    headers: &HeaderMap,
    reason: &str,
    now: Timestamp,
) -> Option<Duration> {
    let header = |name: &str| field(headers, name);
    let told = retry_after(headers, now);
    let now = sent_at(headers).unwrap_or(now);
    if told.is_some() || status != StatusCode::TOO_MANY_REQUESTS {
        return told;
    }
    let resets = LIMITS.iter().filter_map(|(reset, remaining)| {
        // A limit that is not used up is not the one that was met.
        let is_met = header(remaining).is_none_or(|left| left.trim() == "0");
        header(reset).filter(|_| is_met).and_then(|text| parse(text, now))
    });
    resets.max().or_else(|| in_words(reason))
}

/// The wait that a reply tells in `retry-after-ms` or `Retry-After`, in every form that is seen. A moment is counted from the reply's own
/// `Date`, so that it does not matter whether our clock agrees with the sender's.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let milliseconds = field(headers, "retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok());
    let told = milliseconds.and_then(|ms| seconds(ms / 1_000.0));
    told.or_else(|| parse(field(headers, RETRY_AFTER.as_str())?, sent_at(headers).unwrap_or(now)))
}

/// The time at which a reply was sent, by its `Date`.
#[must_use]
pub fn sent_at(headers: &HeaderMap) -> Option<Timestamp> {
    moment(field(headers, DATE.as_str())?.trim())
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The headers that tell when a limit is reset, and those that tell what is left of it.
const LIMITS: [(&str, &str); 5] = [
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
    ("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
    ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
];

/// Reads a wait: seconds, a time since 1970 in seconds or milliseconds, an HTTP or ISO date, or a length as in `6m0s`. A
/// time that has passed means at once. `None` where it is none of these.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let at = |factor: f64| Some(Timestamp((number * factor) as i64).since(now));
        return match number {
            // No wait is of thirty years.
            1e12.. => at(1.0),
            1e9..1e12 => at(1_000.0),
            number => seconds(number),
        };
    }
    if let Some(length) = length(text) {
        return Some(length);
    }
    Some(moment(text)?.since(now))
}

/// An HTTP or ISO date.
fn moment(text: &str) -> Option<Timestamp> {
    // An HTTP date is RFC 2822's, with the zone always GMT.
    let at = jiff::fmt::rfc2822::parse(text).map(|at| at.timestamp()).ok();
    let at = at.or_else(|| text.parse::<jiff::Timestamp>().ok())?;
    Some(Timestamp(at.as_millisecond()))
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// A length of time as Go prints it: `1h2m`, `6m0s`, `1.5s`, `700ms`.
fn length(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        let factor = match &rest[end..unit_end] {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" | "ns" => 0.0,
            _ => return None,
        };
        sum = sum.checked_add(seconds(number * factor)?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(sum)
}

/// "Please try again in 6m0s."
fn in_words(reason: &str) -> Option<Duration> {
    let lower = reason.to_ascii_lowercase();
    let rest =
        ["try again in ", "retry in ", "retry after "].iter().find_map(|words| lower.split_once(words))?.1;
    let mut words = rest.split_whitespace();
    let first = words.next()?.trim_end_matches(['.', ',', ';', ')']);
    match (first.parse::<f64>(), words.next().unwrap_or_default()) {
        (Ok(number), unit) if unit.starts_with("minute") => seconds(number * 60.0),
        (Ok(number), unit) if unit.starts_with("hour") => seconds(number * 3_600.0),
        (Ok(number), unit) if unit.starts_with("ms") || unit.starts_with("milli") => {
            seconds(number / 1_000.0)
        }
        (Ok(number), _) => seconds(number),
        (Err(_), _) => length(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    #[test]
    fn a_wait_is_read_in_every_form() {
        let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
        assert_eq!(parse(" 120 ", NOW), seconds(120));
        assert_eq!(parse("1.5", NOW), Some(Duration::from_millis(1_500)));
        assert_eq!(parse("Thu, 01 Jan 2026 00:01:30 GMT", NOW), seconds(90));
        assert_eq!(parse("Wed, 31 Dec 2025 00:00:00 GMT", NOW), seconds(0));
        assert_eq!(parse("2026-01-01T00:00:10Z", NOW), seconds(10));
        assert_eq!((parse("1767225660", NOW), parse("1767225660000", NOW)), (seconds(60), seconds(60)));
        assert_eq!(
            (parse("6m0s", NOW), parse("1h2m3s", NOW), parse("1s", NOW)),
            (seconds(360), seconds(3_723), seconds(1))
        );
        assert_eq!((parse("700ms", NOW), parse("12us", NOW)), (Some(Duration::from_millis(700)), seconds(0)));
        for none in ["soon", "-5", "", "5 apples", "NaN", "m", "1x"] {
            assert_eq!(parse(none, NOW), None, "{none}");
        }
    }

    fn of(status: u16, headers: &[(&'static str, &'static str)], reason: &str) -> Option<u64> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        told(StatusCode::from_u16(status).unwrap(), &headers, reason, NOW).map(|wait| wait.as_millis() as u64)
    }

    #[test]
    fn the_most_exact_word_counts() {
        assert_eq!(of(429, &[("retry-after-ms", "700"), ("retry-after", "1")], ""), Some(700));
        assert_eq!(of(503, &[("retry-after", "2")], ""), Some(2_000));
        assert_eq!(of(429, &[("x-ratelimit-reset-tokens", "6m0s")], ""), Some(360_000));
        assert_eq!(of(500, &[("x-ratelimit-reset-tokens", "6m0s")], ""), None, "that is no limit");
        let both = [
            ("x-ratelimit-reset-tokens", "6m0s"),
            ("x-ratelimit-remaining-tokens", "900"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-requests", "0"),
        ];
        assert_eq!(of(429, &both, ""), Some(1_000));
        assert_eq!(of(429, &[], "Rate limit reached. Please try again in 1m2.5s. Visit us."), Some(62_500));
        assert_eq!(of(429, &[], "Try again in 20 minutes"), Some(1_200_000));
        assert_eq!(of(429, &[], "slow down"), None);
    }
    #[test]
    fn a_moment_is_counted_from_the_replys_own_date() {
        // Their clock is an hour ahead of ours.
        let date = ("date", "Thu, 01 Jan 2026 01:00:00 GMT");
        assert_eq!(of(429, &[date, ("retry-after", "Thu, 01 Jan 2026 01:00:45 GMT")], ""), Some(45_000));
        assert_eq!(of(429, &[date, ("x-ratelimit-reset", "1767229260")], ""), Some(60_000));
        assert_eq!(of(429, &[date, ("retry-after", "45")], ""), Some(45_000));
    }
}
