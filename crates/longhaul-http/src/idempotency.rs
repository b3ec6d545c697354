//! The `Idempotency-Key` header: a repeated request answers with the first one's job.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use longhaul::{Idempotency, NewJob};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::access::Caller;
use crate::canonical;
use crate::problem::{Code, Problem};

/// How long a key is remembered, whatever becomes of the job.
const KEEP_FOR: Duration = Duration::from_secs(24 * 3600);
/// The longest key, in characters.
const LONGEST_KEY: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that repeats an earlier one.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A request that its caller may send again, held while it is being answered.
#[derive(Debug)]
pub(crate) struct Repeatable {
    key: String,
    fingerprint: String,
    in_flight: Arc<InFlight>,
}

/// The keys of requests that this process is answering.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Mutex<HashSet<String>>);

impl Repeatable {
    /// Takes the request's key, if it has one, until the answer is done.
    ///
    /// # Errors
    /// 400 where the key is not 1–255 printable characters, 409 where a request with it is being answered.
    pub(crate) fn begin(
        headers: &HeaderMap,
        caller: &Caller,
        path: &str,
        body: &[u8],
        in_flight: &Arc<InFlight>,
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = key(headers)? else { return Ok(None) };
        // No caller's name or key has a line break in it, so no two pairs of them make the same text.
        let key = format!("{}\n{key}", caller.0);
        let fingerprint = fingerprint(path, body)?;
        if !in_flight.0.lock().insert(key.clone()) {
            let detail = "a request with this idempotency-key is still being answered";
            return Err(Problem::new(Code::IdempotencyKeyInUse, detail));
        }
        Ok(Some(Self { key, fingerprint, in_flight: Arc::clone(in_flight) }))
    }

    /// What the store needs to know again a request for one job.
    pub(crate) fn one(&self) -> Idempotency {
        Idempotency { key: self.key.clone(), fingerprint: self.fingerprint.clone(), keep_for: KEEP_FOR }
    }

    /// The same for the job at `index` of a batch.
    pub(crate) fn nth(&self, index: usize) -> Idempotency {
        Idempotency { key: format!("{}\n{index}", self.key), ..self.one() }
    }
}

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

impl Drop for Repeatable {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.key);
    }
}

/// What it means when a store answers that a job is a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// An earlier request with the same idempotency key created it: nothing else could have.
    Replay,
    /// Another job with the same id or unique key stands for it, as far as can be told.
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

fn fingerprint(path: &str, body: &[u8]) -> Result<String, Problem> {
    let mut digest = Sha256::new();
    digest.update("POST ");
    digest.update(path);
    digest.update("\n");
    let read = serde_json::from_slice::<&RawValue>(body);
    let added = read.and_then(|json| canonical::update(&mut digest, json));
    added.map_err(|error| {
        Problem::internal(format!("failed to digest a body that was read before: {error}"))
    })?;
    Ok(canonical::hex(&digest.finalize()))
}
