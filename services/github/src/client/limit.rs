use std::time::Duration;

use axum::http::HeaderMap;
use longhaul::Timestamp;
use service_support::{retry_after, sent_at};

/// The wait after a refusal without a time, by GitHub's documentation.
const UNTOLD: Duration = Duration::from_secs(60);
/// GitHub's clock shows whole seconds; asking in the second in which a limit ends may be too early.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// The rest of the primary limit, by a reply's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Calls in all, per hour.
    pub(crate) limit: u32,
    /// Calls that are left.
    pub(crate) remaining: u32,
    /// The time until all of them are there again.
    pub(crate) resets_in: Duration,
}

impl Quota {
    /// Reads `x-ratelimit-*`. The end is a time of GitHub's clock, so it is counted from the reply's own `Date`: whether
    /// our clock agrees with theirs does not matter.
    pub(crate) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
        let resets_at = Timestamp(number("x-ratelimit-reset")?.saturating_mul(1_000));
        let resets_in = resets_at.since(sent_at(headers).unwrap_or(now));
        let count = |name: &str| number(name).and_then(|count| u32::try_from(count).ok());
        Some(Self {
            limit: count("x-ratelimit-limit").unwrap_or_default(),
            remaining: count("x-ratelimit-remaining")?,
            resets_in,
        })
    }
}

/// The wait that a refusal asks for, in the order in which GitHub's documentation says to look; `None` if it is no
/// limit.
pub(crate) fn wait(status: u16, headers: &HeaderMap, message: &str, now: Timestamp) -> Option<Duration> {
    if status != 403 && status != 429 {
        return None;
    }
    if let Some(wait) = retry_after(headers, now) {
        return Some(wait.max(Duration::from_secs(1)));
    }
    if let Some(quota) = Quota::read(headers, now)
        && quota.remaining == 0
    {
        return Some(quota.resets_in + ALLOWANCE);
    }
    let message = message.to_ascii_lowercase();
    let is_secondary = ["secondary rate limit", "abuse detection", "rate limit exceeded"]
        .iter()
        .any(|words| message.contains(words));
    (status == 429 || is_secondary).then_some(UNTOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn seconds(status: u16, fields: &[(&'static str, &'static str)], message: &str) -> Option<u64> {
        wait(status, &headers(fields), message, NOW).map(|wait| wait.as_secs())
    }

    #[test]
    fn what_is_told_first_counts() {
        let spent = ("x-ratelimit-remaining", "0");
        let reset = ("x-ratelimit-reset", "1767225900");
        assert_eq!(seconds(429, &[("retry-after", "30"), spent, reset], ""), Some(30));
        assert_eq!(seconds(403, &[("retry-after", "Thu, 01 Jan 2026 00:00:45 GMT"), spent], ""), Some(45));
        assert_eq!(seconds(429, &[("retry-after", "1m30s")], ""), Some(90));
        assert_eq!(seconds(403, &[("retry-after", "1767225645"), spent], ""), Some(45));
        assert_eq!(seconds(429, &[("retry-after-ms", "2500")], ""), Some(2));
        assert_eq!(seconds(429, &[("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")], ""), Some(1));
        assert_eq!(seconds(403, &[spent, reset], ""), Some(301));
        assert_eq!(seconds(403, &[("x-ratelimit-remaining", "12"), reset], "no"), None);
        assert_eq!(seconds(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(seconds(403, &[], "You have triggered an abuse detection mechanism"), Some(60));
        assert_eq!(seconds(429, &[], ""), Some(60));
        assert_eq!(seconds(403, &[], "Resource not accessible by integration"), None);
        assert_eq!(seconds(404, &[spent, reset], ""), None);
    }

    #[test]
    fn a_reset_is_counted_from_the_replys_own_date() {
        // Their clock is an hour ahead of ours.
        let fields = [
            ("date", "Thu, 01 Jan 2026 01:00:00 GMT"),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1767229260"),
        ];
        let quota = Quota::read(&headers(&fields), NOW).unwrap();
        assert_eq!(quota, Quota { limit: 5_000, remaining: 0, resets_in: Duration::from_secs(60) });
        assert_eq!(Quota::read(&headers(&fields[..2]), NOW), None);
    }
}
