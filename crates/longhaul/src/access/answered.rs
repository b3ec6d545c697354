use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Json, Sample};
use crate::store::{Result, Store};

/// All series of answers begin with it. Each request has a series of its own, so that a look at one reads no other.
pub(super) const PREFIX: &str = "longhaul.answered.";

/// A request with an idempotency key and what was answered to it, so that it is answered the same when it comes again.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Names the request: a digest of its caller and its key, in hexadecimal.
    pub request: String,
    /// Tells this answer from one that another server gives to the same request at the same time.
    pub id: String,
    /// A digest of the request, so that a key used for another request is noticed.
    pub fingerprint: String,
    /// The time of the answer.
    pub at: Timestamp,
    /// The time for which it is kept.
    pub keep_for: Duration,
    /// What tells the answer again, without the secrets that a store is not to know; `None` while the request is being answered.
    pub answer: Option<Json>,
}

/// What is kept of an answer beside its names and its time.
#[derive(Serialize, Deserialize)]
struct Kept {
    fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Json>,
}

impl Answered {
    /// As a store keeps it: to be put together with what the request has made, so that there is no one without the other.
    ///
    /// # Errors
    /// None for an answer that has a JSON form, as this has.
    pub fn sample(&self) -> Result<Sample> {
        let body = Json::new(&Kept { fingerprint: self.fingerprint.clone(), answer: self.answer.clone() })?;
        let series = format!("{PREFIX}{}", self.request);
        Ok(Sample { series, at: self.at, source: self.id.clone(), keep_for: self.keep_for, body })
    }
}

/// The answers of a store to requests with idempotency keys that have made something else than a job, whose keys stores know themselves.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequests<'s>(&'s dyn Store);

impl<'s> AnsweredRequests<'s> {
    /// Those of `store`.
    #[must_use]
    pub fn of(store: &'s dyn Store) -> Self {
        Self(store)
    }

    /// All that is known of a request: what it was answered, and the servers that are answering it.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn of_request(&self, request: &str) -> Result<Vec<Answered>> {
        let samples = self.0.samples(&format!("{PREFIX}{request}"), Timestamp(0)).await?;
        let read = |Sample { at, source, keep_for, body, .. }: Sample| {
            let Kept { fingerprint, answer } = body.to().ok()?;
            Some(Answered { request: request.to_owned(), id: source, fingerprint, at, keep_for, answer })
        };
        Ok(samples.into_iter().filter_map(read).collect())
    }

    /// Keeps an answer, in the place of the same without one.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn keep(&self, answered: &Answered) -> Result<()> {
        self.0.put_samples(&[answered.sample()?]).await
    }

    /// Forgets an answer.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn forget(&self, answered: &Answered) -> Result<()> {
        self.0.put_samples(&[Sample { keep_for: Duration::ZERO, ..answered.sample()? }]).await
    }
}
