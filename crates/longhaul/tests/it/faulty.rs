//! A store that can be told to fail: all else it leaves to the store in memory.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::clock::Stopwatch;
use longhaul::{
    Acted, Action, Claim, Claimed, Clock, Enqueued, Error, Event, Finish, JobFilter, JobId, JobPage, Lease,
    LeaseStatus, Longhaul, Lookup, MemoryStore, NewJob, Page, QueueConfig, QueueInfo, Record, Result, Store,
    Swept, WorkerInfo,
};
use parking_lot::{Condvar, Mutex};

use crate::script::OnDrop;

#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: MemoryStore,
    faults: Mutex<HashMap<Operation, (Fault, usize)>>,
    /// Heartbeats that were answered and had a lease with them, and when the last of these was sent.
    beats: Mutex<(usize, Option<Stopwatch>)>,
    beaten: Condvar,
    last_words: Mutex<Option<OnDrop>>,
}

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Claim,
    Heartbeat,
    Record,
    Finish,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and an error says so.
    Refuse,
    /// It is done, and an error is all that the caller hears.
    LoseAnswer,
    /// No answer ever comes.
    Hang,
}

impl FaultyStore {
    pub(crate) fn start(clock: Clock) -> (Longhaul, Arc<Self>) {
        let store = Arc::new(Self {
            inner: MemoryStore::with_clock(clock),
            faults: Mutex::default(),
            beats: Mutex::default(),
            beaten: Condvar::new(),
            last_words: Mutex::default(),
        });
        (Longhaul::over(Arc::clone(&store) as Arc<dyn Store>), store)
    }

    /// Lets the next `times` calls of an operation fail.
    pub(crate) fn inflict(&self, operation: Operation, fault: Fault, times: usize) {
        self.faults.lock().insert(operation, (fault, times));
    }

    /// How many calls of an operation are still to fail.
    pub(crate) fn faults_left(&self, operation: Operation) -> usize {
        self.faults.lock().get(&operation).map_or(0, |(_, left)| *left)
    }

    /// When the last answered heartbeat with leases was sent.
    pub(crate) fn last_beat(&self) -> Option<Stopwatch> {
        self.beats.lock().1
    }

    /// Blocks this thread until the next heartbeat with leases has been answered.
    pub(crate) fn block_for_beat(&self) {
        let mut beats = self.beats.lock();
        let seen = beats.0;
        while beats.0 == seen {
            let waited = self.beaten.wait_for(&mut beats, Duration::from_secs(60));
            assert!(!waited.timed_out(), "waited in vain for a heartbeat");
        }
    }

    /// The same, from async code.
    pub(crate) async fn next_beat(self: &Arc<Self>) {
        let store = Arc::clone(self);
        tokio::task::spawn_blocking(move || store.block_for_beat()).await.unwrap();
    }

    /// Tells when nobody has this store any more.
    pub(crate) fn tell_when_dropped(&self, last_words: OnDrop) {
        *self.last_words.lock() = Some(last_words);
    }

    async fn pass<T: Send>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.next_fault(operation) {
            None => call.await,
            Some(Fault::Refuse) => Err(unavailable()),
            Some(Fault::LoseAnswer) => {
                call.await?;
                Err(unavailable())
            }
            Some(Fault::Hang) => pending().await,
        }
    }

    fn next_fault(&self, operation: Operation) -> Option<Fault> {
        let mut faults = self.faults.lock();
        let (fault, left) = faults.get_mut(&operation).filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(*fault)
    }
}

fn unavailable() -> Error {
    Error::Unavailable { store: "faulty", source: "it was told to fail".into() }
}

#[async_trait]
impl Store for FaultyStore {
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.pass(Operation::Claim, self.inner.claim(claim)).await
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let sent = Stopwatch::start();
        let beat = self.inner.heartbeat(worker, leases, lease_for);
        let statuses = self.pass(Operation::Heartbeat, beat).await?;
        if !leases.is_empty() {
            let mut beats = self.beats.lock();
            *beats = (beats.0 + 1, Some(sent));
            self.beaten.notify_all();
        }
        Ok(statuses)
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.pass(Operation::Record, self.inner.record(records)).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.pass(Operation::Finish, self.inner.finish(finishes)).await
    }

    async fn migrate(&self) -> Result<()> {
        self.inner.migrate().await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.inner.enqueue(jobs).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.inner.sweep(limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.inner.get(ids).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.inner.list(filter, page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.inner.events(id, after, limit, wait).await
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.inner.act(filter, action, limit).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.inner.queues().await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.inner.set_queue(queue, config).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.inner.workers().await
    }
}
