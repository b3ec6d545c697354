use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::clock::Timestamp;
use crate::model::{
    Acted, Action, Claim, Claimed, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId, JobPage, Json,
    KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page, QueueConfig, QueueInfo,
    Record, Sample, Signalled, StepRecord, Swept, WorkerInfo,
};
use crate::moving::{Export, Exported, Imported};
use crate::store::{Changes, Operations, Result, Store};

/// A store with a function around each call: it may look at the call and its answer, change both, fail in place of the store
/// or after it, wait, or do something else as well.
///
/// ```
/// use longhaul::testing::{Call, Intercept};
/// use longhaul::{Error, Longhaul, MemoryStore};
///
/// // A store that takes no jobs of kind "greet".
/// let longhaul = Longhaul::new(Intercept::new(MemoryStore::new(), async |store, call| match &call {
///     Call::Enqueue(jobs) if jobs.iter().any(|job| job.kind == "greet") => {
///         Err(Error::Unavailable { store: "test", source: "connection refused".into() })
///     }
///     _ => call.on(store.as_ref()).await,
/// }));
/// # let _ = longhaul;
/// ```
pub struct Intercept {
    store: Arc<dyn Store>,
    around: Box<Around>,
    tells_changes: bool,
}

type Around = dyn Fn(Arc<dyn Store>, Call) -> BoxFuture<'static, Result<Answer>> + Send + Sync;

/// A call of a store's method with its arguments.
#[allow(missing_docs, reason = "each is a method of `Store`, which describes it")]
#[derive(Clone, Debug)]
pub enum Call {
    Migrate,
    Ready,
    Enqueue(Vec<NewJob>),
    Claim(Claim),
    Heartbeat(WorkerInfo, Vec<Lease>, Duration),
    Record(Vec<Record>),
    Finish(Vec<Finish>),
    FinishAndClaim(Vec<Finish>, Claim),
    Sweep(usize),
    Get(Vec<JobId>),
    List(JobFilter, Page),
    Events(JobId, u64, usize, Duration),
    Act(JobFilter, Action, usize),
    Queues,
    SetQueue(String, QueueConfig),
    UpdateQueue(String, QueueConfig, QueueConfig),
    PauseQueue(String),
    ResumeQueue(String),
    Lanes,
    SetKey(String, Option<KeyConfig>),
    PauseKey(String, Duration),
    ResumeKey(String),
    Keys(KeyFilter),
    Steps(JobId),
    Signal(JobId, String, Json),
    Dependants(JobId, usize),
    PutSamples(Vec<Sample>),
    Samples(String, Timestamp),
    Workers,
}

/// The answer to a [`Call`].
#[allow(missing_docs, reason = "each is what methods of `Store` return")]
#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    Enqueued(Vec<Enqueued>),
    Claimed(Vec<Claimed>),
    Statuses(Vec<LeaseStatus>),
    FinishedAndClaimed(FinishAndClaim),
    Swept(Swept),
    Lookups(Vec<Lookup>),
    Page(JobPage),
    Events(Option<Vec<Event>>),
    Acted(Acted),
    Queues(Vec<QueueInfo>),
    Updated(bool),
    Lanes(Vec<Lane>),
    Keys(Vec<KeyInfo>),
    Steps(Option<Vec<StepRecord>>),
    Signalled(Signalled),
    Dependants(Vec<JobId>),
    Samples(Vec<Sample>),
    Workers(Vec<WorkerInfo>),
}

impl Intercept {
    /// Puts `around` around each call of `store`. It passes a call on with [`Call::on`].
    pub fn new<F>(
        store: impl Store,
        around: impl Fn(Arc<dyn Store>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self::over(Arc::new(store), around)
    }

    /// The same for a store that others hold too.
    pub fn over<F>(
        store: Arc<dyn Store>,
        around: impl Fn(Arc<dyn Store>, Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        Self {
            store,
            around: Box::new(move |store, call| Box::pin(around(store, call))),
            tells_changes: true,
        }
    }

    /// Reports no [changes](Store::changes), as a store does whose changes another process makes.
    #[must_use]
    pub fn without_changes(self) -> Self {
        Self { tells_changes: false, ..self }
    }

    async fn call(&self, call: Call) -> Result<Answer> {
        (self.around)(Arc::clone(&self.store), call).await
    }
}

impl Call {
    /// Makes the call of a store.
    ///
    /// # Errors
    /// The store's.
    pub async fn on(self, store: &dyn Store) -> Result<Answer> {
        Ok(match self {
            Call::Migrate => store.migrate().await.map(|()| Answer::Done)?,
            Call::Ready => store.ready().await.map(|()| Answer::Done)?,
            Call::Enqueue(jobs) => Answer::Enqueued(store.enqueue(jobs).await?),
            Call::Claim(claim) => Answer::Claimed(store.claim(claim).await?),
            Call::Heartbeat(worker, leases, lease_for) => {
                Answer::Statuses(store.heartbeat(&worker, &leases, lease_for).await?)
            }
            Call::Record(records) => Answer::Statuses(store.record(records).await?),
            Call::Finish(finishes) => Answer::Statuses(store.finish(finishes).await?),
            Call::FinishAndClaim(finishes, claim) => {
                Answer::FinishedAndClaimed(store.finish_and_claim(finishes, claim).await?)
            }
            Call::Sweep(limit) => Answer::Swept(store.sweep(limit).await?),
            Call::Get(ids) => Answer::Lookups(store.get(&ids).await?),
            Call::List(filter, page) => Answer::Page(store.list(&filter, page).await?),
            Call::Events(id, after, limit, wait) => {
                Answer::Events(store.events(&id, after, limit, wait).await?)
            }
            Call::Act(filter, action, limit) => Answer::Acted(store.act(&filter, action, limit).await?),
            Call::Queues => Answer::Queues(store.queues().await?),
            Call::SetQueue(queue, config) => store.set_queue(&queue, &config).await.map(|()| Answer::Done)?,
            Call::UpdateQueue(queue, before, config) => {
                Answer::Updated(store.update_queue(&queue, &before, &config).await?)
            }
            Call::PauseQueue(queue) => store.pause_queue(&queue).await.map(|()| Answer::Done)?,
            Call::ResumeQueue(queue) => store.resume_queue(&queue).await.map(|()| Answer::Done)?,
            Call::Lanes => Answer::Lanes(store.lanes().await?),
            Call::SetKey(key, config) => store.set_key(&key, config.as_ref()).await.map(|()| Answer::Done)?,
            Call::PauseKey(key, pause) => store.pause_key(&key, pause).await.map(|()| Answer::Done)?,
            Call::ResumeKey(key) => store.resume_key(&key).await.map(|()| Answer::Done)?,
            Call::Keys(filter) => Answer::Keys(store.keys(&filter).await?),
            Call::Steps(id) => Answer::Steps(store.steps(&id).await?),
            Call::Signal(id, name, value) => Answer::Signalled(store.signal(&id, &name, &value).await?),
            Call::Dependants(id, limit) => Answer::Dependants(store.dependants(&id, limit).await?),
            Call::PutSamples(samples) => store.put_samples(&samples).await.map(|()| Answer::Done)?,
            Call::Samples(series, from) => Answer::Samples(store.samples(&series, from).await?),
            Call::Workers => Answer::Workers(store.workers().await?),
        })
    }

    /// The finishes of a [`Finish`](Call::Finish) or [`FinishAndClaim`](Call::FinishAndClaim).
    #[must_use]
    pub fn finishes(&self) -> &[Finish] {
        match self {
            Call::Finish(finishes) | Call::FinishAndClaim(finishes, _) => finishes,
            _ => &[],
        }
    }

    /// The same, to change them.
    pub fn finishes_mut(&mut self) -> &mut [Finish] {
        match self {
            Call::Finish(finishes) | Call::FinishAndClaim(finishes, _) => finishes,
            _ => &mut [],
        }
    }

    /// The claim of a [`Claim`](Call::Claim) or [`FinishAndClaim`](Call::FinishAndClaim).
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Call::Claim(claim) | Call::FinishAndClaim(_, claim) => Some(claim),
            _ => None,
        }
    }
}

impl Answer {
    /// The answers to finishes, records or heartbeats, to look at or to change.
    pub fn statuses(&mut self) -> &mut [LeaseStatus] {
        match self {
            Answer::Statuses(statuses) => statuses,
            Answer::FinishedAndClaimed(answer) => &mut answer.finished,
            _ => &mut [],
        }
    }

    /// The jobs that were claimed, to look at or to change.
    pub fn claimed(&mut self) -> &mut [Claimed] {
        match self {
            Answer::Claimed(claimed) => claimed,
            Answer::FinishedAndClaimed(answer) => &mut answer.claimed,
            _ => &mut [],
        }
    }
}

impl fmt::Debug for Intercept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercept").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Takes the answer apart; one that is not what the method returns is a fault of the test.
macro_rules! answer {
    ($self:ident, $call:expr, $sort:pat => $value:expr) => {
        match $self.call($call).await? {
            $sort => Ok($value),
            other => panic!("the function around a store gave a call the answer of another: {other:?}"),
        }
    };
}

#[async_trait]
impl Store for Intercept {
    async fn migrate(&self) -> Result<()> {
        answer!(self, Call::Migrate, Answer::Done => ())
    }

    async fn ready(&self) -> Result<()> {
        answer!(self, Call::Ready, Answer::Done => ())
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        answer!(self, Call::Enqueue(jobs), Answer::Enqueued(enqueued) => enqueued)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        answer!(self, Call::Claim(claim), Answer::Claimed(claimed) => claimed)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let call = Call::Heartbeat(worker.clone(), leases.to_vec(), lease_for);
        answer!(self, call, Answer::Statuses(statuses) => statuses)
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        answer!(self, Call::Record(records), Answer::Statuses(statuses) => statuses)
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        answer!(self, Call::Finish(finishes), Answer::Statuses(statuses) => statuses)
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let call = Call::FinishAndClaim(finishes, claim);
        answer!(self, call, Answer::FinishedAndClaimed(answer) => answer)
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        answer!(self, Call::Sweep(limit), Answer::Swept(swept) => swept)
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        answer!(self, Call::Get(ids.to_vec()), Answer::Lookups(lookups) => lookups)
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        answer!(self, Call::List(filter.clone(), page), Answer::Page(page) => page)
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let call = Call::Events(id.clone(), after, limit, wait);
        answer!(self, call, Answer::Events(events) => events)
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        answer!(self, Call::Act(filter.clone(), action, limit), Answer::Acted(acted) => acted)
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        answer!(self, Call::Queues, Answer::Queues(queues) => queues)
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        answer!(self, Call::SetQueue(queue.to_owned(), config.clone()), Answer::Done => ())
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        let call = Call::UpdateQueue(queue.to_owned(), before.clone(), config.clone());
        answer!(self, call, Answer::Updated(updated) => updated)
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        answer!(self, Call::PauseQueue(queue.to_owned()), Answer::Done => ())
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        answer!(self, Call::ResumeQueue(queue.to_owned()), Answer::Done => ())
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        answer!(self, Call::Lanes, Answer::Lanes(lanes) => lanes)
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        answer!(self, Call::SetKey(key.to_owned(), config.copied()), Answer::Done => ())
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        answer!(self, Call::PauseKey(key.to_owned(), pause), Answer::Done => ())
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        answer!(self, Call::ResumeKey(key.to_owned()), Answer::Done => ())
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        answer!(self, Call::Keys(filter.clone()), Answer::Keys(keys) => keys)
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        answer!(self, Call::Steps(id.clone()), Answer::Steps(steps) => steps)
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        let call = Call::Signal(id.clone(), name.to_owned(), value.clone());
        answer!(self, call, Answer::Signalled(signalled) => signalled)
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        answer!(self, Call::Dependants(id.clone(), limit), Answer::Dependants(ids) => ids)
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        answer!(self, Call::PutSamples(samples.to_vec()), Answer::Done => ())
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        answer!(self, Call::Samples(series.to_owned(), from), Answer::Samples(samples) => samples)
    }

    /// The store's own, whatever the function around it does.
    fn changes(&self) -> Option<&Changes> {
        self.store.changes().filter(|_| self.tells_changes)
    }

    fn operations(&self) -> Option<&Operations> {
        self.store.operations()
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        answer!(self, Call::Workers, Answer::Workers(workers) => workers)
    }

    // A read that goes on and what it has read are no single calls: they pass by the function.
    async fn export(&self) -> Result<Box<dyn Export>> {
        self.store.export().await
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        self.store.import(records).await
    }
}
