//! Stores with one fault each: the model test must find it, or its silence about another store means nothing.

use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Claim, Claimed, Clock, Enqueued, Entry, Event, EventBody, Finish, JobFilter, JobId,
    JobPage, JobRecord, Lease, LeaseStatus, Lookup, MemoryStore, NewJob, OnClash, Outcome, Page, QueueConfig,
    QueueInfo, Record, Result, Start, State, Store, Swept, Unique, WorkerInfo,
};
use longhaul_conformance::Fixture;
use longhaul_conformance::model::{CASES, find_difference};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    DelaysNothing,
    DropsChunks,
    DropsFollowUps,
    DropsResets,
    DropsSecondErrors,
    FreesNoParent,
    FreesParentsTwice,
    FreesParentsWithTheFirstChild,
    IgnoresPriority,
    IgnoresTheGrace,
    IgnoresUniqueKeys,
    LosesSteps,
    PausesOneJobOnly,
    RefreshesNothing,
    ReportsNoRescue,
    SaysHeldWhenLost,
    ShortensPauses,
    TakesEveryVersion,
}

const FAULTS: [Fault; 18] = [
    Fault::DelaysNothing,
    Fault::DropsChunks,
    Fault::DropsFollowUps,
    Fault::DropsResets,
    Fault::DropsSecondErrors,
    Fault::FreesNoParent,
    Fault::FreesParentsTwice,
    Fault::FreesParentsWithTheFirstChild,
    Fault::IgnoresPriority,
    Fault::IgnoresTheGrace,
    Fault::IgnoresUniqueKeys,
    Fault::LosesSteps,
    Fault::PausesOneJobOnly,
    Fault::RefreshesNothing,
    Fault::ReportsNoRescue,
    Fault::SaysHeldWhenLost,
    Fault::ShortensPauses,
    Fault::TakesEveryVersion,
];

#[test]
fn the_model_test_finds_each_fault() {
    // A fault that takes a long story to show is found by most runs of `CASES` stories, but this test is to pass
    // every time.
    let cases = 10 * CASES;
    for fault in FAULTS {
        let difference = find_difference(
            || async move {
                let clock = Clock::manual();
                let inner = MemoryStore::with_clock(clock.clone());
                Fixture::new(Faulty { inner, fault }, clock)
            },
            cases,
        );
        assert!(difference.is_some(), "a store that {fault:?} passes for a good one");
    }
}

/// A memory store whose calls are bent on their way in or out.
#[derive(Debug)]
struct Faulty {
    inner: MemoryStore,
    fault: Fault,
}

impl Faulty {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn bend(&self, mut job: NewJob) -> NewJob {
        match self.fault {
            Fault::DelaysNothing => job.start = Start::Now,
            Fault::IgnoresPriority => job.priority = 0,
            Fault::IgnoresUniqueKeys => job.unique = None,
            Fault::TakesEveryVersion => job.version = 1,
            Fault::RefreshesNothing => {
                job.unique = job.unique.map(|unique| Unique { on_clash: OnClash::Join, ..unique });
            }
            _ => {}
        }
        job
    }

    /// Has the closing jobs whose children these runs were free once more, where they have run.
    async fn free_again(&self, leases: &[Lease]) -> Result<()> {
        let ids: Vec<JobId> = leases.iter().map(|lease| lease.id.clone()).collect();
        for child in self.inner.get(&ids).await?.into_iter().filter_map(Lookup::found) {
            let Some(parent) = child.parent.filter(|_| child.state.is_finished()) else { continue };
            let parent = self.inner.get(&[parent]).await?.remove(0).found();
            if let Some(parent) = parent.filter(|parent| parent.children.is_some()) {
                self.inner.act(&JobFilter::id(parent.id), Action::Retry, 1).await?;
            }
        }
        Ok(())
    }

    fn bend_record(&self, job: &mut JobRecord) {
        let ended = job.children.map_or(0, |children| children.total - children.unfinished());
        match self.fault {
            Fault::DropsSecondErrors => job.errors.truncate(1),
            Fault::FreesNoParent if job.state == State::Available && job.attempt == 0 && ended > 0 => {
                (job.state, job.position) = (State::Blocked, None);
            }
            Fault::FreesParentsWithTheFirstChild if job.state == State::Blocked && ended > 0 => {
                job.state = State::Available;
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn migrate(&self) -> Result<()> {
        self.inner.migrate().await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        self.inner.enqueue(jobs.into_iter().map(|job| self.bend(job)).collect()).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let mut claimed = self.inner.claim(claim).await?;
        if self.has(Fault::LosesSteps) {
            claimed.iter_mut().for_each(|claimed| claimed.steps.clear());
        }
        Ok(claimed)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.inner.heartbeat(worker, leases, lease_for).await
    }

    async fn record(&self, mut records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        if self.has(Fault::DropsChunks) {
            for record in &mut records {
                record.entries.retain(|entry| !matches!(entry, Entry::Chunk { .. }));
            }
        }
        self.inner.record(records).await
    }

    async fn finish(&self, mut finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        for finish in &mut finishes {
            if self.has(Fault::DropsFollowUps) {
                finish.follow_ups.clear();
            }
            if let Outcome::RateLimited { delay } = finish.outcome {
                match self.fault {
                    Fault::PausesOneJobOnly => finish.outcome = Outcome::Snoozed { delay },
                    Fault::ShortensPauses => finish.outcome = Outcome::RateLimited { delay: delay / 2 },
                    _ => {}
                }
            }
            if self.has(Fault::DelaysNothing)
                && let Outcome::Retry { delay, .. } = &mut finish.outcome
            {
                *delay = Duration::ZERO;
            }
        }
        let leases: Vec<Lease> = finishes.iter().map(|finish| finish.lease.clone()).collect();
        let mut statuses = self.inner.finish(finishes).await?;
        if self.has(Fault::FreesParentsTwice) {
            self.free_again(&leases).await?;
        }
        if self.has(Fault::SaysHeldWhenLost) {
            statuses.fill(LeaseStatus::Held);
        }
        Ok(statuses)
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        let swept = self.inner.sweep(limit).await?;
        Ok(if self.has(Fault::ReportsNoRescue) { Swept { rescued: 0, ..swept } } else { swept })
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        let mut lookups = self.inner.get(ids).await?;
        for lookup in &mut lookups {
            if let Lookup::Found(job) = lookup {
                self.bend_record(job);
            }
        }
        Ok(lookups)
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
        let mut events = self.inner.events(id, after, limit, wait).await?;
        if let (Fault::DropsResets, Some(events)) = (self.fault, &mut events) {
            events.retain(|event| event.body != EventBody::Reset);
        }
        Ok(events)
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        match action {
            Action::Cancel { .. } if self.has(Fault::IgnoresTheGrace) => {
                self.inner.act(filter, Action::Cancel { grace: Duration::ZERO }, limit).await
            }
            _ => self.inner.act(filter, action, limit).await,
        }
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
