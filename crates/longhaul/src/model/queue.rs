use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::State;
use crate::clock::Timestamp;

/// A queue and how many of its jobs are in which state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// The queue.
    pub name: String,
    /// Its configuration.
    pub config: QueueConfig,
    /// Jobs per state; a state with none is left out.
    pub counts: BTreeMap<State, u64>,
    /// True while no claim is given jobs of it.
    #[serde(default)]
    pub paused: bool,
}

/// The available jobs of one queue, kind and version, which a claim looks up as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// The queue.
    pub queue: String,
    /// The kind.
    pub kind: String,
    /// The version of the args.
    pub version: u32,
    /// Its available jobs; at most [`MAX_POSITION`](crate::MAX_POSITION) are counted.
    pub waiting: u64,
    /// When the job fell due that is claimed first.
    pub oldest_at: Timestamp,
}

/// The configuration of a queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueConfig {
    /// The part of its history that is kept.
    pub retention: Retention,
    /// True where its limit keys take turns, by their weights; jobs without keys take one key's turns together, of weight 1.
    /// Within a key, priority and age decide. False where they decide among all jobs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fair: bool,
}

/// The part of a queue's history that is kept, per outcome.
///
/// A job whose unique key outlives it is kept for the key's period besides: its age counts from the period's end,
/// and until then it is not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Of completed jobs: by default a day.
    pub completed: Keep,
    /// Of failed jobs: by default 14 days.
    pub failed: Keep,
    /// Of cancelled jobs: by default a day.
    pub cancelled: Keep,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |n: u64| Keep { age: Some(Duration::from_secs(n * 86_400)), count: None };
        Self { completed: days(1), failed: days(14), cancelled: days(1) }
    }
}

/// Both bounds hold; `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keep {
    /// The oldest that a finished job may become.
    pub age: Option<Duration>,
    /// The most finished jobs, newest first.
    pub count: Option<u64>,
}

/// The effect of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Scheduled jobs that became available.
    pub promoted: u64,
    /// Jobs taken from workers that were not heard of, and made available.
    pub rescued: u64,
    /// Such jobs that had crashed too often and failed.
    pub poisoned: u64,
    /// Running jobs that did not stop within their grace and were fenced off.
    pub fenced: u64,
    /// Finished jobs that were removed.
    pub pruned: u64,
}

impl Swept {
    /// True where nothing was done: another sweep would hardly find more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
