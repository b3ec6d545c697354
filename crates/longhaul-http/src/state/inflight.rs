//! Requests with an idempotency key that this process is answering.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use longhaul::Idempotency;
use parking_lot::Mutex;

use crate::auth::Caller;
use crate::canonical::fingerprint;
use crate::idempotency::key;
use crate::problem::{Code, Problem};

/// The time for which a key is remembered, whatever becomes of the job.
const KEEP_FOR: Duration = Duration::from_secs(24 * 3600);

/// A request with an idempotency key. No other one with its key is answered while this lives.
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
        let key = format!("{}\n{key}", caller.key);
        let fingerprint = fingerprint(path, body).map_err(|error| {
            Problem::internal(format!("failed to digest a body that was read before: {error}"))
        })?;
        if !in_flight.0.lock().insert(key.clone()) {
            let detail = "a request with this idempotency-key is still being answered";
            return Err(Problem::new(Code::IdempotencyKeyInUse, detail));
        }
        Ok(Some(Self { key, fingerprint, in_flight: Arc::clone(in_flight) }))
    }

    /// The key and fingerprint by which the store recognises a request for one job.
    pub(crate) fn one(&self) -> Idempotency {
        Idempotency { key: self.key.clone(), fingerprint: self.fingerprint.clone(), keep_for: KEEP_FOR }
    }

    /// The same for the job at `index` of a batch.
    pub(crate) fn nth(&self, index: usize) -> Idempotency {
        Idempotency { key: format!("{}\n{index}", self.key), ..self.one() }
    }
}

impl Drop for Repeatable {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.key);
    }
}
