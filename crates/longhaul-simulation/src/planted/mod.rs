//! Stores with one fault each, named after the report that it comes from: a run must find it, or the silence of all other runs
//! means nothing.

mod faulty_store;

use std::sync::Arc;

use clap::ValueEnum;
use longhaul::testing::Intercept;
use longhaul::{Clock, Store};

use self::faulty_store::FaultyStore;

/// The queue of the jobs by which a planted fault does its harm.
pub(crate) const QUEUE: &str = "planted";

/// A fault that is planted in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Planted {
    /// A worker that comes too late gives back a slot that was given back already.
    StaleReleaseGivesASlotBackTwice,
    /// The end of an old run ends the run of its successor.
    LateFinishOverwritesItsSuccessor,
    /// A waiting claim gets no wake-up.
    WakeUpIsLost,
    /// A unique key stays with a job that has ended.
    UniqueKeyOutlivesItsJob,
    /// A unique key is forgotten while its job waits or runs.
    UniqueKeyDiesBeforeItsJob,
    /// A tick that two servers fire is fired by both.
    ScheduleFiresTwice,
    /// A run that is cancelled keeps its slot.
    CancelLeaksALimit,
    /// A parent waits for a child that was deleted.
    ParentWaitsForADeletedChild,
    /// A job is acknowledged before it is kept.
    AcknowledgedBeforeItIsKept,
    /// A parent is freed again by a child that ends late.
    ClosingJobRunsTwice,
    /// The outputs of steps are not given to the next attempt.
    StepsAreForgotten,
    /// A reader misses an entry of a log.
    ReaderMissesAnEntry,
    /// A rate counts each process by itself.
    RateIsCountedPerProcess,
    /// A pause of a queue is not heeded by the worker that finishes and claims.
    PauseIsOverlooked,
    /// A job whose worker is slow is given to another before its lease has ended.
    LeaseEndsEarly,
    /// A job that depends on several others waits for the first of them.
    DependantStartsTooSoon,
    /// A job waits for an ancestor, which may wait for it.
    DependantWaitsForItsAncestor,
    /// The failure of a dependency means nothing to those that depend on it.
    FailedDependencyIsOverlooked,
    /// A signal that comes before its wait is not kept.
    EarlySignalIsLost,
    /// A wait does not end by its timeout.
    TimeoutIsForgotten,
    /// The slots and the rate of a queue count each process by itself.
    QueueLimitsArePerProcess,
    /// A busy worker is given jobs that are for others.
    PreferenceIsOverlooked,
}

impl Planted {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The fault in words, and the report that it comes from.
    #[must_use]
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Planted::StaleReleaseGivesASlotBackTwice => {
                ("a stale release gives a slot back twice", "solid_queue#761")
            }
            Planted::LateFinishOverwritesItsSuccessor => {
                ("a late finish overwrites its successor's run", "no fencing")
            }
            Planted::WakeUpIsLost => ("a wake-up is lost", "river#238"),
            Planted::UniqueKeyOutlivesItsJob => ("a unique key outlives its job", "sidekiq-unique-jobs#379"),
            Planted::UniqueKeyDiesBeforeItsJob => {
                ("a unique key dies before its job", "sidekiq-unique-jobs#812")
            }
            Planted::ScheduleFiresTwice => ("a schedule fires a tick twice", "two servers, one tick"),
            Planted::CancelLeaksALimit => ("a cancel leaks a limit", "hatchet PR #1622"),
            Planted::ParentWaitsForADeletedChild => ("a parent waits for a deleted child", "bullmq#3122"),
            Planted::AcknowledgedBeforeItIsKept => {
                ("a job is acknowledged before it is kept", "a lost write")
            }
            Planted::ClosingJobRunsTwice => ("a closing job runs twice", "a child counted twice"),
            Planted::StepsAreForgotten => ("the outputs of steps are forgotten", "a lost memo"),
            Planted::ReaderMissesAnEntry => ("a reader misses an entry", "a gap at a page's edge"),
            Planted::RateIsCountedPerProcess => ("a rate is counted by each process", "a limit in memory"),
            Planted::PauseIsOverlooked => ("a pause is overlooked by a busy worker", "two ways to claim"),
            Planted::LeaseEndsEarly => ("a lease ends before its time", "a rescue by the start of the run"),
            Planted::DependantStartsTooSoon => {
                ("a dependant starts before all of its dependencies have ended", "one edge of many")
            }
            Planted::DependantWaitsForItsAncestor => {
                ("a job waits for its parent's parent", "a circle through children")
            }
            Planted::FailedDependencyIsOverlooked => {
                ("a failed dependency cancels nobody", "an end taken for a success")
            }
            Planted::EarlySignalIsLost => ("an early signal is lost", "a signal before its wait"),
            Planted::TimeoutIsForgotten => ("the timeout of a wait is forgotten", "a timer that is not kept"),
            Planted::QueueLimitsArePerProcess => {
                ("the limits of a queue are counted by each process", "a concurrency of each worker")
            }
            Planted::PreferenceIsOverlooked => {
                ("a preference is overlooked by a busy worker", "two ways to claim")
            }
        }
    }

    /// The store with the fault in it.
    pub(crate) fn into_store(self, store: Arc<dyn Store>, clock: Clock) -> Arc<dyn Store> {
        let faulty_store = Arc::new(FaultyStore::of(self, clock));
        Arc::new(Intercept::over(store, move |store, call| {
            let faulty_store = Arc::clone(&faulty_store);
            async move { faulty_store.around(store, call).await }
        }))
    }
}
