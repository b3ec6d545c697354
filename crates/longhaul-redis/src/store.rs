use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, select_all};
use longhaul::moving::{Export, Exported, Imported};
use longhaul::{
    Acted, Action, Backoff, Changes, Claim, Claimed, Clock, Enqueued, Event, Finish, FinishAndClaim,
    JobFilter, JobId, JobPage, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Listener,
    Lookup, NewJob, Page, QueueConfig, QueueInfo, Record, Result, Sample, Signalled, Signals, StepRecord,
    Store, Swept, Timestamp, WorkerInfo, admit,
};

use crate::answer::int;
use crate::claim::{Patience, Taken};
use crate::driver::Driver;
use crate::due::DueTimer;
use crate::error::{failed, unreadable};
use crate::moving::{self, Snapshot};
use crate::options::RedisOptions;
use crate::{act, claim, enqueue, finish, limit_keys, queues, read, samples, scripts, steps, sweep, waits};

/// Jobs in Redis or Valkey. Cheap to clone; the connections are closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    signals: Arc<Signals>,
    driver: Arc<Driver>,
    due: DueTimer,
    look_every: Duration,
    /// For connections that are made later.
    options: RedisOptions,
}

/// The version of what the scripts keep. A store of a newer version is refused, because this binary would not know
/// what it may change.
const SCHEMA: i64 = 1;

impl RedisStore {
    /// Connects to the server or cluster of a URL: see [`RedisOptions::new`].
    ///
    /// # Errors
    /// The URL is invalid, or the server cannot be reached, is older than 7.0, evicts data, or holds a store of a newer
    /// version.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(RedisOptions::new(url)?).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn open(options: RedisOptions) -> Result<Self> {
        Self::open_with_clock(options, Clock::system()).await
    }

    /// The same on a clock of the caller's, for tests. On the system's clock all times are the server's.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn open_with_clock(options: RedisOptions, clock: Clock) -> BoxFuture<'static, Result<Self>> {
        // Boxed, so that it is compiled here, with the client, and not in each crate that opens a store.
        Box::pin(Self::start(options, clock))
    }

    async fn start(options: RedisOptions, clock: Clock) -> Result<Self> {
        if options.is_secure() {
            // An application that has chosen another provider keeps it.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        options.check()?;
        let signals = Arc::new(Signals::default());
        let (look_every, kept) = (options.look_every, options.clone());
        let driver = Arc::new(Driver::start(options, clock.clone(), Arc::clone(&signals)).await?);
        let due = DueTimer::start(Arc::clone(&driver), clock.clone());
        let store =
            Self { inner: Arc::new(Inner { clock, signals, driver, due, look_every, options: kept }) };
        store.migrate().await?;
        Ok(store)
    }

    /// Sleeps until it is time to look without a notification, which may be lost: with jitter, so that those who wait do not
    /// look in step.
    async fn sleep_long(&self) {
        let Inner { driver, look_every, .. } = &*self.inner;
        let base = if driver.looks.is_live() { *look_every } else { POLL_EVERY.min(*look_every) };
        let backoff = Backoff { base, factor: 1.0, max: base, jitter: 0.4 };
        tokio::time::sleep(backoff.delay(1)).await;
    }
}

/// The interval at which those who wait look by themselves without notifications.
const POLL_EVERY: Duration = Duration::from_millis(500);

/// Completes at the first signal.
async fn any_signal(listeners: &mut [Listener]) {
    if listeners.is_empty() {
        return pending().await;
    }
    select_all(listeners.iter_mut().map(|listener| Box::pin(listener.heard()))).await;
}

#[async_trait]
impl Store for RedisStore {
    async fn migrate(&self) -> Result<()> {
        let arguments = vec![SCHEMA.to_string().into_bytes()];
        let answer = self.inner.driver.call(&scripts::MIGRATE, arguments).await?;
        let found = int(&answer).ok_or_else(|| unreadable(scripts::MIGRATE.operation))?;
        if found > SCHEMA {
            let reason =
                format!("it is of version {found}, and this program knows versions to {SCHEMA} only");
            return Err(failed(scripts::MIGRATE.operation, reason));
        }
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        self.inner.driver.check_writes().await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let mut enqueued = enqueue::enqueue(&self.inner.driver, admit::with_deliveries(jobs)?).await?;
        enqueued.truncate(asked);
        Ok(enqueued)
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let claim = admit::claim(claim);
        let clock = &self.inner.clock;
        let mut over = pin!(clock.sleep_until(clock.now().plus(claim.wait)));
        let patience = if claim.wait.is_zero() { Patience::Leaves } else { Patience::Waits };
        loop {
            // Listens before the look, so that no arrival after the look is missed.
            let mut arrivals = Vec::new();
            if patience == Patience::Waits {
                let topic = |queue: &longhaul::QueueSlots| format!("q{}", queue.queue);
                arrivals.extend(claim.queues.iter().map(|queue| self.inner.signals.listen(&topic(queue))));
            }
            let looks = &self.inner.driver.looks;
            if patience == Patience::Leaves || !looks.is_empty(&claim) {
                let announcements = looks.announcements();
                let Taken { claimed, next_due, .. } =
                    claim::claim(&self.inner.driver, &claim, patience).await?;
                if patience == Patience::Leaves || !claimed.is_empty() {
                    return Ok(claimed);
                }
                looks.found_nothing(&claim, announcements);
                if let Some(due) = next_due {
                    self.inner.due.note(due);
                }
            }
            tokio::select! {
                biased;
                () = any_signal(&mut arrivals) => {}
                () = self.sleep_long() => {}
                // Nothing has arrived since the last look.
                () = &mut over => return Ok(Vec::new()),
            }
        }
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let worker = admit::worker(worker.clone());
        finish::heartbeat(&self.inner.driver, &worker, leases, lease_for).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        admit::record_with(self, records, |records| finish::record(&self.inner.driver, records)).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        finish::finish(&self.inner.driver, admit::finishes(finishes)).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let (finishes, claim) = (admit::finishes(finishes), admit::claim(claim));
        let (finished, claimed) = claim::finish_and_claim(&self.inner.driver, finishes, &claim).await?;
        Ok(FinishAndClaim { finished, claimed })
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        sweep::sweep(&self.inner.driver, limit).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        read::get(&self.inner.driver, ids).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        read::list_jobs(&self.inner.driver, filter, &page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let clock = &self.inner.clock;
        let mut over = pin!(clock.sleep_until(clock.now().plus(wait)));
        let mut is_over = wait.is_zero();
        loop {
            let mut changes = Vec::new();
            if !is_over {
                changes.push(self.inner.signals.listen(&format!("j{id}")));
            }
            let patience = if is_over { Patience::Leaves } else { Patience::Waits };
            let log = read::events(&self.inner.driver, id, after, limit, patience).await?;
            let Some(log) = log else { return Ok(None) };
            if is_over || log.is_finished || !log.events.is_empty() {
                return Ok(Some(log.events));
            }
            tokio::select! {
                () = any_signal(&mut changes) => {}
                () = self.sleep_long() => {}
                () = &mut over => is_over = true,
            }
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        admit::filter(filter)?;
        admit::action(&action)?;
        act::act(&self.inner.driver, filter, &action, limit).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        queues::queues(&self.inner.driver).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue_config(queue, config)?;
        queues::set_queue(&self.inner.driver, queue, config).await
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        admit::queue_config(queue, config)?;
        queues::update_queue(&self.inner.driver, queue, before, config).await
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        admit::queue(queue)?;
        queues::pause(&self.inner.driver, queue).await
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        queues::resume(&self.inner.driver, queue).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        queues::lanes(&self.inner.driver).await
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        admit::key(key, config)?;
        limit_keys::set(&self.inner.driver, key, config).await
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        admit::paused_key(key)?;
        limit_keys::pause(&self.inner.driver, key, pause).await
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        limit_keys::resume(&self.inner.driver, key).await
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        admit::key_filter(filter)?;
        limit_keys::keys(&self.inner.driver, filter).await
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        steps::steps(&self.inner.driver, id).await
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        admit::signal(name, value)?;
        waits::signal(&self.inner.driver, id, name, &admit::signal_output(value)?).await
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        waits::dependants(&self.inner.driver, id, limit).await
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        admit::samples(samples)?;
        samples::put(&self.inner.driver, samples).await
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        samples::read(&self.inner.driver, series, from).await
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.inner.driver.reporter.changes)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        queues::workers(&self.inner.driver).await
    }

    async fn export(&self) -> Result<Box<dyn Export>> {
        let settings = longhaul::moving::export_settings(self).await?;
        let Inner { options, clock, driver, .. } = &*self.inner;
        Ok(Box::new(Snapshot::begin(options, clock.clone(), driver.runtime(), settings).await?))
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        let records = longhaul::moving::admit(records)?;
        let settings = longhaul::moving::import_settings(self, &records, self.inner.clock.now()).await?;
        moving::import(&self.inner.driver, &records, &settings).await
    }
}
