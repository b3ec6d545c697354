//! The contract's bodies, as far as the commands read them. Fields that a server does not send have their empty value, so that a
//! command works beside a server of another version.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A state of a job, in the contract's words.
pub(crate) type State = longhaul::State;

/// A job.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) version: u32,
    pub(crate) queue: String,
    #[serde(default)]
    pub(crate) args: Option<Box<RawValue>>,
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) progress: Option<Progress>,
    #[serde(default)]
    pub(crate) attempt: u32,
    #[serde(default)]
    pub(crate) max_attempts: u32,
    #[serde(default)]
    pub(crate) crashes: u32,
    #[serde(default)]
    pub(crate) interruptions: u32,
    #[serde(default)]
    pub(crate) priority: i32,
    #[serde(default)]
    pub(crate) position: Option<u64>,
    #[serde(default)]
    pub(crate) eta_seconds: Option<u64>,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) run_at: String,
    #[serde(default)]
    pub(crate) started_at: Option<String>,
    #[serde(default)]
    pub(crate) finished_at: Option<String>,
    #[serde(default)]
    pub(crate) output: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) errors: Vec<Failure>,
    #[serde(default)]
    pub(crate) cancel_requested: bool,
    #[serde(default)]
    pub(crate) worker: Option<String>,
    #[serde(default)]
    pub(crate) parent: Option<String>,
    #[serde(default)]
    pub(crate) children: Option<Children>,
    #[serde(default)]
    pub(crate) key: Option<String>,
    #[serde(default)]
    pub(crate) limit_keys: Vec<String>,
    #[serde(default)]
    pub(crate) cost: Cost,
    /// The labels of the workers that it prefers.
    #[serde(default)]
    pub(crate) prefer: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) prefer_hard: bool,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) duplicate: bool,
    #[serde(default)]
    pub(crate) replaced: bool,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) deadline: Option<String>,
    #[serde(default)]
    pub(crate) cancel_reason: Option<String>,
    #[serde(default)]
    pub(crate) depends_on: Vec<Dependency>,
    /// `dependencies`, `children`, `signal:NAME` or `person`, while it is blocked.
    #[serde(default)]
    pub(crate) waits_for: Option<String>,
    #[serde(default)]
    pub(crate) wakes_at: Option<String>,
    #[serde(default)]
    pub(crate) on_exhausted: String,
    #[serde(default)]
    pub(crate) forked_from: Option<String>,
    #[serde(default)]
    pub(crate) unique: Option<UniqueKey>,
}

/// The units of its limits that a run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Cost {
    pub(crate) slots: u32,
    pub(crate) rate: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self { slots: 1, rate: 1 }
    }
}

/// A unique key, and the job that holds it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UniqueKey {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) holder: Option<String>,
}

/// Another job that has to end first.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) on_failure: String,
}

/// The progress of a job.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) percent: f64,
    #[serde(default)]
    pub(crate) message: String,
}

/// A failed attempt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) attempt: u32,
    pub(crate) at: String,
    pub(crate) message: String,
}

/// The counts of a batch.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Children {
    pub(crate) total: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
}

impl fmt::Display for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Children { total, completed, failed, cancelled } = self;
        write!(f, "{completed} of {total} completed, {failed} failed, {cancelled} cancelled")
    }
}

/// A page of jobs, each as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct JobPage {
    pub(crate) jobs: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) next: Option<String>,
    #[serde(default)]
    pub(crate) searched: Option<Searched>,
}

/// The part of the jobs that a search has looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Searched {
    pub(crate) jobs: u64,
    pub(crate) complete: bool,
}

/// A queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Queue {
    pub(crate) name: String,
    /// Jobs per state.
    pub(crate) states: BTreeMap<String, u64>,
    pub(crate) paused: bool,
    pub(crate) config: Config,
    /// The slots that its running jobs take, where it has a limit of them.
    pub(crate) used: Option<u64>,
    /// The units of its rate that may start now, where it has one.
    pub(crate) rate_left: Option<u64>,
}

/// The configuration of a queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    pub(crate) retention: BTreeMap<String, Keep>,
    pub(crate) slots: Option<u32>,
    pub(crate) rate: Option<Rate>,
    pub(crate) max_waiting: Option<u64>,
    pub(crate) on_full: String,
}

/// A bound on starts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rate {
    n: u32,
    /// In seconds.
    per: f64,
    pub(crate) burst: u32,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rate { n, per, burst } = self;
        write!(f, "{n}/{per} s, burst {burst}")
    }
}

/// The history of one outcome that is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Keep {
    /// In seconds.
    pub(crate) age: Option<f64>,
    pub(crate) count: Option<u64>,
}

impl Queue {
    /// The number of its jobs that are in a state.
    pub(crate) fn count(&self, state: State) -> u64 {
        self.states.get(state.as_str()).copied().unwrap_or_default()
    }
}

/// All queues, each as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct QueuePage {
    pub(crate) queues: Vec<Box<RawValue>>,
}

/// A worker.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) queues: Vec<Slots>,
    pub(crate) seen_at: String,
    pub(crate) started_at: Option<String>,
    pub(crate) version: Option<String>,
    /// Its labels, which jobs may prefer.
    pub(crate) labels: BTreeMap<String, String>,
}

/// The slots of a worker in a queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Slots {
    pub(crate) queue: String,
    pub(crate) slots: u64,
}

/// All workers, each as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct WorkerPage {
    pub(crate) workers: Vec<Box<RawValue>>,
}
