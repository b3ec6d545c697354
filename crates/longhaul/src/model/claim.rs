use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobId, Json, Policy};
use crate::clock::Timestamp;

/// A worker's request for jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The worker that will run them.
    pub worker: WorkerInfo,
    /// The queues, and the most jobs to take of each.
    pub queues: Vec<QueueSlots>,
    /// The kinds that the worker runs; jobs of others are left alone.
    pub kinds: Vec<SupportedKind>,
    /// The time that the worker may go without a heartbeat.
    pub lease_for: Duration,
    /// The time to hold the answer open while there is nothing to take. Zero answers at once.
    pub wait: Duration,
}

/// Free slots of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSlots {
    /// The queue.
    pub queue: String,
    /// The most jobs to take of it.
    pub slots: usize,
}

/// A kind that a worker runs, and the newest version of its args that it reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportedKind {
    /// The kind.
    pub kind: String,
    /// Versions 1 to this one are taken.
    pub version: u32,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// The lease, which proves that the run is this worker's.
    pub lease: Lease,
    /// The job type that runs it.
    pub kind: String,
    /// The version of `args`.
    pub version: u32,
    /// The queue that it was taken from.
    pub queue: String,
    /// The JSON of the job's args.
    pub args: Json,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// The limit on attempts.
    pub max_attempts: u32,
    /// The policy of this run: timeout, backoff.
    #[serde(default)]
    pub policy: Policy,
    /// The time at which it was enqueued.
    pub created_at: Timestamp,
    /// The time that is left until its deadline, by the store's clock. Its worker cuts the run off then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_in: Option<Duration>,
    /// Labels: names and values that lists filter by.
    pub labels: BTreeMap<String, String>,
    /// The outputs of the steps that earlier attempts have done, by name.
    pub steps: BTreeMap<String, Json>,
}

/// The right to run a job until it is finished, given back or expired: each claim raises the token, and a
/// store refuses whatever comes with an older one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Lease {
    /// The job.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub id: JobId,
    /// Which claim of it.
    pub token: u64,
}

/// A store's answer about a lease. None of them is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// It was the current one, and what was asked was done.
    Held,
    /// The same, and somebody has asked for the job to be cancelled.
    CancelRequested,
    /// It is not the current one (any more); nothing was changed.
    Lost,
}

/// The answer to [`Store::finish_and_claim`](crate::Store::finish_and_claim).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FinishAndClaim {
    /// One for each finish, in their order.
    pub finished: Vec<LeaseStatus>,
    /// The jobs that were claimed.
    pub claimed: Vec<Claimed>,
}

/// A worker, as it presents itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The worker's id, never used twice.
    pub id: String,
    /// The process that it runs in: see [`process_id`](super::process_id).
    pub process: String,
    /// The machine's name.
    pub host: String,
    /// The queues that it serves, with its slots of each.
    pub queues: Vec<QueueSlots>,
    /// The time of its last call; set by the store.
    pub seen_at: Timestamp,
    /// The kinds that it runs, with the newest version of each.
    #[serde(default)]
    pub kinds: Vec<SupportedKind>,
    /// The release of its library, as `longhaul 0.1.0`.
    #[serde(default)]
    pub version: String,
    /// Its start, by its own clock.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// Its labels, at most [`MAX_WORKER_LABELS`](super::MAX_WORKER_LABELS), which jobs [prefer](super::Prefer).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
