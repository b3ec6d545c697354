//! The part that an application writes: a job type, and the errors that it returns.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::model::{Cost, DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, OnExhausted, Prefer, Unique};
use crate::store::Error;
use crate::worker::Context;

/// A kind of job: its fields are the args that are stored, [`run`](Job::run) is the work.
///
/// ```
/// use longhaul::{Context, Job, JobError, JobResult};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome { email: String }
///
/// impl Job for Welcome {
///     const KIND: &'static str = "welcome";
///     type State = ();
///     type Output = String;
///
///     async fn run(self, _cx: Context<()>) -> JobResult<String> {
///         if self.email.is_empty() { return Err(JobError::fatal("no address")); }
///         Ok(format!("welcome, {}", self.email))
///     }
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name under which jobs of this type are stored: 1–128 of `A–Z a–z 0–9 . _ : -`. Never change it
    /// while jobs of it wait.
    const KIND: &'static str;
    /// The version of the fields, from 1. Raise it when an old worker could not read what a new one writes.
    const VERSION: u32 = 1;
    /// The queue that it waits in, unless the caller names another.
    const QUEUE: &'static str = DEFAULT_QUEUE;
    /// Attempts in all.
    const MAX_ATTEMPTS: u32 = DEFAULT_MAX_ATTEMPTS;
    /// The longest time that one attempt may take; `None` is no limit.
    const TIMEOUT: Option<Duration> = None;
    /// The longest that a job may wait for its first start, else it is cancelled; `None` is no limit.
    const EXPIRES_IN: Option<Duration> = None;
    /// The time from its creation in which a job must have ended, with all its attempts; `None` is no limit.
    const DEADLINE: Option<Duration> = None;
    /// The state that a job enters when its last attempt fails: `failed`, or `blocked` until a person decides.
    const ON_EXHAUSTED: OnExhausted = OnExhausted::Fail;

    /// The dependencies that the application gives to every job of this type: a pool, a client, a configuration.
    type State: Clone + Send + Sync + 'static;
    /// The value that a job returns; stored as its `output`.
    type Output: Serialize + Send + 'static;

    /// The wait after a failed attempt.
    #[must_use]
    fn backoff() -> Backoff {
        Backoff::default()
    }

    /// The names of limits that the job shares with others, at most 4: `provider:openai`, say, and `tenant:42`, each 1–128 of
    /// `A–Z a–z 0–9 . _ : -`. All of them must admit a run; see [`NewJob::limit_keys`](crate::NewJob::limit_keys).
    #[must_use]
    fn limit_keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// The workers that the job prefers, by their labels: those that have a model loaded, say, or a file at hand.
    #[must_use]
    fn prefer(&self) -> Option<Prefer> {
        None
    }

    /// The key of which there is one job at a time, and what becomes of a second one. Begin it with the kind: keys are shared by
    /// all kinds.
    #[must_use]
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// The units of its limit keys' limits that a run takes; a run that finds out better [settles](Context::settle) its units
    /// of rates.
    #[must_use]
    fn cost(&self) -> Cost {
        Cost::default()
    }

    /// Does the work. It may be run more than once (a crash after the work and before its end is stored), so
    /// put what must not be repeated into [steps](Context::step).
    fn run(self, cx: Context<Self::State>) -> impl Future<Output = JobResult<Self::Output>> + Send;
}

/// The result of a job.
pub type JobResult<T> = Result<T, JobError>;

/// Why a job did not complete. Any [`std::error::Error`] becomes one that is retried with the kind's backoff, but for two
/// that no attempt of the job's own can mend: where a store's [outage](Error::is_outage) is among its causes, the job runs
/// again [at no cost of an attempt](Self::outage), and [`Error::Invalid`] fails it at once.
#[derive(Debug)]
pub struct JobError {
    /// The consequence for the job.
    pub verdict: Verdict,
    /// The reason for people, with its causes.
    pub message: String,
}

/// The wait of a job that an outage kept from completing.
const OUTAGE_DELAY: Duration = Duration::from_secs(5);

/// The consequence of an error for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after the kind's backoff, or after this delay; fail when no attempt is left.
    Retry(Option<Duration>),
    /// Fail at once.
    Fatal,
    /// End as cancelled.
    Cancel,
    /// Run again after this delay; costs no attempt.
    Snooze(Duration),
    /// Run again after this delay, and let no job of its first limit key run until then; costs no attempt.
    RateLimited(Duration),
    /// Give the slot back until what the context was asked to wait for has come; costs no attempt. Only
    /// [`Context::sleep`], [`Context::wait_for`] and [`Context::wait_for_children`] make it: return it as it is.
    Waits,
}

impl JobError {
    /// Tries again after the kind's backoff; fails when no attempt is left.
    #[must_use]
    pub fn retry(message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Retry(None), message: message.to_string() }
    }

    /// Tries again after `delay`; fails when no attempt is left.
    #[must_use]
    pub fn retry_after(delay: Duration, message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Retry(Some(delay)), message: message.to_string() }
    }

    /// Fails at once: no retry could mend it.
    #[must_use]
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Fatal, message: message.to_string() }
    }

    /// Ends as cancelled.
    #[must_use]
    pub fn cancel(message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Cancel, message: message.to_string() }
    }

    /// Runs again after `delay`, at no cost of an attempt.
    #[must_use]
    pub fn snooze(delay: Duration, message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Snooze(delay), message: message.to_string() }
    }

    /// Runs again in 5 s, at no cost of an attempt: something that the job stands on (its store, most likely) is away, which
    /// is not its fault, and does not end it however long it takes.
    #[must_use]
    pub fn outage(message: impl fmt::Display) -> Self {
        Self::snooze(OUTAGE_DELAY, message)
    }

    /// Gives the slot back until what the context was asked to wait for has come.
    pub(crate) fn waits(message: String) -> Self {
        Self { verdict: Verdict::Waits, message }
    }

    /// Runs again after `delay`, at no cost of an attempt; until then no worker claims a job of its
    /// first [limit key](Job::limit_keys).
    #[must_use]
    pub fn rate_limited(delay: Duration, message: impl fmt::Display) -> Self {
        Self { verdict: Verdict::RateLimited(delay), message: message.to_string() }
    }
}

impl JobError {
    /// Converts an error of another type; its causes are appended to its message.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors already print their cause, which is then not repeated.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        match (Error::outage_in(error), error.downcast_ref()) {
            (Some(_), _) => Self::outage(message),
            (None, Some(Error::Invalid { .. })) => Self::fatal(message),
            (None, _) => Self::retry(message),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

// `JobError` itself is no `std::error::Error`, or this conversion could not exist.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to save the page")]
    struct Wrapped(#[source] Error);

    #[test]
    fn an_outage_of_a_store_costs_no_attempt_however_deep_it_is_wrapped() {
        let away = || Error::Unavailable { store: "any", source: "connection refused".into() };
        let error = JobError::from(std::io::Error::other(Wrapped(away())));
        assert_eq!(error.verdict, Verdict::Snooze(OUTAGE_DELAY));
        assert!(error.message.contains("connection refused"), "{error}");
        assert_eq!(JobError::from(away()).verdict, Verdict::Snooze(OUTAGE_DELAY));
        let full = Error::Full { store: "any", source: "no space left".into() };
        assert_eq!(JobError::from(Wrapped(full)).verdict, Verdict::Snooze(OUTAGE_DELAY));
    }

    #[test]
    fn invalid_input_fails_at_once_and_other_errors_are_retried() {
        let invalid = Error::Invalid { field: "args".into(), reason: "must be less".into() };
        assert_eq!(JobError::from(invalid).verdict, Verdict::Fatal);
        let refused = Error::Store { store: "any", operation: "enqueue", source: "no".into() };
        assert_eq!(JobError::from(refused).verdict, Verdict::Retry(None));
        assert_eq!(JobError::from(std::io::Error::other("no")).verdict, Verdict::Retry(None));
    }
}
