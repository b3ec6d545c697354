//! The `Prefer` header (RFC 7240), of which `wait` is understood. What is not understood, or malformed, is
//! ignored, as the RFC asks.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The longest that an answer is held, in seconds.
pub(crate) const LONGEST_WAIT: u64 = 60;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The time for which the caller would have the answer held until the job has ended; none where it did not say.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let seconds = preferences.flat_map(|value| value.split(',')).find_map(|preference| {
        let preference = preference.split(';').next()?;
        let (name, value) = preference.split_once('=')?;
        // Only the first of several counts, so a malformed one ends the search.
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').parse::<u64>().ok())
    })??;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_WAIT)))
}

/// Writes the applied preference into the headers of the answer.
pub(crate) fn applied(wait: Option<Duration>, headers: &mut HeaderMap) {
    if let Some(wait) = wait
        && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert(PREFERENCE_APPLIED, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_of(values: &[&'static str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_static(value));
        }
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn wait_is_found_among_other_preferences() {
        assert_eq!(wait_of(&["respond-async, WAIT=10; x=1"]), Some(10));
        assert_eq!(wait_of(&["handling=lenient", "wait = \"5\""]), Some(5));
        assert_eq!(wait_of(&["wait=3, wait=9"]), Some(3));
    }

    #[test]
    fn wait_is_bounded_and_nonsense_is_ignored() {
        assert_eq!(wait_of(&["wait=3600"]), Some(60));
        assert_eq!(wait_of(&["wait=0"]), None);
        assert_eq!(wait_of(&["wait=-1"]), None);
        assert_eq!(wait_of(&["wait"]), None);
        assert_eq!(wait_of(&[]), None);
    }
}
