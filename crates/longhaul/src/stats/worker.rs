use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::model::{Outcome, QueueSlots};

/// The slots and jobs of a worker of this process now, and the outcomes of its runs since its start.
pub struct WorkerFigures {
    queues: Vec<QueueFigures>,
    jobs: Box<dyn Fn() -> usize + Send + Sync>,
}

/// The figures of one of its queues.
#[derive(Debug)]
pub struct QueueFigures {
    /// The queue.
    pub queue: String,
    /// The worker's slots of it.
    pub slots: usize,
    used: AtomicUsize,
    ended: [AtomicU64; ENDS.len()],
}

/// The ends of a run.
const ENDS: [&str; 9] = [
    "completed",
    "retried",
    "failed",
    "cancelled",
    "snoozed",
    "rate_limited",
    "released",
    "waiting",
    "lease_lost",
];

impl WorkerFigures {
    pub(crate) fn new(queues: &[QueueSlots], jobs: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        let queues = queues.iter().map(|QueueSlots { queue, slots }| QueueFigures {
            queue: queue.clone(),
            slots: *slots,
            used: AtomicUsize::default(),
            ended: Default::default(),
        });
        Self { queues: queues.collect(), jobs: Box::new(jobs) }
    }

    /// One for each of its queues.
    #[must_use]
    pub fn queues(&self) -> &[QueueFigures] {
        &self.queues
    }

    /// The jobs whose leases it keeps: those that run, those that wait for a slot, and those whose finish is not stored
    /// yet.
    #[must_use]
    pub fn jobs(&self) -> usize {
        (self.jobs)()
    }

    /// Notes the slots of a queue that are taken.
    pub(crate) fn use_slots(&self, queue: usize, used: usize) {
        if let Some(figures) = self.queues.get(queue) {
            figures.used.store(used, Ordering::Relaxed);
        }
    }

    /// Counts a run of a queue that has ended; `None` is one whose lease was lost.
    pub(crate) fn note_end(&self, queue: usize, end: Option<&Outcome>) {
        let end = match end {
            Some(Outcome::Completed { .. }) => 0,
            Some(Outcome::Retry { .. }) => 1,
            Some(Outcome::Failed { .. }) => 2,
            Some(Outcome::Cancelled { .. }) => 3,
            Some(Outcome::Snoozed { .. }) => 4,
            Some(Outcome::RateLimited { .. }) => 5,
            Some(Outcome::Released) => 6,
            Some(Outcome::Waits { .. }) => 7,
            None => 8,
        };
        if let Some(figures) = self.queues.get(queue) {
            figures.ended[end].fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for WorkerFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerFigures").field("queues", &self.queues).finish_non_exhaustive()
    }
}

impl QueueFigures {
    /// The slots that are taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The outcomes of its runs and the number of runs with each: `completed`, `retried`, `failed`, `cancelled`,
    /// `snoozed`,
    /// `rate_limited`, `released`, `waiting` (for children, a signal or a person) or `lease_lost`.
    pub fn ended(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ENDS.into_iter().zip(self.ended.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
