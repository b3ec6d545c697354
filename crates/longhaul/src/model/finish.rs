use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CancelReason, Entry, Json, Lease, NewJob, TraceParent, WaitsFor};
use crate::clock::Timestamp;

/// The end of one run of a job, and all that follows from it. A store applies it as one transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// Which run.
    pub lease: Lease,
    /// The outcome.
    pub outcome: Outcome,
    /// Entries that were not yet sent; appended to the log before the outcome.
    pub entries: Vec<Entry>,
    /// Jobs to be enqueued with a completion; ignored with any other outcome.
    pub follow_ups: Vec<NewJob>,
    /// The units of its limit keys' rates that the run has taken in truth, instead of those that its start has taken (its
    /// [`Cost::rate`](super::Cost::rate)); `None` leaves it at those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
}

/// The outcome of a run. The policy (the backoff, a retry or none) is already applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did its work.
    Completed {
        /// Its output.
        output: Json,
    },
    /// It failed and may try again after a delay. The attempt counts.
    Retry {
        /// A fault.
        error: AttemptError,
        /// The wait.
        delay: Duration,
    },
    /// It failed for good.
    Failed {
        /// A fault.
        error: AttemptError,
    },
    /// It stopped because it was asked to, or chose to.
    Cancelled {
        /// Why, for people.
        reason: String,
        /// Why, for programs; what the job was asked to stop for goes before it.
        #[serde(default)]
        cancel_reason: CancelReason,
    },
    /// It wants to be run again later. Costs no attempt.
    Snoozed {
        /// The wait.
        delay: Duration,
    },
    /// A limit that it shares with others was reached. Costs no attempt, and pauses its limit key: until the delay is
    /// over no job of that key is claimed by any worker. Without a limit key it is a snooze.
    RateLimited {
        /// The wait.
        delay: Duration,
    },
    /// Its worker is shutting down and gives it back. Costs no attempt; counts as an interruption.
    Released,
    /// It waits, and holds no slot meanwhile: for its [children](WaitsFor::Children) or a [signal](WaitsFor::Signal), which
    /// costs no attempt, or for a [person](WaitsFor::Person), because the attempt was its last and failed. It goes on at once
    /// where there is nothing to wait for.
    Waits {
        /// The event that it waits for. [`WaitsFor::Dependencies`] is not allowed: a job is enqueued with its
        /// dependencies.
        on: WaitsFor,
        /// The longest wait for children or a signal, after which it goes on all the same.
        #[serde(default)]
        timeout: Option<Duration>,
        /// The fault that a person is to look at.
        #[serde(default)]
        error: Option<AttemptError>,
    },
}

/// One failed attempt, as the job's history keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptError {
    /// The number of the attempt; set by the store.
    #[serde(default)]
    pub attempt: u32,
    /// The time of the failure; set by the store.
    #[serde(default)]
    pub at: Timestamp,
    /// The message of the error.
    pub message: String,
    /// The sort of failure.
    pub kind: ErrorKind,
    /// The place of the run in its trace, where it has one: the next attempt refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

impl AttemptError {
    /// An error whose attempt and time the store will fill in.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { attempt: 0, at: Timestamp::default(), message: message.into(), kind, traceparent: None }
    }

    /// The error that a store records when it reclaims a job from a worker that has missed its heartbeats; `crashes`
    /// counts this crash, and the job fails once it is above `max_crashes`.
    #[must_use]
    pub fn crash(crashes: u32, max_crashes: u32) -> Self {
        let mut message = "the worker was not heard of in time".to_owned();
        if crashes > max_crashes {
            message = format!("{message}; failed as poison after {crashes} crashes");
        }
        Self::new(ErrorKind::Crash, message)
    }

    /// The error that a store records when a job that was asked to stop would have run again.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled on request")
    }

    /// The error that a store records when a job that was asked to stop did not do so within its grace.
    #[must_use]
    pub fn fenced() -> Self {
        Self::new(ErrorKind::Cancelled, "did not stop within its grace after it was asked to")
    }
}

/// The sort of failure that an attempt ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The job returned an error.
    Error,
    /// The job returned an error that no retry can mend.
    Fatal,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The job's code panicked.
    Panic,
    /// The worker died, or was cut off, while it ran the job.
    Crash,
    /// The job was cancelled.
    Cancelled,
}
