use std::time::Duration;

use longhaul::JobError;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};

use crate::outbound::CallError;

/// The longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The bytes of an unwanted answer that are shown.
pub(crate) const SHOWN_BYTES: usize = 300;

/// The wait that an answer asks for: seconds, or the time from its own date to another, so that no clock but the receiver's counts.
/// `None` for no time at all: tries that are made at once would all be used up before anything could change.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let told = text(RETRY_AFTER)?;
    let seconds = match told.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(moment(told)?.checked_sub(moment(text(DATE)?)?)?).ok()?,
    };
    (seconds > 0).then_some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// An HTTP date in seconds since 1970.
fn moment(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp().as_second())
}

/// The URL that an answer redirects to, in its own words.
pub(crate) fn target(headers: &HeaderMap) -> &str {
    headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere")
}

/// A try that may succeed later: after the wait that was asked for, or the kind's own.
pub(crate) fn again(wait: Option<Duration>, message: String) -> JobError {
    match wait {
        Some(wait) => JobError::retry_after(wait, message),
        None => JobError::retry(message),
    }
}

/// The end of a try without an answer.
pub(crate) fn unanswered(error: CallError) -> JobError {
    match error {
        CallError::Refused(reason) => JobError::fatal(reason),
        CallError::Failed(reason) => JobError::retry(reason),
    }
}

/// The beginning of an answer's body, for people.
pub(crate) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// An answer's status and body in words.
pub(crate) fn in_words(status: u16, body: &[u8]) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    match shown(body) {
        shown if shown.is_empty() => format!("{status}{reason}"),
        shown => format!("{status}{reason}: {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let fields = [(RETRY_AFTER, Some(retry_after)), (DATE, date)];
        let told = fields.into_iter().filter_map(|(name, value)| Some((name, value?.parse().unwrap())));
        super::retry_after(&told.collect()).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date_and_none_is_no_wait() {
        assert_eq!((wait(" 30 ", None), wait("86400", None)), (Some(30), Some(3_600)));
        let date = Some("Thu, 01 Jan 2026 00:00:00 GMT");
        assert_eq!(wait("Thu, 01 Jan 2026 00:01:30 GMT", date), Some(90));
        for none in ["0", "-1", "soon", "Thu, 01 Jan 2026 00:00:00 GMT", "Wed, 31 Dec 2025 00:00:00 GMT"] {
            assert_eq!(wait(none, date), None, "{none}");
        }
        assert_eq!(wait("Thu, 01 Jan 2026 00:01:30 GMT", None), None, "from an unknown time on");
    }
}
