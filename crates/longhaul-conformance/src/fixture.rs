use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{
    Action, Claim, Claimed, Clock, EnqueueStatus, Enqueued, Entry, Error, Event, Finish, FinishAndClaim,
    JobFilter, JobId, JobRecord, Lease, LeaseStatus, Lookup, NewJob, Outcome, Page, QueueConfig, QueueInfo,
    Record, Result, State, Store, Swept, Timestamp, WorkerInfo,
};

use crate::jobs::{LEASE, QUEUE, claim, finish, job, slots, worker};

/// A store under test, empty and migrated, and the manual clock that it was built with. Each test has its own.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The store under test.
    pub store: Arc<dyn Store>,
    /// The store's clock, which only the test moves.
    pub clock: Clock,
    /// Whatever must live as long as the store: a temporary folder, say.
    pub keep: Arc<dyn Any + Send + Sync>,
}

/// A test that waits longer than this has lost a wake-up. It guards against hanging, and measures nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Awaits `future`, and fails the test where it hangs.
///
/// # Panics
/// If `future` is not ready in time.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: no answer within {PATIENCE:?}"),
    }
}

/// Every method panics where the store answers with a fault: none of them is expected in this suite.
impl Fixture {
    /// A fixture that has nothing else to keep alive.
    pub fn new(store: impl Store, clock: Clock) -> Self {
        Self { store: Arc::new(store), clock, keep: Arc::new(()) }
    }

    /// The time on the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Enqueues a job that must be created, and answers its id.
    pub async fn enqueue(&self, job: NewJob) -> JobId {
        let answer = self.enqueue_all(vec![job]).await.remove(0);
        assert_eq!(answer.status, EnqueueStatus::Created, "{} was to be created", answer.id);
        answer.id
    }

    /// Enqueues jobs, and checks that each is answered.
    pub async fn enqueue_all(&self, jobs: Vec<NewJob>) -> Vec<Enqueued> {
        let count = jobs.len();
        let answers = ok("enqueue", self.store.enqueue(jobs).await);
        assert_eq!(answers.len(), count, "an enqueue answers once for each job");
        answers
    }

    /// Enqueues one job and answers what became of it.
    pub async fn offer(&self, job: NewJob) -> Enqueued {
        self.enqueue_all(vec![job]).await.remove(0)
    }

    /// Enqueues a plain job and claims it.
    pub async fn running(&self) -> Claimed {
        self.running_from(job()).await
    }

    /// Enqueues `job`, of the usual kind and queue, and claims it; nothing else may be available.
    pub async fn running_from(&self, job: NewJob) -> Claimed {
        let id = self.enqueue(job).await;
        let claimed = self.claim_one().await;
        assert_eq!(claimed.lease.id, id, "the only available job is claimed");
        claimed
    }

    /// Enqueues plain jobs and claims them; nothing else may be available.
    pub async fn claim_many(&self, count: usize) -> Vec<Lease> {
        self.enqueue_all((0..count).map(|_| job()).collect()).await;
        let claimed = self.claim(claim()).await;
        assert_eq!(claimed.len(), count, "all that is available is claimed");
        claimed.into_iter().map(|claimed| claimed.lease).collect()
    }

    /// Claims.
    pub async fn claim(&self, claim: Claim) -> Vec<Claimed> {
        ok("claim", self.store.claim(claim).await)
    }

    /// Claims all that is available in the usual queue, and answers the ids.
    pub async fn claim_ids(&self) -> Vec<JobId> {
        self.claim(claim()).await.into_iter().map(|claimed| claimed.lease.id).collect()
    }

    /// Claims all that is available in the usual queue, and answers the leases.
    pub async fn claim_leases(&self) -> Vec<Lease> {
        self.claim(claim()).await.into_iter().map(|claimed| claimed.lease).collect()
    }

    /// Claims one job of the usual queue, which must have one.
    pub async fn claim_one(&self) -> Claimed {
        let mut claimed = self.claim(Claim { queues: vec![slots(QUEUE, 1)], ..claim() }).await;
        assert_eq!(claimed.len(), 1, "one job is claimed into one slot");
        claimed.remove(0)
    }

    /// Ends one run.
    pub async fn finish(&self, lease: &Lease, outcome: Outcome) -> LeaseStatus {
        self.finish_all(vec![finish(lease, outcome)]).await[0]
    }

    /// Ends one run whose lease is current.
    pub async fn end(&self, lease: &Lease, outcome: Outcome) {
        assert_eq!(self.finish(lease, outcome).await, LeaseStatus::Held, "a current lease is held");
    }

    /// Ends one run that somebody has asked to stop. Whether that is then still told is the store's choice.
    pub async fn end_asked(&self, lease: &Lease, outcome: Outcome) {
        assert_ne!(self.finish(lease, outcome).await, LeaseStatus::Lost, "a current lease is not lost");
    }

    /// Ends runs.
    pub async fn finish_all(&self, finishes: Vec<Finish>) -> Vec<LeaseStatus> {
        let count = finishes.len();
        let statuses = ok("finish", self.store.finish(finishes).await);
        assert_eq!(statuses.len(), count, "a finish answers once for each run");
        statuses
    }

    /// Ends runs and claims.
    pub async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> FinishAndClaim {
        ok("turn", self.store.finish_and_claim(finishes, claim).await)
    }

    /// Adds entries to one run.
    pub async fn record(&self, lease: &Lease, entries: Vec<Entry>) -> LeaseStatus {
        self.record_all(vec![Record { lease: lease.clone(), entries }]).await[0]
    }

    /// Adds entries to runs.
    pub async fn record_all(&self, records: Vec<Record>) -> Vec<LeaseStatus> {
        let count = records.len();
        let statuses = ok("record", self.store.record(records).await);
        assert_eq!(statuses.len(), count, "a record answers once for each run");
        statuses
    }

    /// Extends one lease by its usual length.
    pub async fn heartbeat(&self, lease: &Lease) -> LeaseStatus {
        self.heartbeat_all(&worker("w1"), std::slice::from_ref(lease), LEASE).await[0]
    }

    /// Extends leases.
    pub async fn heartbeat_all(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Vec<LeaseStatus> {
        let statuses = ok("heartbeat", self.store.heartbeat(worker, leases, lease_for).await);
        assert_eq!(statuses.len(), leases.len(), "a heartbeat answers once for each lease");
        statuses
    }

    /// Sweeps with a limit that no test reaches.
    pub async fn sweep(&self) -> Swept {
        self.sweep_some(10_000).await
    }

    /// Sweeps with a limit.
    pub async fn sweep_some(&self, limit: usize) -> Swept {
        ok("sweep", self.store.sweep(limit).await)
    }

    /// Lets every lease of the usual length expire and sweeps.
    pub async fn crash_workers(&self) -> Swept {
        self.clock.advance(LEASE + Duration::from_secs(1));
        self.sweep().await
    }

    /// Looks one id up.
    pub async fn lookup(&self, id: &JobId) -> Lookup {
        self.lookup_all(std::slice::from_ref(id)).await.remove(0)
    }

    /// Looks ids up.
    pub async fn lookup_all(&self, ids: &[JobId]) -> Vec<Lookup> {
        let lookups = ok("get", self.store.get(ids).await);
        assert_eq!(lookups.len(), ids.len(), "a look-up answers once for each id");
        lookups
    }

    /// A job that must be there.
    pub async fn job(&self, id: &JobId) -> JobRecord {
        match self.lookup(id).await {
            Lookup::Found(record) => *record,
            other => panic!("{id} was to be found, not {other:?}"),
        }
    }

    /// The state of a job that must be there.
    pub async fn state(&self, id: &JobId) -> State {
        self.job(id).await.state
    }

    /// All that can be seen of a job, to be compared with what is seen later.
    pub async fn seen(&self, id: &JobId) -> (JobRecord, Vec<Event>) {
        (self.job(id).await, self.events(id).await)
    }

    /// The whole log of a job that must be there.
    pub async fn events(&self, id: &JobId) -> Vec<Event> {
        self.events_after(id, 0, 10_000).await
    }

    /// A part of the log of a job that must be there.
    pub async fn events_after(&self, id: &JobId, after: u64, limit: usize) -> Vec<Event> {
        let events = ok("read events", self.store.events(id, after, limit, Duration::ZERO).await);
        events.unwrap_or_else(|| panic!("{id} was to have a log"))
    }

    /// The ids of a list.
    pub async fn list(&self, filter: &JobFilter) -> Vec<JobId> {
        self.list_records(filter).await.into_iter().map(|job| job.id).collect()
    }

    /// A whole list. A page may be short and yet not the last one, so only a page without a next is the end.
    pub async fn list_records(&self, filter: &JobFilter) -> Vec<JobRecord> {
        let mut jobs = Vec::new();
        let mut cursor = None;
        for _ in 0..1_000 {
            let page =
                ok("list", self.store.list(filter, Page { cursor, limit: 1_000, ..Page::default() }).await);
            jobs.extend(page.jobs);
            let Some(next) = page.next else { return jobs };
            cursor = Some(next);
        }
        panic!("a list of {} jobs has an end", jobs.len())
    }

    /// Acts on one job.
    pub async fn act(&self, id: &JobId, action: Action) -> u64 {
        self.act_on(&JobFilter::id(id.clone()), action, 1).await
    }

    /// Acts on all that fits.
    pub async fn act_on(&self, filter: &JobFilter, action: Action, limit: usize) -> u64 {
        ok("act", self.store.act(filter, action, limit).await).done
    }

    /// The queue as the store lists it; an empty one, where it does not.
    pub async fn queue(&self, name: &str) -> QueueInfo {
        let queues = ok("list queues", self.store.queues().await);
        let mut found = queues.into_iter().filter(|queue| queue.name == name);
        let queue = found.next().unwrap_or_default();
        assert!(found.next().is_none(), "queue {name} is listed once");
        queue
    }

    /// The number of jobs of a queue in each state.
    pub async fn counts(&self, queue: &str) -> BTreeMap<State, u64> {
        self.queue(queue).await.counts
    }

    /// Configures a queue.
    pub async fn set_queue(&self, queue: &str, config: &QueueConfig) {
        ok("set a queue", self.store.set_queue(queue, config).await);
    }

    /// The workers that the store knows.
    pub async fn workers(&self) -> Vec<WorkerInfo> {
        ok("list workers", self.store.workers().await)
    }
}

/// The value, where a store's answer is no fault.
pub(crate) fn ok<T>(operation: &str, answer: Result<T>) -> T {
    answer.unwrap_or_else(|error| panic!("failed to {operation}: {error}"))
}

/// Asks until the store's server is there to answer: on a busy machine a short response timeout may pass without a fault, too.
/// `patience` bounds the time that this takes.
pub async fn retry_until_available<T>(patience: Duration, ask: impl AsyncFn() -> Result<T>) -> T {
    let retrying = async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
            }
            // While the server is away a call fails at once.
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, retrying).await.expect("the store never came back")
}

/// Sees to it that a call which is to wait has looked and found nothing before the test goes on.
///
/// A store with threads of its own parks the call some time after the first poll. The work sent after it makes
/// that likely, though no test may depend on it: an answer must be right in either order.
pub(crate) async fn park<F: Future>(fixture: &Fixture, mut waiting: Pin<&mut F>) {
    for _ in 0..3 {
        assert!(futures::poll!(waiting.as_mut()).is_pending(), "with nothing to answer, a call waits");
        let elsewhere = NewJob { queue: "elsewhere".into(), ..job() };
        fixture.enqueue(elsewhere).await;
    }
    assert!(futures::poll!(waiting).is_pending(), "a job of another queue is no answer");
}
