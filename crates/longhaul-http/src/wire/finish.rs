use longhaul::{
    AttemptError, CancelReason, Entry, ErrorKind, Finish, Json, Lease, LeaseStatus, Outcome, Record,
    TraceParent, WaitsFor,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::item::{Item, refused};
use super::job::NewJobBody;
use super::seconds::Seconds;

/// Entries of runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerRecords)]
pub(crate) struct RecordsBody {
    /// One for each run.
    #[schema(value_type = Vec<Record>)]
    pub(crate) records: Vec<Item<Record>>,
}

/// The ends of runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerFinishes)]
pub(crate) struct FinishesBody {
    /// One for each run; each stands alone.
    #[schema(value_type = Vec<FinishBody>)]
    pub(crate) finishes: Vec<Item<FinishBody>>,
}

/// The state of each lease that was named.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LeaseStatuses)]
pub(crate) struct StatusesAnswer {
    /// In the order of the request.
    pub(crate) statuses: Vec<LeaseStatus>,
}

/// The end of one run, and all that follows from it, in one transaction.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerFinish)]
pub(crate) struct FinishBody {
    /// The lease of the run.
    pub(crate) lease: Lease,
    /// The outcome of the run.
    pub(crate) outcome: OutcomeBody,
    /// Entries that were not recorded yet; they go before the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entries: Vec<Entry>,
    /// Jobs to be enqueued with a completion; ignored with any other outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) follow_ups: Vec<NewJobBody>,
    /// The units of its limit keys' rates that the run has taken in truth, in place of those that its start has reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<u32>,
}

/// The outcome of a run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = Outcome)]
pub(crate) enum OutcomeBody {
    /// It did its work.
    Completed {
        /// The output.
        #[serde(default)]
        #[schema(value_type = serde_json::Value)]
        output: Json,
    },
    /// It failed and may try again. The attempt counts.
    Retry {
        /// The error.
        error: FailureBody,
        /// The delay: the claim's `retry_in`, unless something better is known.
        #[schema(value_type = Seconds)]
        delay: Seconds,
    },
    /// It failed for good.
    Failed {
        /// The error.
        error: FailureBody,
    },
    /// It stopped because it was asked to, or chose to.
    Cancelled {
        /// The reason, for people.
        reason: String,
        /// The reason, for programs: `deadline` where the worker has cut the run off at its deadline; `asked` unless given.
        #[serde(default, skip_serializing_if = "is_asked")]
        #[schema(required = false)]
        cancel_reason: CancelReason,
    },
    /// It wants to be run again later. Costs no attempt.
    Snoozed {
        /// The delay.
        #[schema(value_type = Seconds)]
        delay: Seconds,
    },
    /// A limit that it shares with others was reached: pauses all jobs of its limit key. Costs no attempt.
    RateLimited {
        /// The delay.
        #[schema(value_type = Seconds)]
        delay: Seconds,
    },
    /// The worker is shutting down and hands it back. Costs no attempt.
    Released {},
    /// It waits for its children or a signal, at no cost of an attempt, or for a person, and holds no slot meanwhile.
    Waits {
        /// The event that it waits for: `children`, `signal:NAME` or `person`.
        #[schema(value_type = String)]
        on: WaitsFor,
        /// The longest wait, after which it goes on all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<Seconds>)]
        timeout: Option<Seconds>,
        /// The error that a person is to look at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<FailureBody>,
    },
}

/// The error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Failure)]
pub(crate) struct FailureBody {
    /// For people.
    message: String,
    /// The sort of failure; `error` unless given.
    #[serde(default = "plain_error")]
    #[schema(required = false)]
    kind: ErrorKind,
    /// The place of the run in its trace, which the next attempt refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    traceparent: Option<TraceParent>,
}

fn is_asked(reason: &CancelReason) -> bool {
    *reason == CancelReason::Asked
}

fn plain_error() -> ErrorKind {
    ErrorKind::Error
}

impl From<&Finish> for FinishBody {
    fn from(finish: &Finish) -> Self {
        Self {
            lease: finish.lease.clone(),
            outcome: OutcomeBody::from(&finish.outcome),
            entries: finish.entries.clone(),
            follow_ups: finish.follow_ups.iter().map(NewJobBody::from).collect(),
            cost: finish.cost,
        }
    }
}

impl From<Item<FinishBody>> for Finish {
    /// The finish, or one that fails the run for what cannot be kept of it.
    fn from(item: Item<FinishBody>) -> Self {
        let FinishBody { lease, outcome, entries, follow_ups, cost } = match item {
            Item::Read(body) => body,
            Item::Unreadable { lease, error } => return refused(lease, &error),
        };
        // Of any other outcome no job follows, so that nothing of it can be amiss.
        let is_completed = matches!(outcome, OutcomeBody::Completed { .. });
        let follow_ups = if is_completed { follow_ups } else { Vec::new() };
        match follow_ups.into_iter().map(NewJobBody::into_job).collect() {
            Ok(follow_ups) => Self { lease, outcome: outcome.into(), entries, follow_ups, cost },
            Err(error) => refused(lease, &error),
        }
    }
}

impl From<&Outcome> for OutcomeBody {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed { output } => Self::Completed { output: output.clone() },
            Outcome::Retry { error, delay } => Self::Retry { error: error.into(), delay: Seconds(*delay) },
            Outcome::Failed { error } => Self::Failed { error: error.into() },
            Outcome::Cancelled { reason, cancel_reason } => {
                Self::Cancelled { reason: reason.clone(), cancel_reason: *cancel_reason }
            }
            Outcome::Snoozed { delay } => Self::Snoozed { delay: Seconds(*delay) },
            Outcome::RateLimited { delay } => Self::RateLimited { delay: Seconds(*delay) },
            Outcome::Released => Self::Released {},
            Outcome::Waits { on, timeout, error } => Self::Waits {
                on: on.clone(),
                timeout: timeout.map(Seconds),
                error: error.as_ref().map(Into::into),
            },
        }
    }
}

impl From<OutcomeBody> for Outcome {
    fn from(body: OutcomeBody) -> Self {
        match body {
            OutcomeBody::Completed { output } => Self::Completed { output },
            OutcomeBody::Retry { error, delay } => Self::Retry { error: error.into(), delay: delay.0 },
            OutcomeBody::Failed { error } => Self::Failed { error: error.into() },
            OutcomeBody::Cancelled { reason, cancel_reason } => Self::Cancelled { reason, cancel_reason },
            OutcomeBody::Snoozed { delay } => Self::Snoozed { delay: delay.0 },
            OutcomeBody::RateLimited { delay } => Self::RateLimited { delay: delay.0 },
            OutcomeBody::Released {} => Self::Released,
            OutcomeBody::Waits { on, timeout, error } => {
                Self::Waits { on, timeout: timeout.map(|timeout| timeout.0), error: error.map(Into::into) }
            }
        }
    }
}

impl From<&AttemptError> for FailureBody {
    fn from(error: &AttemptError) -> Self {
        Self { message: error.message.clone(), kind: error.kind, traceparent: error.traceparent }
    }
}

impl From<FailureBody> for AttemptError {
    fn from(body: FailureBody) -> Self {
        AttemptError { traceparent: body.traceparent, ..AttemptError::new(body.kind, body.message) }
    }
}
