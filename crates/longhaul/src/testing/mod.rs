//! Tools for the tests of an application: a store in memory, a clock that stands still, and jobs that run when told.
//!
//! ```
//! use std::time::Duration;
//! use longhaul::testing::Harness;
//! use longhaul::{Context, Job, JobError, JobResult, Outcome, State};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet { name: String }
//!
//! impl Job for Greet {
//!     const KIND: &'static str = "greet";
//!     type State = ();
//!     type Output = String;
//!
//!     async fn run(self, cx: Context<()>) -> JobResult<String> {
//!         if cx.attempt() == 1 { return Err(JobError::retry("the line is busy")); }
//!         Ok(format!("hello, {}", self.name))
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() {
//!     let mut harness = Harness::new();
//!     harness.register::<Greet>(());
//!
//!     // The code under test is given `harness.longhaul()`; here we enqueue ourselves.
//!     let id = harness.enqueue(Greet { name: "Ada".into() });
//!     harness.assert_enqueued::<Greet>(|job| job.name == "Ada");
//!
//!     let ran = harness.drain().await;
//!     assert!(matches!(ran[0].outcome, Outcome::Retry { .. }));
//!     assert_eq!(harness.job(&id).state, State::Scheduled);
//!
//!     harness.advance(Duration::from_secs(2));
//!     harness.drain().await;
//!     assert_eq!(harness.job(&id).output.unwrap().to_value(), "hello, Ada");
//! }
//! ```

mod intercept;
mod simulation;

pub use intercept::{Answer, Call, Intercept};
pub use simulation::Simulation;

use std::fmt::Write;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt;

use crate::clock::{Clock, Timestamp};
use crate::handle::{EnqueueOptions, Longhaul};
use crate::job::Job;
use crate::memory::MemoryStore;
use crate::model::{
    Claim, Claimed, JobFilter, JobId, JobRecord, Outcome, Page, QueueSlots, State, WorkerInfo, process_id,
};
use crate::runtime::Runtime;
use crate::store::Result;
use crate::worker::layer::{Layers, RunLayer, Stack};
use crate::worker::{Registry, RunningJob, execute};

/// Runs an application's jobs inside a test, one after the other, on a clock that the test moves.
#[derive(Debug)]
pub struct Harness {
    clock: Clock,
    longhaul: Longhaul,
    registry: Registry,
    layers: Layers,
}

/// One run of a job, as [`Harness::drain`] saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Its end.
    pub outcome: Outcome,
}

/// More runs than this in one drain are taken for jobs that enqueue each other for ever.
const MOST_RUNS: usize = 10_000;
/// No test advances its clock this far while a job runs, so that no lease ends in a drain.
const LEASE: Duration = Duration::from_secs(365 * 86_400);

impl Harness {
    /// An empty store whose clock stands at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        let clock = Clock::manual();
        let longhaul = Longhaul::new(MemoryStore::with_clock(clock.clone()));
        Self { clock, longhaul, registry: Registry::default(), layers: Layers::default() }
    }

    /// Lets [`drain`](Self::drain) run jobs of this kind, each with a clone of `state`.
    pub fn register<J: Job>(&mut self, state: J::State) -> &mut Self {
        self.longhaul.declare::<J>();
        self.registry.register::<J>(state);
        self
    }

    /// Puts a [layer](crate::layer) around every run, as [`WorkerBuilder::layer`](crate::WorkerBuilder::layer) does. Each drain
    /// puts the layers around its runs anew.
    pub fn layer(&mut self, layer: impl RunLayer) -> &mut Self {
        self.layers.add(layer);
        self
    }

    /// The handle to give to the code under test.
    #[must_use]
    pub fn longhaul(&self) -> &Longhaul {
        &self.longhaul
    }

    /// The time on the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Enqueues a job and returns its id.
    ///
    /// # Panics
    /// If the job breaks a bound.
    #[track_caller]
    pub fn enqueue<J: Job>(&self, job: J) -> JobId {
        self.enqueue_with(job, EnqueueOptions::default())
    }

    /// Enqueues a job with some of its type's defaults changed; returns the id of the job that stands for it.
    ///
    /// # Panics
    /// If the job breaks a bound.
    #[track_caller]
    pub fn enqueue_with<J: Job>(&self, job: J, options: EnqueueOptions) -> JobId {
        at_once("enqueue a job", self.longhaul.enqueue_with(job, options)).id
    }

    /// Runs every registered job that is available, and those that they make available, until none is left.
    /// Returns the runs in their order. What is scheduled for later waits for [`advance`](Self::advance), and so do the
    /// jobs of a limit key that one of them has found at its limit.
    ///
    /// # Panics
    /// After 10,000 runs, which only jobs that follow each other without end come to.
    pub async fn drain(&self) -> Vec<Ran> {
        let mut runs = Vec::new();
        let stack = Stack::new(self.registry.clone(), &self.layers, self.longhaul.clone());
        while let Some(claimed) = self.claim_next() {
            assert!(runs.len() < MOST_RUNS, "drained {MOST_RUNS} runs and there is more; {}", self.listing());
            runs.extend(self.run(claimed, &stack).await);
        }
        runs
    }

    async fn run(&self, claimed: Claimed, stack: &Stack) -> Option<Ran> {
        let (kind, attempt) = (claimed.kind.clone(), claimed.attempt);
        let job = RunningJob::new(claimed, Runtime::default(), Duration::ZERO, LEASE, None);
        let finish = execute(&job, stack).await?;
        let ran = Ran { id: finish.lease.id.clone(), kind, attempt, outcome: finish.outcome.clone() };
        at_once("finish a job", self.longhaul.store().finish(vec![finish]));
        Some(ran)
    }

    fn claim_next(&self) -> Option<Claimed> {
        let queues = at_once("list the queues", self.longhaul.store().queues());
        let worker = WorkerInfo {
            id: "harness".into(),
            process: process_id().to_owned(),
            host: "localhost".into(),
            ..WorkerInfo::default()
        };
        queues.into_iter().find_map(|queue| {
            let claim = Claim {
                worker: worker.clone(),
                queues: vec![QueueSlots { queue: queue.name, slots: 1 }],
                kinds: self.registry.supported(),
                lease_for: LEASE,
                wait: Duration::ZERO,
            };
            at_once("claim a job", self.longhaul.store().claim(claim)).pop()
        })
    }

    /// Moves the clock forward; jobs that have fallen due by then become available.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        while !at_once("sweep", self.longhaul.store().sweep(1_000)).is_empty() {}
    }

    /// The job as it now is.
    ///
    /// # Panics
    /// If there is no such job.
    #[track_caller]
    #[must_use]
    pub fn job(&self, id: &JobId) -> JobRecord {
        let Some(record) = at_once("look a job up", self.longhaul.get(id)).found() else {
            panic!("there is no job {id}; {}", self.listing())
        };
        record
    }

    /// Checks that a job of kind `J` that satisfies `is_meant` waits to be run, and returns it: the first of
    /// them, where there are more.
    ///
    /// # Panics
    /// If there is none, with a list of what is there.
    #[track_caller]
    pub fn assert_enqueued<J: Job>(&self, is_meant: impl Fn(&J) -> bool) -> JobRecord {
        let Some(record) = self.waiting::<J>(is_meant).pop() else {
            panic!("no job of kind '{}' that was asked for waits; {}", J::KIND, self.listing())
        };
        record
    }

    /// Checks that no job of kind `J` that satisfies `is_meant` waits to be run.
    ///
    /// # Panics
    /// If there is one, with a list of what is there.
    #[track_caller]
    pub fn refute_enqueued<J: Job>(&self, is_meant: impl Fn(&J) -> bool) {
        if let Some(record) = self.waiting::<J>(is_meant).pop() {
            panic!(
                "job {} of kind '{}' waits, and none should that fits; {}",
                record.id,
                J::KIND,
                self.listing()
            );
        }
    }

    /// Newest first.
    #[track_caller]
    fn waiting<J: Job>(&self, is_meant: impl Fn(&J) -> bool) -> Vec<JobRecord> {
        let filter = JobFilter {
            kinds: vec![J::KIND.to_owned()],
            states: vec![State::Blocked, State::Scheduled, State::Available],
            ..JobFilter::default()
        };
        let mut jobs = self.list(&filter);
        jobs.retain(|record| match record.args.to::<J>() {
            Ok(job) => is_meant(&job),
            Err(error) => panic!("failed to read the args of job {} ({:?}): {error}", record.id, record.args),
        });
        jobs
    }

    fn list(&self, filter: &JobFilter) -> Vec<JobRecord> {
        let mut jobs = Vec::new();
        let mut cursor = None;
        loop {
            let page = at_once(
                "list",
                self.longhaul.store().list(filter, Page { cursor, limit: 1_000, ..Page::default() }),
            );
            jobs.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                return jobs;
            }
        }
    }

    /// All jobs, oldest first, for a message.
    fn listing(&self) -> String {
        let jobs = self.list(&JobFilter::default());
        if jobs.is_empty() {
            return "there are no jobs at all".into();
        }
        let shown = jobs.iter().rev().take(50);
        let mut listing = format!("the {} jobs that are there:", jobs.len());
        for job in shown {
            let JobRecord { id, kind, queue, state, args, .. } = job;
            // Writing to a string cannot fail.
            let _ = write!(listing, "\n  {kind} {id} in '{queue}', {state}: {}", args.as_str());
        }
        if jobs.len() > 50 {
            listing.push_str("\n  …");
        }
        listing
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer of a call to the store in memory, which makes nobody wait: this keeps the assertions free of
/// `await`, so that a panic names the test's own line.
#[track_caller]
fn at_once<T>(operation: &str, call: impl Future<Output = Result<T>>) -> T {
    match call.now_or_never() {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => panic!("failed to {operation}: {error}"),
        None => panic!("failed to {operation}: the store in memory did not answer at once"),
    }
}
