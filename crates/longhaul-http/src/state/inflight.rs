//! Requests with an idempotency key that this process is answering, and the answers to those whose keys no job keeps.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use longhaul::access::{Answered, AnsweredRequests};
use longhaul::{Idempotency, JobId, Json, Store, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::auth::Caller;
use crate::canonical::{fingerprint, hex};
use crate::idempotency::{key, key_reused};
use crate::problem::{Code, Problem};

/// The time for which a key is remembered, whatever becomes of the job.
const KEEP_FOR: Duration = Duration::from_secs(24 * 3600);
/// The time after which a server that has not answered has died, and another one may.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

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
        Self::begin_as(headers, &caller.key, path, body, in_flight)
    }

    /// The same for a caller who is known by something else: keeps the keys of callers apart.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub(crate) fn begin_as(
        headers: &HeaderMap,
        caller: &str,
        path: &str,
        body: &[u8],
        in_flight: &Arc<InFlight>,
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = key(headers)? else { return Ok(None) };
        // No caller's name or key has a line break in it, so no two pairs of them make the same text.
        let key = format!("{caller}\n{key}");
        let fingerprint = fingerprint(path, body).map_err(|error| {
            Problem::internal(format!("failed to digest a body that was read before: {error}"))
        })?;
        if !in_flight.0.lock().insert(key.clone()) {
            return Err(in_use());
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

/// A request that makes no job, for which the store keeps its answer: it knows the keys of jobs by itself.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It was answered before.
    Before(Json),
    /// It is to be answered now, and by this server alone.
    Now(Answered),
}

impl Repeatable {
    /// The caller and the key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The answer that the request was given before.
    ///
    /// # Errors
    /// 422 where the key was used for another request; the store's.
    pub(crate) async fn earlier(&self, store: &dyn Store) -> Result<Option<Json>, Problem> {
        let known = AnsweredRequests::of(store).of_request(&self.name()).await?;
        self.answer_in(known.iter())
    }

    /// Takes the request's key among all servers on the store. Each writes that it is answering before it looks whether another one
    /// does, so that of two at least one sees the other and makes room: no two go on.
    ///
    /// # Errors
    /// 422 where the key was used for another request, 409 where another server is answering; the store's.
    pub(crate) async fn take(&self, store: &dyn Store, now: Timestamp) -> Result<Begun, Problem> {
        let requests = AnsweredRequests::of(store);
        let known = requests.of_request(&self.name()).await?;
        if let Some(answer) = self.answer_in(known.iter())? {
            return Ok(Begun::Before(answer));
        }
        if !known.is_empty() {
            return Err(in_use());
        }
        let ours = Answered { answer: None, keep_for: ANSWERED_WITHIN, ..self.answered(Json::null(), now) };
        requests.keep(&ours).await?;
        let known = requests.of_request(&ours.request).await?;
        if known.iter().all(|known| known.id == ours.id) {
            return Ok(Begun::Now(ours));
        }
        requests.forget(&ours).await?;
        match self.answer_in(known.iter().filter(|known| known.id != ours.id))? {
            Some(answer) => Ok(Begun::Before(answer)),
            None => Err(in_use()),
        }
    }

    /// An answer to the request, which is to be kept.
    pub(crate) fn answered(&self, answer: Json, at: Timestamp) -> Answered {
        Answered {
            request: self.name(),
            id: JobId::random().to_string(),
            fingerprint: self.fingerprint.clone(),
            at,
            keep_for: KEEP_FOR,
            answer: Some(answer),
        }
    }

    fn answer_in<'a>(
        &self,
        mut known: impl Iterator<Item = &'a Answered> + Clone,
    ) -> Result<Option<Json>, Problem> {
        if known.clone().any(|known| known.fingerprint != self.fingerprint) {
            return Err(key_reused());
        }
        Ok(known.find_map(|known| known.answer.clone()))
    }

    /// Names the request: of one size, whatever caller and key are.
    fn name(&self) -> String {
        hex(&Sha256::digest(&self.key))
    }
}

/// All that is kept of the answer to a request that makes a token or a secret: what is told once is kept nowhere else, or made again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) id: String,
}

impl Made {
    /// The answer to a request that was begun, to be kept in its place together with what the request makes.
    ///
    /// # Errors
    /// None for an id, which has a JSON form.
    pub(crate) fn answer(self, begun: &Answered) -> longhaul::Result<Answered> {
        Ok(Answered { answer: Some(Json::new(&self)?), keep_for: KEEP_FOR, ..begun.clone() })
    }
}

fn in_use() -> Problem {
    let detail = "a request with this idempotency-key is still being answered";
    Problem::new(Code::IdempotencyKeyInUse, detail)
}

impl Drop for Repeatable {
    fn drop(&mut self) {
        self.in_flight.0.lock().remove(&self.key);
    }
}
