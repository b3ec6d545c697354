use std::time::Duration;

use longhaul::JobError;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::outbound::CallError;

/// The longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// The bytes of an unwanted answer that are shown.
pub(crate) const SHOWN_BYTES: usize = 300;

/// The wait that an answer asks for, in seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
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
