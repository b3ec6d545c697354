//! Tools for the tests of an application: a store in memory, a manual clock, and jobs that run on command.
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

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, pending};

use crate::clock::{Clock, Timestamp};
use crate::handle::{EnqueueOptions, Longhaul};
use crate::job::{Job, JobResult};
use crate::memory::MemoryStore;
use crate::model::{
    Claim, Claimed, JobFilter, JobId, JobRecord, Outcome, Page, QueueInfo, QueueSlots, State, SupportedKind,
    WorkerInfo, process_id,
};
use crate::runtime::Runtime;
use crate::store::Result;
use crate::worker::layer::{Layers, RunLayer, Stack};
use crate::worker::{Collect, Collected, Registry, RunningJob, execute, run_call};

/// Runs an application's jobs inside a test, one after the other, on a clock that the test moves.
#[derive(Debug)]
pub struct Harness {
    clock: Clock,
    longhaul: Longhaul,
    registry: Registry,
    layers: Layers,
    labels: BTreeMap<String, String>,
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
        let (registry, layers) = (Registry::default(), Layers::default());
        Self { clock, longhaul, registry, layers, labels: BTreeMap::new() }
    }

    /// Lets [`drain`](Self::drain) run jobs of this kind, each with a clone of `state`.
    pub fn register<J: Job>(&mut self, state: J::State) -> &mut Self {
        self.longhaul.declare::<J>();
        self.registry.register::<J>(state);
        self
    }

    /// Lets [`drain`](Self::drain) hand jobs of this kind to `handler` many at a time, as
    /// [`WorkerBuilder::collect`](crate::WorkerBuilder::collect) does. A call has what is available: no time passes in a drain.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where `collect` breaks a bound.
    pub fn collect<J, F, R>(&mut self, state: J::State, collect: Collect, handler: F) -> Result<&mut Self>
    where
        J: Job,
        F: Fn(J::State, Vec<Collected<J>>) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult<()>> + Send + 'static,
    {
        self.longhaul.declare::<J>();
        self.registry.collect::<J, F, R>(state, collect, handler)?;
        Ok(self)
    }

    /// Puts a [layer](crate::layer) around every run, as [`WorkerBuilder::layer`](crate::WorkerBuilder::layer) does. Each drain
    /// puts the layers around its runs anew.
    pub fn layer(&mut self, layer: impl RunLayer) -> &mut Self {
        self.layers.add(layer);
        self
    }

    /// Labels the worker that a drain stands for, as [`WorkerBuilder::label`](crate::WorkerBuilder::label) does. Without its labels a
    /// job of a hard [preference](crate::Prefer) never runs, and one of a soft one once the clock was moved by a second.
    pub fn label(&mut self, label: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.labels.insert(label.into(), value.into());
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
        loop {
            let calls = self.claim_next();
            if calls.is_empty() {
                return runs;
            }
            for jobs in calls {
                let listing = || self.listing();
                assert!(runs.len() < MOST_RUNS, "drained {MOST_RUNS} runs and there is more; {}", listing());
                runs.extend(self.run(jobs, &stack).await);
            }
        }
    }

    /// Runs jobs that go together: one, or those of a call.
    async fn run(&self, claimed: Vec<Claimed>, stack: &Stack) -> Vec<Ran> {
        let job = |claimed| RunningJob::new(claimed, Runtime::default(), Duration::ZERO, LEASE, None);
        let jobs: Vec<_> = claimed.into_iter().map(job).collect();
        let run = async |job: &Arc<RunningJob>| {
            let finish = execute(job, stack).await?;
            let Claimed { kind, attempt, .. } = &job.claimed;
            let (id, outcome) = (finish.lease.id.clone(), finish.outcome.clone());
            at_once("finish a job", self.longhaul.store().finish(vec![finish]));
            Some(Ran { id, kind: kind.clone(), attempt: *attempt, outcome })
        };
        let runner = jobs.first().and_then(|job| self.registry.get(&job.claimed.kind));
        let ran = match runner.filter(|runner| runner.is_collecting()) {
            Some(runner) => {
                let members = jobs.iter().map(|job| (Arc::clone(job), run(job))).collect();
                run_call(runner, members, &self.clock, pending()).await
            }
            None => join_all(jobs.iter().map(run)).await,
        };
        ran.into_iter().flatten().collect()
    }

    /// The next job, or the next calls of a kind that is collected, each with its jobs.
    fn claim_next(&self) -> Vec<Vec<Claimed>> {
        let queues = at_once("list the queues", self.longhaul.store().queues());
        if let Some(job) =
            queues.iter().find_map(|queue| self.claim(&queue.name, 1, self.registry.single()).pop())
        {
            return vec![vec![job]];
        }
        for (kind, collect) in self.registry.collecting() {
            let claim = |queue: &QueueInfo| self.claim(&queue.name, MOST_RUNS, vec![kind.clone()]);
            let mut keys: Vec<(String, Option<String>, Vec<Claimed>)> = Vec::new();
            for job in queues.iter().flat_map(claim) {
                let key = collect.key(&job.args);
                match keys.iter_mut().find(|known| known.0 == job.queue && known.1 == key) {
                    Some(known) => known.2.push(job),
                    None => keys.push((job.queue.clone(), key, vec![job])),
                }
            }
            if !keys.is_empty() {
                let calls = keys.iter().flat_map(|(.., jobs)| jobs.chunks(collect.max).map(<[_]>::to_vec));
                return calls.collect();
            }
        }
        Vec::new()
    }

    fn claim(&self, queue: &str, slots: usize, kinds: Vec<SupportedKind>) -> Vec<Claimed> {
        let worker = WorkerInfo {
            id: "harness".into(),
            process: process_id().to_owned(),
            host: "localhost".into(),
            labels: self.labels.clone(),
            ..WorkerInfo::default()
        };
        let queues = vec![QueueSlots { queue: queue.to_owned(), slots }];
        let claim = Claim { worker, queues, kinds, lease_for: LEASE, wait: Duration::ZERO };
        at_once("claim jobs", self.longhaul.store().claim(claim))
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

/// The answer of a call to the store in memory, which is ready at once: this keeps the assertions free of `await`, so
/// that a panic names the test's own line.
#[track_caller]
fn at_once<T>(operation: &str, call: impl Future<Output = Result<T>>) -> T {
    match call.now_or_never() {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => panic!("failed to {operation}: {error}"),
        None => panic!("failed to {operation}: the store in memory did not answer at once"),
    }
}
