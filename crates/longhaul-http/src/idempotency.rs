//! The `Idempotency-Key` header: a repeated request answers with the first one's job.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use longhaul::NewJob;

use crate::problem::{Code, Problem};

/// The longest key, in characters.
const LONGEST_KEY: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that repeats an earlier one.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request, if it has one.
///
/// # Errors
/// 400 where it is not 1–255 printable characters.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // The draft standard writes the key as a quoted string; most clients do not. Both mean the same key.
    let key = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if !(1..=LONGEST_KEY).contains(&key.len()) || !key.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        let detail = format!("the idempotency-key must be 1 to {LONGEST_KEY} printable ASCII characters");
        return Err(Problem::new(Code::InvalidHeader, detail));
    }
    Ok(Some(key))
}

/// The meaning of a store's answer that a job is a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// An earlier request with the same idempotency key created it: nothing else could have.
    Replay,
    /// It may be a duplicate of another job with the same id or unique key.
    Ambiguous,
}

impl Duplicates {
    /// To be asked before the job is given an id that its caller does not know.
    pub(crate) fn of(job: &NewJob) -> Self {
        match job {
            NewJob { idempotency: Some(_), id: None, unique: None, .. } => Duplicates::Replay,
            _ => Duplicates::Ambiguous,
        }
    }
}

/// The header that marks a repeated answer.
pub(crate) fn mark_replayed(headers: &mut HeaderMap) {
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
}

pub(crate) fn key_reused() -> Problem {
    let detail = "this idempotency-key was used for another request within the last 24 hours";
    Problem::new(Code::IdempotencyKeyReused, detail)
}
