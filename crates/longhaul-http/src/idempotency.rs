//! The `Idempotency-Key` header: a repeated request answers with the first one's job, or whatever that has made.

use axum::Extension;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use longhaul::{Idempotency, JobRecord, Json, NewJob};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::auth::Done;
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
    /// The same, if this digest is in the job that is there; else another request created that one, with the same id or unique key.
    Signed(u64),
    /// Another job has the same id or unique key.
    Other,
}

impl Duplicates {
    /// Leaves with the job what tells it from another one. To be called before the job is given an id that its caller does not know.
    pub(crate) fn of(job: &mut NewJob) -> Self {
        let duplicates = match &job.idempotency {
            Some(_) if job.id.is_none() && job.unique.is_none() => Duplicates::Replay,
            Some(idempotency) => Duplicates::Signed(digest(idempotency)),
            None => Duplicates::Other,
        };
        job.policy.request = match duplicates {
            Duplicates::Signed(digest) => Some(digest),
            Duplicates::Replay | Duplicates::Other => None,
        };
        duplicates
    }

    /// The same, once the job that is there was looked at.
    pub(crate) fn seen_in(self, standing: &JobRecord) -> Self {
        match self {
            Duplicates::Signed(digest) if standing.policy.request == Some(digest) => Duplicates::Replay,
            Duplicates::Signed(_) => Duplicates::Other,
            Duplicates::Replay | Duplicates::Other => self,
        }
    }
}

/// A digest of a request's key and body, short enough for the numbers of any reader of JSON.
fn digest(Idempotency { key, fingerprint, .. }: &Idempotency) -> u64 {
    // No fingerprint has a line break in it.
    let digest = Sha256::digest(format!("{fingerprint}\n{key}"));
    digest.iter().take(6).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The header that marks a repeated answer.
pub(crate) fn mark_replayed(headers: &mut HeaderMap) {
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
}

/// Does to its end what a caller who goes away would else end half-way: something would be made, and no answer kept that tells of it.
///
/// # Errors
/// Those of the work.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work.in_current_span()).await;
    done.unwrap_or_else(|error| Err(Problem::internal(format!("the task of a request has ended: {error}"))))
}

/// What was kept of an answer.
///
/// # Errors
/// An internal fault where it is another route's, which the request's fingerprint keeps it from being.
pub(crate) fn read<T: DeserializeOwned>(answer: &Json) -> Result<T, Problem> {
    let read = answer.to();
    read.map_err(|error| Problem::internal(format!("failed to read the answer to a request: {error}")))
}

/// An answer that repeats an earlier one, of which the audit log tells nothing: it was noted when it was done.
pub(crate) fn replay(answer: impl IntoResponse) -> Response {
    let mut response = (Extension(Done::Nothing), answer).into_response();
    mark_replayed(response.headers_mut());
    response
}

pub(crate) fn key_reused() -> Problem {
    let detail = "this idempotency-key was used for another request within the last 24 hours";
    Problem::new(Code::IdempotencyKeyReused, detail)
}
