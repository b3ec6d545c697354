//! A store that fails as it is told, to see what the callers of a server with such a store see.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Claim, Claimed, Clock, Enqueued, Error, Event, Finish, JobFilter, JobId, JobPage, Lease,
    LeaseStatus, Longhaul, Lookup, MemoryStore, NewJob, Page, QueueConfig, QueueInfo, Record, Result, Store,
    Swept, WorkerInfo,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kinds;

/// What every operation of a [`Faulty`] store does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It cannot be reached.
    Unavailable,
    /// It fails.
    Broken,
    /// It panics.
    Panics,
    /// It never answers.
    Hangs,
}

/// What no answer may contain.
pub(crate) const SECRET: &str = "password 'hunter2' of /var/lib/jobs.db";

pub(crate) fn longhaul(fault: Fault) -> Longhaul {
    let (longhaul, switch) = switched(Clock::manual());
    switch.set(Some(fault));
    longhaul
}

/// A store in memory that can be made to fail, and to work again.
pub(crate) fn switched(clock: Clock) -> (Longhaul, Switch) {
    let switch = Switch {
        fault: Arc::default(),
        refused: Arc::default(),
        store: Arc::new(MemoryStore::with_clock(clock)),
    };
    let longhaul = Longhaul::new(Faulty(switch.clone()));
    kinds::declare(&longhaul);
    (longhaul, switch)
}

/// What a [`Faulty`] store does from now on.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    fault: Arc<Mutex<Option<Fault>>>,
    /// How many calls have failed.
    refused: Arc<watch::Sender<usize>>,
    store: Arc<MemoryStore>,
}

impl Switch {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock() = fault;
    }

    /// Waits until so many calls have failed.
    pub(crate) async fn refused(&self, count: usize) {
        let mut refused = self.refused.subscribe();
        let enough = refused.wait_for(|refused| *refused >= count);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("it is called").unwrap();
    }

    /// Changes a job behind the store's back, so that whoever waits for it looks again.
    pub(crate) async fn wake(&self, id: &JobId) {
        let cancel = Action::Cancel { grace: Duration::ZERO };
        self.store.act(&JobFilter::id(id.clone()), cancel, 1).await.unwrap();
    }
}

#[derive(Debug)]
struct Faulty(Switch);

impl Faulty {
    async fn check(&self) -> Result<()> {
        let fault = *self.0.fault.lock();
        if fault.is_some() {
            self.0.refused.send_modify(|refused| *refused += 1);
        }
        match fault {
            None => Ok(()),
            Some(Fault::Unavailable) => Err(Error::Unavailable { store: "faulty", source: SECRET.into() }),
            Some(Fault::Broken) => {
                Err(Error::Store { store: "faulty", operation: "work", source: SECRET.into() })
            }
            Some(Fault::Panics) => panic!("{SECRET}"),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn migrate(&self) -> Result<()> {
        self.check().await?;
        self.0.store.migrate().await
    }
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.check().await?;
        self.0.store.enqueue(jobs).await
    }
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.check().await?;
        self.0.store.claim(claim).await
    }
    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.check().await?;
        self.0.store.heartbeat(worker, leases, lease_for).await
    }
    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.check().await?;
        self.0.store.record(records).await
    }
    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.check().await?;
        self.0.store.finish(finishes).await
    }
    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.check().await?;
        self.0.store.sweep(limit).await
    }
    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.check().await?;
        self.0.store.get(ids).await
    }
    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.check().await?;
        self.0.store.list(filter, page).await
    }
    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.check().await?;
        let events = self.0.store.events(id, after, limit, wait).await;
        // It may have gone away while it was waited for.
        self.check().await?;
        events
    }
    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.check().await?;
        self.0.store.act(filter, action, limit).await
    }
    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.check().await?;
        self.0.store.queues().await
    }
    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.check().await?;
        self.0.store.set_queue(queue, config).await
    }
    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.check().await?;
        self.0.store.workers().await
    }
}
