use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::distribution::Distribution;
use super::error::Result;

/// Durations and outcomes of a store's calls in this process, measured by [`Metered`](crate::stats::Metered).
pub struct Operations {
    times: Vec<[Distribution; OUTCOMES.len()]>,
    is_up: AtomicBool,
}

/// The calls of one operation that ended in one way.
#[derive(Clone, Copy, Debug)]
pub struct OperationTimes<'o> {
    /// The operation: a method of [`Store`](crate::Store). Calls of `claim` and `events` that may wait are counted
    /// apart, as
    /// `claim_waiting` and `events_waiting`, because their duration is no measure of the store's speed.
    pub operation: &'static str,
    /// The outcome: `ok`, `refused` (the call failed and a repetition would too) or `unavailable` (the store was
    /// unreachable or full).
    pub outcome: &'static str,
    /// The durations, in microseconds.
    pub times: &'o Distribution,
}

/// The ends of the ranges of times, in microseconds.
const MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

const OUTCOMES: [&str; 3] = ["ok", "refused", "unavailable"];

macro_rules! operations {
    ($($operation:ident $name:literal),* $(,)?) => {
        /// An operation of a store.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Operation { $($operation),* }

        const OPERATIONS: &[&str] = &[$($name),*];
    };
}

operations! {
    Migrate "migrate", Ready "ready", Enqueue "enqueue", Claim "claim", ClaimWaiting "claim_waiting",
    Heartbeat "heartbeat", Record "record", Finish "finish", FinishAndClaim "finish_and_claim", Sweep "sweep",
    Get "get", List "list", Events "events", EventsWaiting "events_waiting", Act "act", Queues "queues",
    SetQueue "set_queue", UpdateQueue "update_queue", PauseQueue "pause_queue", ResumeQueue "resume_queue", Lanes "lanes", SetKey "set_key",
    PauseKey "pause_key", ResumeKey "resume_key", Keys "keys", Steps "steps", Signal "signal",
    Dependants "dependants", PutSamples "put_samples", Samples "samples", Workers "workers",
}

impl Operations {
    pub(crate) fn new() -> Self {
        let times = OPERATIONS.iter().map(|_| OUTCOMES.map(|_| Distribution::new(MICROS))).collect();
        Self { times, is_up: AtomicBool::new(true) }
    }

    /// Counts a call that has ended.
    pub(crate) fn note<T>(&self, operation: Operation, answer: &Result<T>, took: Duration) {
        let outcome = match answer {
            Ok(_) => 0,
            Err(error) if error.is_outage() => 2,
            Err(_) => 1,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.times[operation as usize][outcome].add(micros);
        let is_up = outcome != 2;
        // Most calls find it as the last one did, and need not write what others read.
        if self.is_up.load(Ordering::Relaxed) != is_up {
            self.is_up.store(is_up, Ordering::Relaxed);
        }
    }

    /// True unless the last call that has ended found the store away or full.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// The times of all operations that were called.
    pub fn times(&self) -> impl Iterator<Item = OperationTimes<'_>> {
        let all = OPERATIONS.iter().zip(&self.times).flat_map(|(operation, outcomes)| {
            let outcomes = OUTCOMES.iter().zip(outcomes);
            outcomes.map(|(outcome, times)| OperationTimes { operation, outcome, times })
        });
        all.filter(|operation| operation.times.ranges().any(|(_, count)| count > 0))
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.times()).finish()
    }
}
