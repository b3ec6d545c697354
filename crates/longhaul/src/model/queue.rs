use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::enqueue::invalid;
use super::{KeyConfig, Rate, State};
use crate::clock::Timestamp;
use crate::store::Result;

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
    /// The [`slots`](QueueConfig::slots) that its running jobs take, where it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The units of its [`rate`](QueueConfig::rate) that may start now, of a burst, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_left: Option<u32>,
    /// The time at which all units of its [`rate`](QueueConfig::rate) are free again; `None` if they are free now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_free_at: Option<Timestamp>,
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
    /// The time at which the first job in claim order fell due.
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
    /// The most of its jobs that run at a time, over all workers: units of [`Cost::slots`](super::Cost::slots), 1 to
    /// [`MAX_UNITS`](super::MAX_UNITS); `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// The most of its jobs that start in a time; `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The most jobs that may wait (scheduled or available) when another is enqueued, 1 to [`MAX_WAITING`]; `None` is no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<u64>,
    /// What happens to a job that is enqueued at that bound.
    #[serde(skip_serializing_if = "OnFull::is_default")]
    pub on_full: OnFull,
}

/// The highest bound on waiting jobs.
pub const MAX_WAITING: u64 = 1_000_000_000;

/// The fate of a job that is enqueued while as many wait as may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// It is not created, and its caller is told so.
    #[default]
    Reject,
    /// Of those that wait, the one that was enqueued first is cancelled as [dropped](super::CancelReason::Dropped).
    DropOldest,
    /// It is created, and cancelled at once as [dropped](super::CancelReason::Dropped).
    DropNewest,
}

impl OnFull {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl QueueConfig {
    /// Checks the bounds of each field.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid), naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        check_max_waiting(self.max_waiting)?;
        self.limits().validate()
    }

    /// Its limits, as those of a limit key that all of its jobs have.
    #[must_use]
    pub fn limits(&self) -> KeyConfig {
        KeyConfig { slots: self.slots, rate: self.rate, ..KeyConfig::default() }
    }

    /// True where claims must look at its limits.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.slots.is_some() || self.rate.is_some()
    }
}

pub(super) fn check_max_waiting(max_waiting: Option<u64>) -> Result<()> {
    match max_waiting {
        Some(bound) if !(1..=MAX_WAITING).contains(&bound) => {
            invalid("max_waiting", format!("must be from 1 to {MAX_WAITING}"))
        }
        _ => Ok(()),
    }
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
    /// Jobs that were reclaimed from workers with missed heartbeats, and made available.
    pub rescued: u64,
    /// Such jobs that had crashed too often and failed.
    pub poisoned: u64,
    /// Running jobs that did not stop within their grace and were fenced off.
    pub fenced: u64,
    /// Waiting jobs that were cancelled because their time was over, and running ones that were asked to stop because of it.
    pub expired: u64,
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
