use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    Claim, Claimed, DEFAULT_LEASE, Json, Lease, LeaseStatus, OnExhausted, Policy, QueueSlots, SupportedKind,
    Timestamp, TraceParent, WorkerInfo,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finish::FinishBody;
use super::item::Item;
use super::job::{BackoffBody, is_default, policy, rest};
use super::seconds::Seconds;
use crate::time::Rfc3339;

/// A worker's request for jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerClaim)]
pub(crate) struct ClaimBody {
    /// The worker that will run them.
    pub(crate) worker: WorkerBody,
    /// The queues, and the most jobs to take of each; at most 1,000 queues.
    pub(crate) queues: Vec<SlotsBody>,
    /// The kinds that the worker runs; any other is left alone. At most 1,000, and at most 20,000 pairs of a queue and a kind.
    pub(crate) kinds: Vec<KindBody>,
    /// The longest pause between two heartbeats; 30 unless given.
    #[serde(default = "default_lease")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) lease_for: Seconds,
    /// The longest that the answer is held open while there is nothing to take; 0 unless given. An answer is held for 25
    /// seconds at most and says how much of the wait is left.
    #[serde(default)]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) wait: Seconds,
}

/// A worker, as it presents itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerName)]
pub(crate) struct WorkerBody {
    /// Its id, made anew each time that it starts: 1–128 characters of `A–Z a–z 0–9 . _ : -`.
    #[schema(example = "painter-7f3a")]
    pub(crate) id: String,
    /// Names its process among all that ever ran.
    #[serde(default)]
    pub(crate) process: String,
    /// The machine's name.
    #[serde(default)]
    pub(crate) host: String,
    /// The queues that it serves, with its slots of each.
    #[serde(default)]
    pub(crate) queues: Vec<SlotsBody>,
    /// The kinds that it runs.
    #[serde(default)]
    #[schema(required = false)]
    pub(crate) kinds: Vec<KindBody>,
    /// The program and release that it is of.
    #[serde(default)]
    #[schema(required = false, example = "longhaul-py 0.1.0")]
    pub(crate) version: String,
    /// When it started, by its own clock.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) started_at: Option<Rfc3339>,
    /// Its labels, at most 32, which jobs `prefer`: names and values of 1–128 characters of `A–Z a–z 0–9 . _ : -`. The same in each
    /// claim and heartbeat.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Slots of a queue.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QueueSlots)]
pub(crate) struct SlotsBody {
    /// The queue.
    pub(crate) queue: String,
    /// Jobs that can be run at once.
    pub(crate) slots: usize,
}

/// A kind that a worker runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SupportedKind)]
pub(crate) struct KindBody {
    /// The kind.
    #[schema(example = "paint")]
    pub(crate) kind: String,
    /// The newest version of its args that the worker reads, 1 to 2,147,483,647; 1 unless given.
    #[serde(default = "first_version")]
    pub(crate) version: u32,
}

/// The claimed jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkerClaimed)]
pub(crate) struct ClaimAnswer {
    /// The jobs; none where there was nothing to take.
    pub(crate) claimed: Vec<ClaimedBody>,
    /// The rest of the wait, where nothing was taken. More than 0 means only that the answer could not be held
    /// any longer; ask again.
    #[schema(value_type = Seconds)]
    pub(crate) wait_left: Seconds,
}

/// A job in a worker's hands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ClaimedJob)]
pub(crate) struct ClaimedBody {
    /// The proof that it is this worker's; to be sent with all that is said about this run.
    pub(crate) lease: Lease,
    /// The job type that runs it.
    pub(crate) kind: String,
    /// The version of `args`.
    pub(crate) version: u32,
    /// The queue that it was taken from.
    pub(crate) queue: String,
    /// The input of the job type.
    #[schema(value_type = serde_json::Value)]
    pub(crate) args: Json,
    /// The number of this attempt, from 1.
    pub(crate) attempt: u32,
    /// Attempts in all.
    pub(crate) max_attempts: u32,
    /// The longest that this attempt may take. The worker is to see to it.
    #[schema(value_type = Option<Seconds>, required)]
    pub(crate) timeout: Option<Seconds>,
    /// Should this attempt fail: the `delay` to send with `retry`. Null where it is the last one, so that `failed` is
    /// what to send.
    #[schema(value_type = Option<Seconds>, required)]
    pub(crate) retry_in: Option<Seconds>,
    /// The job's own backoff, where it has one; `retry_in` is made of it.
    #[schema(required)]
    pub(crate) backoff: Option<BackoffBody>,
    /// Its fate when its last attempt fails. With `pause` send `waits` with `on` `person` and the error, in place of
    /// `failed`.
    #[serde(default)]
    #[schema(required = false)]
    pub(crate) on_exhausted: OnExhausted,
    /// All else that is kept with the job and no query looks at, as the engine writes it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub(crate) policy: Policy,
    /// The place in a trace that it was enqueued at, in the form of the W3C's header `traceparent`: what the run does belongs below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) traceparent: Option<TraceParent>,
    /// The time at which it was enqueued.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Rfc3339,
    /// The time that is left until its deadline. The worker is to cut the run off then, and to end it as cancelled with the
    /// reason `deadline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) deadline_in: Option<Seconds>,
    /// Names and values to find it by.
    pub(crate) labels: BTreeMap<String, String>,
    /// The outputs of the steps that earlier attempts have done, by name.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub(crate) steps: BTreeMap<String, Json>,
}

/// Finishes and a claim in one request. The claim sees what the finishes set free, and does not wait.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerTurn)]
pub(crate) struct TurnBody {
    /// The ends of runs.
    #[schema(value_type = Vec<FinishBody>)]
    pub(crate) finishes: Vec<Item<FinishBody>>,
    /// The jobs that are wanted.
    pub(crate) claim: ClaimBody,
}

/// The answer to a turn.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkerTurned)]
pub(crate) struct TurnAnswer {
    /// One for each finish, in their order.
    pub(crate) statuses: Vec<LeaseStatus>,
    /// The claimed jobs.
    pub(crate) claimed: Vec<ClaimedBody>,
}

/// A sign of life, which extends leases.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerHeartbeat)]
pub(crate) struct HeartbeatBody {
    /// The worker that lives.
    pub(crate) worker: WorkerBody,
    /// The leases to extend; none only makes the worker known.
    pub(crate) leases: Vec<Lease>,
    /// By how much from now; 30 unless given.
    #[serde(default = "default_lease")]
    #[schema(value_type = Option<Seconds>)]
    pub(crate) lease_for: Seconds,
}

fn default_lease() -> Seconds {
    Seconds(DEFAULT_LEASE)
}

fn first_version() -> u32 {
    1
}

impl From<&Claim> for ClaimBody {
    fn from(claim: &Claim) -> Self {
        Self {
            worker: WorkerBody::from(&claim.worker),
            queues: claim.queues.iter().map(SlotsBody::from).collect(),
            kinds: claim.kinds.iter().map(KindBody::from).collect(),
            lease_for: Seconds(claim.lease_for),
            wait: Seconds(claim.wait),
        }
    }
}

impl From<ClaimBody> for Claim {
    fn from(body: ClaimBody) -> Self {
        Self {
            worker: body.worker.into(),
            queues: body.queues.into_iter().map(QueueSlots::from).collect(),
            kinds: body.kinds.into_iter().map(SupportedKind::from).collect(),
            lease_for: body.lease_for.0,
            wait: body.wait.0,
        }
    }
}

impl From<&WorkerInfo> for WorkerBody {
    fn from(worker: &WorkerInfo) -> Self {
        Self {
            id: worker.id.clone(),
            process: worker.process.clone(),
            host: worker.host.clone(),
            queues: worker.queues.iter().map(SlotsBody::from).collect(),
            kinds: worker.kinds.iter().map(KindBody::from).collect(),
            version: worker.version.clone(),
            started_at: worker.started_at.map(Rfc3339),
            labels: worker.labels.clone(),
        }
    }
}

impl From<WorkerBody> for WorkerInfo {
    fn from(body: WorkerBody) -> Self {
        Self {
            id: body.id,
            process: body.process,
            host: body.host,
            queues: body.queues.into_iter().map(QueueSlots::from).collect(),
            // The store's to set.
            seen_at: Timestamp::default(),
            kinds: body.kinds.into_iter().map(SupportedKind::from).collect(),
            version: body.version,
            started_at: body.started_at.map(|at| at.0),
            labels: body.labels,
        }
    }
}

impl From<&SupportedKind> for KindBody {
    fn from(kind: &SupportedKind) -> Self {
        Self { kind: kind.kind.clone(), version: kind.version }
    }
}

impl From<KindBody> for SupportedKind {
    fn from(body: KindBody) -> Self {
        Self { kind: body.kind, version: body.version }
    }
}

impl From<&QueueSlots> for SlotsBody {
    fn from(slots: &QueueSlots) -> Self {
        Self { queue: slots.queue.clone(), slots: slots.slots }
    }
}

impl From<SlotsBody> for QueueSlots {
    fn from(body: SlotsBody) -> Self {
        Self { queue: body.queue, slots: body.slots }
    }
}

impl From<Claimed> for ClaimedBody {
    fn from(claimed: Claimed) -> Self {
        let may_retry = claimed.attempt < claimed.max_attempts;
        let retry_in = || claimed.policy.backoff.unwrap_or_default().delay(claimed.attempt);
        Self {
            retry_in: may_retry.then(|| to_the_millisecond(retry_in())),
            lease: claimed.lease,
            kind: claimed.kind,
            version: claimed.version,
            queue: claimed.queue,
            args: claimed.args,
            attempt: claimed.attempt,
            max_attempts: claimed.max_attempts,
            timeout: claimed.policy.timeout.map(Seconds),
            backoff: claimed.policy.backoff.map(BackoffBody::from),
            on_exhausted: claimed.policy.on_exhausted,
            traceparent: claimed.policy.traceparent,
            policy: rest(Policy { traceparent: None, ..claimed.policy }),
            created_at: Rfc3339(claimed.created_at),
            deadline_in: claimed.deadline_in.map(Seconds),
            labels: claimed.labels,
            steps: claimed.steps,
        }
    }
}

impl From<ClaimedBody> for Claimed {
    fn from(body: ClaimedBody) -> Self {
        Self {
            lease: body.lease,
            kind: body.kind,
            version: body.version,
            queue: body.queue,
            args: body.args,
            attempt: body.attempt,
            max_attempts: body.max_attempts,
            policy: policy(
                body.timeout,
                body.backoff,
                Policy { traceparent: body.traceparent.or(body.policy.traceparent), ..body.policy },
            ),
            created_at: body.created_at.0,
            deadline_in: body.deadline_in.map(|left| left.0),
            labels: body.labels,
            steps: body.steps,
        }
    }
}

fn to_the_millisecond(delay: Duration) -> Seconds {
    Seconds(Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
}
