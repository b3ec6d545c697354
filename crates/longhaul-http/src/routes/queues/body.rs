use longhaul::{Keep, OnFull, QueueConfig, QueueInfo, Retention, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::keys::RateBody;
use crate::time::{Rfc3339, in_seconds};

/// A queue: the counts of its jobs, and its configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueBody {
    /// Its name.
    #[schema(example = "default")]
    name: String,
    /// Its jobs per state. Counts are kept with each change, so they are exact and cost nothing to read.
    states: StateCounts,
    /// The same jobs in the words of Bull and BullMQ, for dashboards that know those. Jobs that wait for other jobs
    /// (`blocked`) and cancelled ones have no word there and are not counted.
    counts: BullCounts,
    /// True while no worker is given jobs of it.
    paused: bool,
    /// Its configuration.
    config: ConfigBody,
    /// The slots that its running jobs take, one for each that costs no more; null where it has no limit of slots.
    #[schema(required)]
    used: Option<u64>,
    /// The units of its rate that may start now, of a burst; null where it has no rate.
    #[schema(required)]
    rate_left: Option<u32>,
    /// When all units of its rate are free again, where that is later than now.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    rate_free_at: Option<Rfc3339>,
}

/// All queues.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueList)]
pub(crate) struct QueuesBody {
    /// By name.
    pub(crate) queues: Vec<QueueBody>,
}

/// Jobs per state, zero too.
#[derive(Debug, Serialize, ToSchema)]
struct StateCounts {
    /// Wait for other jobs.
    blocked: u64,
    /// Wait for their time: delayed, snoozed, or between two attempts.
    scheduled: u64,
    /// Wait for a worker.
    available: u64,
    /// Are being run.
    running: u64,
    /// Ended well.
    completed: u64,
    /// Ended badly.
    failed: u64,
    /// Ended because somebody asked.
    cancelled: u64,
}

/// Jobs per state in Bull's words.
#[derive(Debug, Serialize, ToSchema)]
struct BullCounts {
    /// `available`, unless the queue is paused
    waiting: u64,
    /// `running`
    active: u64,
    /// `completed`
    completed: u64,
    /// `failed`
    failed: u64,
    /// `scheduled`
    delayed: u64,
    /// `available`, while the queue is paused
    paused: u64,
}

/// The configuration of a queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueConfig)]
pub(crate) struct ConfigBody {
    /// The time for which its history is kept.
    retention: RetentionBody,
    /// True where its limit keys take turns, by their weights; jobs without keys take one key's turns together.
    fair: bool,
    /// The most of its jobs that run at a time, over all workers, in units of their `cost.slots`; null is no limit.
    #[schema(required)]
    slots: Option<u32>,
    /// The most of its jobs that start in a time, in units of their `cost.rate`; null is no limit.
    #[schema(required)]
    rate: Option<RateBody>,
    /// The most jobs that may wait, scheduled or available, when another is enqueued; null is no bound.
    #[schema(required)]
    max_waiting: Option<u64>,
    /// The fate of a job that is enqueued while as many wait.
    on_full: OnFull,
}

/// The history that is kept, per outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
struct RetentionBody {
    /// Of completed jobs.
    completed: KeepBody,
    /// Of failed jobs.
    failed: KeepBody,
    /// Of cancelled jobs.
    cancelled: KeepBody,
}

/// Both bounds hold; null is no bound.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keep)]
struct KeepBody {
    /// The oldest that a finished job may become, in seconds.
    #[schema(required)]
    age: Option<f64>,
    /// The most finished jobs; the newest are kept.
    #[schema(required)]
    count: Option<u64>,
}

impl From<QueueInfo> for QueueBody {
    fn from(queue: QueueInfo) -> Self {
        let count = |state: State| queue.counts.get(&state).copied().unwrap_or_default();
        let states = StateCounts {
            blocked: count(State::Blocked),
            scheduled: count(State::Scheduled),
            available: count(State::Available),
            running: count(State::Running),
            completed: count(State::Completed),
            failed: count(State::Failed),
            cancelled: count(State::Cancelled),
        };
        let counts = BullCounts {
            waiting: if queue.paused { 0 } else { states.available },
            active: states.running,
            completed: states.completed,
            failed: states.failed,
            delayed: states.scheduled,
            paused: if queue.paused { states.available } else { 0 },
        };
        Self {
            states,
            counts,
            paused: queue.paused,
            config: ConfigBody::from(&queue.config),
            used: queue.used,
            rate_left: queue.rate_left,
            rate_free_at: queue.rate_free_at.map(Rfc3339),
            name: queue.name,
        }
    }
}

impl From<&QueueConfig> for ConfigBody {
    fn from(config: &QueueConfig) -> Self {
        let Retention { completed, failed, cancelled } = &config.retention;
        let retention =
            RetentionBody { completed: completed.into(), failed: failed.into(), cancelled: cancelled.into() };
        Self {
            retention,
            fair: config.fair,
            slots: config.slots,
            rate: config.rate.map(RateBody::from),
            max_waiting: config.max_waiting,
            on_full: config.on_full,
        }
    }
}

impl From<&Keep> for KeepBody {
    fn from(keep: &Keep) -> Self {
        Self { age: keep.age.map(in_seconds), count: keep.count }
    }
}
