//! The rate limit of a token's requests, counted by each server for itself, and its report in the header fields
//! `RateLimit` and
//! `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use longhaul::Timestamp;
use longhaul::access::TokenRate;
use parking_lot::Mutex;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts the requests of a token in windows, of which one begins with the first request after the last.
#[derive(Debug)]
pub(crate) struct Quota {
    rate: TokenRate,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    begun: Option<Timestamp>,
    taken: u32,
}

/// A quota as it stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    rate: TokenRate,
    /// False for a request that there was no room for.
    pub(crate) is_admitted: bool,
    remaining: u32,
    /// The whole seconds until the window ends, at least one.
    pub(crate) resets_in: u64,
}

impl Quota {
    pub(crate) fn new(rate: TokenRate) -> Self {
        Self { rate, window: Mutex::default() }
    }

    /// Counts a request, unless there is no room for it.
    pub(crate) fn take(&self, now: Timestamp) -> Standing {
        let TokenRate { n, per } = self.rate;
        let mut window = self.window.lock();
        let begun = window.begun.filter(|begun| *begun <= now && now.since(*begun) < per);
        let begun = match begun {
            Some(begun) => begun,
            None => {
                *window = Window { begun: Some(now), taken: 0 };
                now
            }
        };
        let is_admitted = window.taken < n;
        if is_admitted {
            window.taken += 1;
        }
        let left = per.saturating_sub(now.since(begun));
        Standing { rate: self.rate, is_admitted, remaining: n - window.taken, resets_in: seconds(left) }
    }
}

impl Standing {
    /// Writes it into an answer's headers.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        let Self { rate: TokenRate { n, per }, remaining, resets_in, .. } = self;
        let limit = HeaderValue::try_from(format!("\"token\";r={remaining};t={resets_in}"));
        let policy = HeaderValue::try_from(format!("\"token\";q={n};w={}", seconds(per)));
        if let (Ok(limit), Ok(policy)) = (limit, policy) {
            headers.insert(RATE_LIMIT, limit);
            headers.insert(RATE_LIMIT_POLICY, policy);
        }
    }
}

/// Whole seconds, rounded up, so that no caller comes back too early.
fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_request_and_admits_as_many_as_the_rate_says() {
        let quota = Quota::new(TokenRate { n: 2, per: Duration::from_secs(10) });
        let at = |ms: i64| {
            let Standing { is_admitted, remaining, resets_in, .. } = quota.take(Timestamp(ms));
            (is_admitted, remaining, resets_in)
        };
        assert_eq!(at(5_000), (true, 1, 10));
        assert_eq!(at(6_500), (true, 0, 9));
        assert_eq!(at(14_999), (false, 0, 1));
        assert_eq!(at(15_000), (true, 1, 10));
        // A clock that was set back begins anew.
        assert_eq!(at(1_000), (true, 1, 10));
    }

    #[test]
    fn the_headers_have_the_form_of_the_draft() {
        let quota = Quota::new(TokenRate { n: 100, per: Duration::from_secs(60) });
        let mut headers = HeaderMap::new();
        quota.take(Timestamp(0)).write(&mut headers);
        assert_eq!(headers["ratelimit"], "\"token\";r=99;t=60");
        assert_eq!(headers["ratelimit-policy"], "\"token\";q=100;w=60");
    }
}
