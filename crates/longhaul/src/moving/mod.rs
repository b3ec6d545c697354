//! All that a store keeps, as records that another store takes: what [`Store::export`](crate::Store::export) reads and
//! [`Store::import`](crate::Store::import) writes. `longhaul export` and `longhaul import` write them as lines of JSON.
//!
//! Records come in an order in which each refers only to those before it: settings, then jobs by the order in which they were
//! enqueued (a parent stands before its children, a dependency before its dependants), then what is remembered beside jobs.
//! So a store that imports them may be in use already, and a job may end there before those that wait for it have arrived.
//!
//! Left behind are workers and their leases, whose runs the source may still be at; what rates have counted, which begin at rest;
//! and the turns of fair queues, which begin anew.

mod admit;
mod settings;

pub use admit::admit;
pub use settings::{export_settings, import_settings};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lifecycle;
use crate::lifecycle::unique::Hold;
use crate::model::{
    CancelReason, Event, EventBody, JobId, JobRecord, Json, KeyConfig, QueueConfig, Sample, State,
    StepRecord, WaitsFor,
};
use crate::store::Result;

/// A read of all that a store keeps, as it was when the read began.
#[async_trait]
pub trait Export: Send {
    /// The next records; none once all have been read. A page has about [`RECORDS_PER_PAGE`] of them, and fewer where they are large.
    async fn next(&mut self) -> Result<Vec<Exported>>;
}

/// About the records of a page.
pub const RECORDS_PER_PAGE: usize = 500;
/// About the bytes of logs, steps and payloads after which a page ends.
pub const BYTES_PER_PAGE: usize = 8 << 20;

/// A record of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Exported {
    /// A queue that was configured or paused.
    Queue(ExportedQueue),
    /// A limit key, or a prefix, that was configured or paused.
    Key(ExportedKey),
    /// A job with all that belongs to it.
    Job(Box<ExportedJob>),
    /// An idempotency key that is remembered.
    IdempotencyKey(ExportedIdempotencyKey),
    /// The id of a job that was removed and is remembered as gone.
    Removed(ExportedRemoval),
    /// A sample: schedules, secrets and statistics are samples.
    Sample(ExportedSample),
}

/// The result of importing a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was created.
    Created,
    /// It existed already, and was not changed.
    Present,
    /// The job was removed here a short while ago, and is not created again.
    Removed,
}

/// A queue that was configured or paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportedQueue {
    /// Its name.
    pub queue: String,
    /// Its configuration.
    pub config: QueueConfig,
    /// True where nothing of it is claimed.
    pub paused: bool,
}

/// A limit key, or a prefix, that was configured or paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedKey {
    /// Its name; that of a prefix ends in `*`.
    pub key: String,
    /// The limits that were set for this very name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<KeyConfig>,
    /// Until when it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<Timestamp>,
}

/// A job with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportedJob {
    /// Its record. A running one is [given back](admit) where it is imported.
    pub job: JobRecord,
    /// The hold of its unique key, if it has one.
    #[serde(default, skip_serializing_if = "Hold::is_plain")]
    pub hold: Hold,
    /// Its hold of its unique key now; `None` where another job has the key, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holding>,
    /// True where its parent counts it among its children.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counted: bool,
    /// Of the jobs that it depends on, those that it is known to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<ExportedDependency>,
    /// The number of the event that its present state is.
    pub state_event: u64,
    /// The time at which it entered its present state.
    pub state_at: Timestamp,
    /// The number of the newest entry that has left its log; 0 where none has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub log_gap: u64,
    /// Its log, as far as it is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<Event>,
    /// Its steps, in the order in which they were done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord>,
    /// Set by [`admit`] for a run that was asked to stop: the job is cancelled for this reason once it is there.
    #[serde(skip)]
    pub cancel: Option<CancelReason>,
}

/// A job's hold of its unique key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The time at which it ends by itself; `None` is with the job's end, or with its removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A job that another is known to depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedDependency {
    /// The job that must end.
    pub id: JobId,
    /// True once its end was counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
}

/// An idempotency key that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedIdempotencyKey {
    /// The key.
    pub key: String,
    /// The digest of the request.
    pub fingerprint: String,
    /// The job that answers it.
    pub id: JobId,
    /// The time at which it is forgotten.
    pub expires_at: Timestamp,
}

/// The id of a job that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedRemoval {
    /// The id.
    pub id: JobId,
    /// Until when it is remembered.
    pub until: Timestamp,
}

/// A sample, and until when it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportedSample {
    /// The sample; a store may have forgotten for how long it was to be kept, and name what is left of that.
    pub sample: Sample,
    /// The time at which it is forgotten.
    pub expires_at: Timestamp,
}

impl ExportedJob {
    /// The bytes of what may be large, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let payload = |json: &Json| json.as_str().len();
        let steps = self.steps.iter().map(|step| step.name.len() + step.output.as_ref().map_or(0, payload));
        // An entry of a log has no text of its own here: a line has about this much.
        let log = 256 * self.log.len();
        payload(&self.job.args) + self.job.output.as_ref().map_or(0, payload) + steps.sum::<usize>() + log
    }

    /// The number of the newest entry of the log that no reset has followed; 0 where there is none.
    #[must_use]
    pub fn log_event(&self) -> u64 {
        let last = self.log.last().filter(|last| last.body != EventBody::Reset);
        last.map_or(0, |last| last.seq)
    }

    /// From when on its retention counts, where it has ended.
    #[must_use]
    pub fn kept_from(&self) -> Option<Timestamp> {
        let ended = self.job.finished_at.filter(|_| self.job.state.is_finished())?;
        let has_key = self.job.unique.is_some();
        Some(if has_key { self.hold.kept_from(self.job.state, ended) } else { ended })
    }

    /// Leaves out the dependencies that are not there where the job is imported, which count as ended: a job that waits for no
    /// other any more goes on.
    pub fn keep_dependencies(&mut self, is_there: impl Fn(&JobId) -> bool, now: Timestamp) {
        self.dependencies.retain(|dependency| is_there(&dependency.id));
        let job = &mut self.job;
        let waits = job.waits_for == Some(WaitsFor::Dependencies);
        if waits && self.dependencies.iter().all(|dependency| dependency.settled) {
            let (state, run_at) = lifecycle::undepend(job.run_at, job.children.as_ref(), now);
            (job.state, job.run_at) = (state, run_at);
            job.waits_for = (state == State::Blocked).then_some(WaitsFor::Children);
        }
    }

    /// The number of its dependencies that have not ended, if it is blocked by them.
    #[must_use]
    pub fn dependencies_left(&self) -> Option<usize> {
        let waits = self.job.waits_for == Some(WaitsFor::Dependencies);
        waits.then(|| self.dependencies.iter().filter(|dependency| !dependency.settled).count())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
