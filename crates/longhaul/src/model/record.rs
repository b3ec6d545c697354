use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AttemptError, CancelReason, Dependency, JobId, Json, Policy, Prefer, Progress, SHORT_PAYLOAD_BYTES,
    State, UniqueKey, WaitsFor,
};
use crate::clock::Timestamp;

/// All that a store knows of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job's id.
    pub id: JobId,
    /// Which job type runs it.
    pub kind: String,
    /// The version of `args`.
    pub version: u32,
    /// The queue that it waits in.
    pub queue: String,
    /// The JSON of the job's args.
    pub args: Json,
    /// Its state.
    pub state: State,
    /// −100 to 100, higher first.
    pub priority: i32,
    /// Attempts begun that count; while running, the number of the present one.
    pub attempt: u32,
    /// The limit on attempts.
    pub max_attempts: u32,
    /// Workers that died under it.
    pub crashes: u32,
    /// Crashes that it survives.
    pub max_crashes: u32,
    /// Workers that gave it back because they were shutting down.
    pub interruptions: u32,
    /// The policy of its runs: timeout, backoff.
    #[serde(default)]
    pub policy: Policy,
    /// Its progress.
    pub progress: Option<Progress>,
    /// Its output.
    pub output: Option<Json>,
    /// The failed attempts, oldest first; the last 20 are kept.
    pub errors: Vec<AttemptError>,
    /// True once a cancellation of the running job was requested.
    pub cancel_requested: bool,
    /// The reason of its cancellation, or of the request to stop while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<CancelReason>,
    /// The worker that runs it, or ran it last.
    pub worker: Option<String>,
    /// Its place among the available jobs of its queue, from 1; at most 1,000 is counted. Only
    /// [`Store::get`](crate::Store::get) fills it.
    pub position: Option<u64>,
    /// The time at which it was enqueued.
    pub created_at: Timestamp,
    /// The earliest time of its next run; for a running or finished job, the time at which its last run fell due.
    pub run_at: Timestamp,
    /// The begin of its present or last attempt.
    pub started_at: Option<Timestamp>,
    /// The time of its end.
    pub finished_at: Option<Timestamp>,
    /// The time at which it expires unless it is started; it stays after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The time by which it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The number of its newest event: it rises with every change that a reader could see.
    pub last_event: u64,
    /// The names of limits that it shares with others.
    #[serde(default)]
    pub limit_keys: Vec<String>,
    /// The workers that it prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Prefer>,
    /// The job that this one belongs to.
    pub parent: Option<JobId>,
    /// The counts of its children: of a closing job, and of one that has had children since it began.
    pub children: Option<Children>,
    /// Names and values that lists filter by.
    pub labels: BTreeMap<String, String>,
    /// The bytes of `args`, where a list with [short payloads](super::Payloads::Short) left them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_bytes: Option<u64>,
    /// The bytes of `output`, where a list with short payloads left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// The dependencies that it was enqueued with, those that have ended too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// The event that it waits for while it is blocked. A job with dependencies and children waits for the dependencies
    /// first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// The time at which a blocked job goes on without the event that it waits for, if the wait has a timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes_at: Option<Timestamp>,
    /// The job that it is a fork of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<JobId>,
    /// Its unique key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueKey>,
}

impl JobRecord {
    /// Leaves out args and an output that are too large for a list with short payloads, and keeps their sizes.
    pub fn shorten(&mut self) {
        let too_large = |json: &Json| Some(json.as_str().len()).filter(|bytes| *bytes > SHORT_PAYLOAD_BYTES);
        if let Some(bytes) = too_large(&self.args) {
            self.args = Json::null();
            self.args_bytes = Some(bytes as u64);
        }
        if let Some(bytes) = self.output.as_ref().and_then(too_large) {
            self.output = None;
            self.output_bytes = Some(bytes as u64);
        }
    }
}

/// The counts of a job's children, as they are now. A child that was removed after its end still counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Children {
    /// All of them.
    pub total: u64,
    /// Those that have completed.
    pub completed: u64,
    /// Those that have failed.
    pub failed: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
}

impl Children {
    /// The number that have not ended.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.total.saturating_sub(self.completed + self.failed + self.cancelled)
    }
}

/// The answer to a look-up of one id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// The job.
    Found(Box<JobRecord>),
    /// It was pruned or deleted less than 24 hours ago.
    Gone,
    /// Nothing is known of it.
    Unknown,
}

impl Lookup {
    /// The job, where there is one.
    #[must_use]
    pub fn found(self) -> Option<JobRecord> {
        match self {
            Lookup::Found(record) => Some(*record),
            Lookup::Gone | Lookup::Unknown => None,
        }
    }
}
