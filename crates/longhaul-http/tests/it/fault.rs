//! A store that fails as it is told, to see what the callers of a server with such a store see.

use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Action, Claim, Claimed, Enqueued, Error, Event, Finish, JobFilter, JobId, JobPage, Lease, LeaseStatus,
    Longhaul, Lookup, NewJob, Page, QueueConfig, QueueInfo, Record, Result, Store, Swept, WorkerInfo,
};

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
    let longhaul = Longhaul::new(Faulty(fault));
    kinds::declare(&longhaul);
    longhaul
}

#[derive(Debug)]
struct Faulty(Fault);

impl Faulty {
    async fn fail<T>(&self) -> Result<T> {
        match self.0 {
            Fault::Unavailable => Err(Error::Unavailable { store: "faulty", source: SECRET.into() }),
            Fault::Broken => Err(Error::Store { store: "faulty", operation: "work", source: SECRET.into() }),
            Fault::Panics => panic!("{SECRET}"),
            Fault::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn migrate(&self) -> Result<()> {
        self.fail().await
    }
    async fn enqueue(&self, _: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.fail().await
    }
    async fn claim(&self, _: Claim) -> Result<Vec<Claimed>> {
        self.fail().await
    }
    async fn heartbeat(&self, _: &WorkerInfo, _: &[Lease], _: Duration) -> Result<Vec<LeaseStatus>> {
        self.fail().await
    }
    async fn record(&self, _: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.fail().await
    }
    async fn finish(&self, _: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.fail().await
    }
    async fn sweep(&self, _: usize) -> Result<Swept> {
        self.fail().await
    }
    async fn get(&self, _: &[JobId]) -> Result<Vec<Lookup>> {
        self.fail().await
    }
    async fn list(&self, _: &JobFilter, _: Page) -> Result<JobPage> {
        self.fail().await
    }
    async fn events(&self, _: &JobId, _: u64, _: usize, _: Duration) -> Result<Option<Vec<Event>>> {
        self.fail().await
    }
    async fn act(&self, _: &JobFilter, _: Action, _: usize) -> Result<u64> {
        self.fail().await
    }
    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.fail().await
    }
    async fn set_queue(&self, _: &str, _: &QueueConfig) -> Result<()> {
        self.fail().await
    }
    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.fail().await
    }
}
