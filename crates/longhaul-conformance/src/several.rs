use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use longhaul::moving::{Export, Exported, Imported};
use longhaul::{
    Acted, Action, Changes, Claim, Claimed, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId,
    JobPage, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page,
    QueueConfig, QueueInfo, Record, Result, Sample, Signalled, StepRecord, Store, Swept, Timestamp,
    WorkerInfo,
};

/// One database as several processes have it open: each call is made by the next of them. A store that gathers the calls of its
/// process in one transaction lets them meet in the database only where they are of several processes.
#[derive(Debug)]
pub struct Several {
    stores: Vec<Arc<dyn Store>>,
    next: AtomicUsize,
}

impl Several {
    /// The stores that the processes have, all of the same database.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn new(stores: Vec<Arc<dyn Store>>) -> Self {
        assert!(!stores.is_empty(), "a database that nobody has open answers no call");
        Self { stores, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &dyn Store {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.stores[next % self.stores.len()].as_ref()
    }
}

#[async_trait]
impl Store for Several {
    async fn migrate(&self) -> Result<()> {
        self.next().migrate().await
    }

    async fn ready(&self) -> Result<()> {
        self.next().ready().await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.next().enqueue(jobs).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.next().claim(claim).await
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.next().heartbeat(worker, leases, lease_for).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.next().record(records).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        self.next().finish(finishes).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        self.next().finish_and_claim(finishes, claim).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.next().sweep(limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.next().get(ids).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.next().list(filter, page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.next().events(id, after, limit, wait).await
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.next().act(filter, action, limit).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.next().queues().await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.next().set_queue(queue, config).await
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        self.next().update_queue(queue, before, config).await
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        self.next().pause_queue(queue).await
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        self.next().resume_queue(queue).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        self.next().lanes().await
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        self.next().set_key(key, config).await
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        self.next().pause_key(key, pause).await
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        self.next().resume_key(key).await
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        self.next().keys(filter).await
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        self.next().steps(id).await
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        self.next().signal(id, name, value).await
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        self.next().dependants(id, limit).await
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        self.next().put_samples(samples).await
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        self.next().samples(series, from).await
    }

    /// None: each store tells the changes of its own process.
    fn changes(&self) -> Option<&Changes> {
        None
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.next().workers().await
    }

    async fn export(&self) -> Result<Box<dyn Export>> {
        self.next().export().await
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        self.next().import(records).await
    }
}
