use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use parking_lot::RwLock;
use serde::Serialize;
use tracing::Instrument;

use crate::backoff::Backoff;
use crate::clock::Stopwatch;
use crate::job::Job;
use crate::model::{
    Action, Cost, Deadline, Dependency, EnqueueStatus, Enqueued, Event, JobFilter, JobId, JobRecord, Lookup,
    NewJob, OnExhausted, Policy, Prefer, QueueConfig, Start, Unique,
};
use crate::schedule::Schedules;
use crate::stats::Recorder;
use crate::store::{Error, Result, Store};
use crate::trace;
use crate::wait_tokens::WaitTokens;
use crate::webhook::{self, Webhook};
use crate::worker::WorkerBuilder;

/// The application's handle on its jobs: enqueue, look up, act, and start workers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Longhaul {
    store: Arc<dyn Store>,
    kinds: Arc<RwLock<HashMap<&'static str, KindInfo>>>,
    wait_tokens: Arc<OnceLock<Arc<dyn WaitTokens>>>,
}

/// The time that a running job has to stop once it is cancelled, unless the caller says otherwise.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);

impl Longhaul {
    /// Wraps a store.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self::over(Arc::new(store))
    }

    /// Wraps a store that others hold too.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, kinds: Arc::default(), wait_tokens: Arc::default() }
    }

    /// The same on another view of the store: the kinds that are known here are known there.
    #[must_use]
    pub fn on(&self, store: Arc<dyn Store>) -> Self {
        Self { store, kinds: Arc::clone(&self.kinds), wait_tokens: Arc::clone(&self.wait_tokens) }
    }

    /// The store, for what has no form here.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Enqueues a job with its type's defaults. It is durable when this returns, unless the answer's
    /// [status](Enqueued::status) says that its unique key or a bound on waiting jobs refused it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the job breaks a bound; a store's fault otherwise.
    pub async fn enqueue<J: Job>(&self, job: J) -> Result<Enqueued> {
        self.enqueue_one(NewJob::of(&job)?).await
    }

    /// Enqueues a job with some of its type's defaults changed.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue).
    pub async fn enqueue_with<J: Job>(&self, job: J, options: EnqueueOptions) -> Result<Enqueued> {
        self.enqueue_one(options.apply(NewJob::of(&job)?)).await
    }

    /// Enqueues one job that was made by hand.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue).
    pub async fn enqueue_one(&self, job: NewJob) -> Result<Enqueued> {
        let mut answers = self.enqueue_many(vec![job]).await?;
        answers.pop().ok_or_else(|| Error::Store {
            store: "any",
            operation: "enqueue",
            source: "the store answered nothing".into(),
        })
    }

    /// Enqueues all of `jobs`, or none if one is invalid or repeats an idempotency key for another request. A job that
    /// its unique key or a bound on waiting jobs refuses has the status of its refusal, and does not affect the others.
    ///
    /// # Errors
    /// As for [`enqueue`](Self::enqueue).
    pub async fn enqueue_many(&self, mut jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        if trace::tracer().is_none() {
            return self.enqueue_all(jobs).await;
        }
        let (span, around) =
            (tracing::info_span!("enqueue", otel.kind = "producer", jobs = jobs.len()), trace::current());
        let place = span.in_scope(trace::current);
        for job in jobs.iter_mut().filter(|job| job.policy.traceparent == around) {
            job.policy.traceparent = place;
        }
        // Apart, so that the rest has a small future.
        self.enqueue_all(jobs).instrument(span).boxed().await
    }

    async fn enqueue_all(&self, mut jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        if jobs.iter().all(|job| job.webhook.is_none()) {
            return self.store.enqueue(jobs).await;
        }
        let with_webhook = |(place, job): (usize, &mut NewJob)| {
            job.webhook.is_some().then(|| (place, job.id.get_or_insert_with(JobId::random).clone()))
        };
        // An id that is drawn here is nobody else's, and never was.
        let named = |(place, job): (usize, &NewJob)| Some((place, job.id.clone()?, job.webhook.clone()?));
        let named: Vec<(usize, JobId, Webhook)> = jobs.iter().enumerate().filter_map(named).collect();
        let asked: Vec<(usize, JobId)> = jobs.iter_mut().enumerate().filter_map(with_webhook).collect();
        let enqueued = self.store.enqueue(jobs).await?;
        let answers = asked.iter().filter_map(|(place, id)| Some((id, enqueued.get(*place)?)));
        // That it fails is no reason to say that nothing was enqueued: they find out by themselves.
        if let Err(error) = webhook::forget_unused(self.store.as_ref(), answers).await {
            tracing::warn!("failed to take away deliveries of jobs that were not created: {error}");
        }
        let is_created = |place: usize| enqueued.get(place).is_some_and(Enqueued::is_created);
        let created = named.into_iter().filter(|(place, ..)| is_created(*place));
        let created = created.map(|(_, id, webhook)| (id, webhook)).collect();
        if let Err(error) = webhook::tell_anew(self.store.as_ref(), created).await {
            tracing::warn!("failed to enqueue deliveries of jobs that have the ids of removed ones: {error}");
        }
        Ok(enqueued)
    }

    /// Looks one job up.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn get(&self, id: &JobId) -> Result<Lookup> {
        Ok(self.store.get(std::slice::from_ref(id)).await?.pop().unwrap_or(Lookup::Unknown))
    }

    /// Waits until the job has ended, at most for `timeout`, and returns it as it then is. Waiting costs no polling if
    /// the store reports changes.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn wait(&self, id: &JobId, timeout: Duration) -> Result<Lookup> {
        let waiting = Stopwatch::start();
        loop {
            let lookup = self.get(id).await?;
            let Lookup::Found(record) = &lookup else { return Ok(lookup) };
            let left = timeout.saturating_sub(waiting.elapsed());
            if record.state.is_finished() || left.is_zero() {
                return Ok(lookup);
            }
            self.await_end(id, record.last_event, left).await?;
        }
    }

    /// Returns once the job may have ended since event `after`, or `timeout` is over. A look at a job counts those before it and
    /// brings its args, so what a running job writes to its log is read in place of the job.
    async fn await_end(&self, id: &JobId, mut after: u64, timeout: Duration) -> Result<()> {
        /// So many entries at once are a log that is written faster than it is read here: a look at the job passes over the rest.
        const MOST: usize = 64;
        let waiting = Stopwatch::start();
        loop {
            let left = timeout.saturating_sub(waiting.elapsed());
            let events = self.store.events(id, after, MOST, left).await?.unwrap_or_default();
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            if events.len() == MOST || events.iter().any(|event| event.body.is_end()) {
                return Ok(());
            }
        }
    }

    /// Reads a job's log after event `after`: see [`Store::events`].
    ///
    /// # Errors
    /// A store's fault.
    pub async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        self.store.events(id, after, limit, wait).await
    }

    /// Cancels a job: a waiting one at once, a running one within its next heartbeat and 10 s. Answers whether
    /// there was anything to cancel: not where it has ended, or was asked to stop already.
    ///
    /// A job that counts its children, because it closes a batch or has enqueued them while it ran, takes those that are
    /// unfinished with it, and theirs: their [`cancel_reason`](JobRecord::cancel_reason) is `parent`. It goes first, so that their
    /// ends do not set it free; where this is interrupted after that, cancelling it again cancels the rest.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn cancel(&self, id: &JobId) -> Result<Done> {
        let done = self.act_on(id, Action::cancel(CANCEL_GRACE)).await?;
        let record = self.get(id).await?.found();
        if record.is_some_and(|record| record.children.is_some()) && self.cancel_children(id).await? > 0 {
            return Ok(Done::Yes);
        }
        Ok(done)
    }

    /// Runs a finished job again, with all its attempts, and one that waits for a person as well.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn retry(&self, id: &JobId) -> Result<Done> {
        self.act_on(id, Action::Retry).await
    }

    /// Removes a finished job.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn delete(&self, id: &JobId) -> Result<Done> {
        self.act_on(id, Action::Delete).await
    }

    /// Changes a queue's configuration: sets what `change` makes of the present one, unless that is what a listed queue has. It is
    /// called again where another caller has changed the configuration meanwhile, so that of two that change different fields
    /// neither undoes the other.
    ///
    /// # Errors
    /// Those of `change`; as for [`Store::set_queue`].
    pub async fn change_queue<E: From<Error>>(
        &self,
        queue: &str,
        change: impl Fn(&mut QueueConfig) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let present = self.store.queues().await?.into_iter().find(|present| present.name == queue);
            let is_listed = present.is_some();
            let before = present.map(|present| present.config).unwrap_or_default();
            let mut config = before.clone();
            change(&mut config)?;
            if is_listed && config == before || self.store.update_queue(queue, &before, &config).await? {
                return Ok(());
            }
        }
    }

    pub(crate) async fn act_on(&self, id: &JobId, action: Action) -> Result<Done> {
        let store = self.store.as_ref();
        let acted = webhook::act(store, store, &JobFilter::id(id.clone()), action, 1).await?;
        Ok(if acted.done > 0 { Done::Yes } else { Done::NotApplicable })
    }

    /// Looks at all jobs of a list of ids at once, leaving out those that are not there.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn get_all(&self, ids: &[JobId]) -> Result<Vec<JobRecord>> {
        Ok(self.store.get(ids).await?.into_iter().filter_map(Lookup::found).collect())
    }

    /// Writes the unwritten counts of this process, and publishes its last changes to readers of the live feed. Both
    /// happen every second by themselves; a process that ends calls this last, or loses up to a second of its
    /// statistics, and nothing of its jobs. A [worker's shutdown](crate::Worker::shutdown) does it, too.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn flush(&self) -> Result<()> {
        match Recorder::of(&self.store) {
            Some(recorder) => recorder.flush().await,
            None => Ok(()),
        }
    }

    /// Begins to describe a worker: register kinds, name queues, start.
    #[must_use]
    pub fn worker(&self) -> WorkerBuilder {
        WorkerBuilder::new(self.clone())
    }

    /// The schedules of the store. They are fired by every server of it, and by workers that
    /// [`run_schedules`](WorkerBuilder::run_schedules).
    #[must_use]
    pub fn schedules(&self) -> Schedules {
        Schedules::new(self.clone())
    }

    /// Makes a kind known to this handle, so that the HTTP side accepts it. Registering a kind with a worker
    /// does so too; only a process that enqueues and runs nothing needs to call it.
    pub fn declare<J: Job>(&self) {
        self.kinds.write().insert(J::KIND, KindInfo::of::<J>());
    }

    /// Sets the maker of the tokens of [`Context::wait_token`](crate::Context::wait_token), for jobs that run here and
    /// in clones of this handle. Only the first call has an effect.
    pub fn sign_wait_tokens(&self, tokens: impl WaitTokens) {
        self.wait_tokens.get_or_init(|| Arc::new(tokens));
    }

    pub(crate) fn wait_tokens(&self) -> Option<&dyn WaitTokens> {
        self.wait_tokens.get().map(|tokens| &**tokens)
    }

    /// The defaults of a kind that was declared or registered here.
    #[must_use]
    pub fn kind(&self, kind: &str) -> Option<KindInfo> {
        self.kinds.read().get(kind).cloned()
    }

    /// Every kind declared or registered here, by name.
    #[must_use]
    pub fn kinds(&self) -> Vec<KindInfo> {
        let mut kinds: Vec<KindInfo> = self.kinds.read().values().cloned().collect();
        kinds.sort_by_key(|info| info.kind);
        kinds
    }
}

/// The effect of an action on the job that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It did.
    Yes,
    /// The job is not there, or not in a state that the action is for.
    NotApplicable,
}

/// The defaults of a kind, as its [`Job`] implementation gives them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KindInfo {
    /// Its name.
    pub kind: &'static str,
    /// The newest version of its args.
    pub version: u32,
    /// Its queue.
    pub queue: &'static str,
    /// The limit on attempts.
    pub max_attempts: u32,
    /// The limit on the time of one attempt.
    pub timeout: Option<Duration>,
    /// The limit on the time before its first start.
    pub expires_in: Option<Duration>,
    /// The limit on the time from its creation to its end.
    pub deadline: Option<Duration>,
    /// The state that a job enters when its last attempt fails.
    pub on_exhausted: OnExhausted,
}

impl KindInfo {
    fn of<J: Job>() -> Self {
        Self {
            kind: J::KIND,
            version: J::VERSION,
            queue: J::QUEUE,
            max_attempts: J::MAX_ATTEMPTS,
            timeout: J::TIMEOUT,
            expires_in: J::EXPIRES_IN,
            deadline: J::DEADLINE,
            on_exhausted: J::ON_EXHAUSTED,
        }
    }
}

/// Overrides of a job type's defaults for one call. `None` and empty leave the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnqueueOptions {
    /// The job's id, which also keeps a second one from being created.
    pub id: Option<JobId>,
    /// Another queue.
    pub queue: Option<String>,
    /// The earliest time of its first run.
    pub start: Start,
    /// −100 to 100, higher first.
    pub priority: i32,
    /// The limit on attempts.
    pub max_attempts: Option<u32>,
    /// The limit on the time of one attempt.
    pub timeout: Option<Duration>,
    /// Another backoff.
    pub backoff: Option<Backoff>,
    /// Other limit keys.
    pub limit_keys: Vec<String>,
    /// Other workers that it prefers.
    pub prefer: Option<Prefer>,
    /// Another cost.
    pub cost: Option<Cost>,
    /// Another state to enter when its last attempt fails.
    pub on_exhausted: Option<OnExhausted>,
    /// The jobs that must end before it may run.
    pub depends_on: Vec<Dependency>,
    /// Another unique key.
    pub unique: Option<Unique>,
    /// The limit on the time before its first start.
    pub expires_in: Option<Duration>,
    /// The time by which it must have ended, with all its attempts.
    pub deadline: Option<Deadline>,
    /// The job that this one belongs to.
    pub parent: Option<JobId>,
    /// Names and values that lists filter by.
    pub labels: BTreeMap<String, String>,
    /// The URL that is notified of its end.
    pub webhook: Option<Webhook>,
}

impl EnqueueOptions {
    /// The job with these options in place of its defaults.
    #[must_use]
    pub fn apply(self, job: NewJob) -> NewJob {
        NewJob {
            id: self.id,
            queue: self.queue.map_or(job.queue, Into::into),
            start: self.start,
            priority: self.priority,
            max_attempts: self.max_attempts.unwrap_or(job.max_attempts),
            policy: Policy {
                timeout: self.timeout.or(job.policy.timeout),
                backoff: self.backoff,
                cost: self.cost.unwrap_or(job.policy.cost),
                on_exhausted: self.on_exhausted.unwrap_or(job.policy.on_exhausted),
                ..job.policy
            },
            limit_keys: if self.limit_keys.is_empty() { job.limit_keys } else { self.limit_keys },
            prefer: self.prefer.or(job.prefer),
            unique: self.unique.or(job.unique),
            expires_in: self.expires_in.or(job.expires_in),
            deadline: self.deadline.or(job.deadline),
            parent: self.parent,
            labels: self.labels,
            depends_on: self.depends_on,
            webhook: self.webhook.or(job.webhook),
            ..job
        }
    }
}

impl Enqueued {
    /// True where this call created the job, be it as one that was [dropped](EnqueueStatus::Dropped).
    #[must_use]
    pub fn is_created(&self) -> bool {
        matches!(self.status, EnqueueStatus::Created | EnqueueStatus::Dropped)
    }
}
