//! A store that notes in the history what is claimed and finished through it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Claim, Claimed, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId, JobPage, Lease,
    LeaseStatus, Lookup, NewJob, Outcome, Page, QueueConfig, QueueInfo, Record, Result, Store, Swept,
    Timestamp, WorkerInfo,
};

use crate::history::{Accepted, End, History, What};

/// The store of a worker under observation.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// Where it is noted.
    pub(crate) history: History,
}

impl Observed {
    fn claimed(&self, claimed: &[Claimed], asked: Timestamp) {
        let pid = std::process::id();
        let seen = claimed.iter().map(|job| What::Claimed {
            job: job.lease.id.to_string(),
            token: job.lease.token,
            pid,
            asked,
        });
        self.note(seen.collect());
    }

    fn finished(&self, ends: Vec<(Lease, End)>, statuses: &[LeaseStatus], asked: Timestamp) {
        let pid = std::process::id();
        let seen = ends.into_iter().zip(statuses).map(|((lease, outcome), status)| What::Finished {
            job: lease.id.to_string(),
            token: lease.token,
            pid,
            outcome,
            accepted: if *status == LeaseStatus::Lost { Accepted::No } else { Accepted::Yes },
            asked,
        });
        self.note(seen.collect());
    }

    fn note(&self, seen: Vec<What>) {
        if !seen.is_empty() {
            self.history.note(seen);
        }
    }
}

fn ends(finishes: &[Finish]) -> Vec<(Lease, End)> {
    let end = |finish: &Finish| match finish.outcome {
        Outcome::Completed { .. } => End::Completed,
        Outcome::RateLimited { delay } => End::RateLimited(delay.as_millis() as u64),
        _ => End::Other,
    };
    finishes.iter().map(|finish| (finish.lease.clone(), end(finish))).collect()
}

#[async_trait]
impl Store for Observed {
    async fn migrate(&self) -> Result<()> {
        self.store.migrate().await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.store.enqueue(jobs).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let asked = self.history.now();
        let claimed = self.store.claim(claim).await?;
        self.claimed(&claimed, asked);
        Ok(claimed)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.store.heartbeat(worker, leases, lease_for).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        self.store.record(records).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        let (asked, ends) = (self.history.now(), ends(&finishes));
        let statuses = self.store.finish(finishes).await?;
        self.finished(ends, &statuses, asked);
        Ok(statuses)
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let (asked, ends) = (self.history.now(), ends(&finishes));
        let turn = self.store.finish_and_claim(finishes, claim).await?;
        self.finished(ends, &turn.finished, asked);
        self.claimed(&turn.claimed, asked);
        Ok(turn)
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.store.sweep(limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        self.store.get(ids).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        self.store.list(filter, page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.store.events(id, after, limit, wait).await
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        self.store.act(filter, action, limit).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.store.queues().await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        self.store.set_queue(queue, config).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.store.workers().await
    }
}
