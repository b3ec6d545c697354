use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use longhaul::{
    Acted, Action, Backoff, Claim, Claimed, Clock, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId,
    JobPage, Lease, LeaseStatus, Lookup, NewJob, Page, Payloads, QueueConfig, QueueInfo, Record, Result,
    Signals, Store, Swept, Timestamp, WorkerInfo, admit,
};
use tokio::sync::oneshot;

use crate::call::{Answer, Op};
use crate::connection::{Link, tls};
use crate::driver::Driver;
use crate::error::{closed, failed, fault};
use crate::migrate::migrate;
use crate::notifier::{NOTIFY, available};
use crate::options::{PostgresOptions, Purpose};
use crate::read;
use crate::server_clock::Now;
use crate::write_tx::WriteTx;

/// Jobs in Postgres. Cheap to clone; the connections are closed when the last clone is dropped.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: Arc<PostgresOptions>,
    clock: Clock,
    signals: Arc<Signals>,
    driver: Driver,
    pool: Pool,
}

impl PostgresStore {
    /// Connects to the server of a URL (see [`PostgresOptions::new`]) and brings the schema up to date.
    ///
    /// # Errors
    /// Where the URL is no such, the server cannot be reached or refuses the login, or a newer version wrote the schema.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(PostgresOptions::new(url)?).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        Self::open_with_clock(options, Clock::system()).await
    }

    /// The same on a clock of the caller's, for tests. On the system's clock all times are the server's.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn open_with_clock(options: PostgresOptions, clock: Clock) -> Result<Self> {
        options.check()?;
        migrate(&options).await?;
        let options = Arc::new(options);
        let signals = Arc::new(Signals::default());
        let pool = pool(&options)?;
        let driver = Driver::start(Arc::clone(&options), clock.clone(), Arc::clone(&signals)).await?;
        let nudged = Arc::downgrade(&driver.state);
        clock.on_advance(move || {
            if let Some(state) = nudged.upgrade() {
                state.nudge();
            }
        });
        Ok(Self { inner: Arc::new(Inner { options, clock, signals, driver, pool }) })
    }

    /// The connections that read, for an application's own tables too: on each, tables without a schema's name are those
    /// of the store's schema. Whoever holds many of them for long keeps the store's reads waiting.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// One of the [pool](Self::pool)'s connections, as the store's own reads take it.
    ///
    /// # Errors
    /// [`Unavailable`](longhaul::Error::Unavailable) at once where the server is known to be away, and where none is
    /// free or can be made within the response timeout; [`Store`](longhaul::Error::Store) where the login is refused.
    pub async fn connection(&self) -> Result<Object> {
        self.inner.driver.state.reach()?;
        read::connection(&self.inner.pool, "connect").await
    }

    /// How the server is reached.
    #[must_use]
    pub fn options(&self) -> &PostgresOptions {
        &self.inner.options
    }

    /// Creates jobs within the caller's own transaction, on any connection to the same database: they are there with
    /// whatever else it does, once it commits, or not at all. Workers hear of them at the commit.
    ///
    /// # Errors
    /// [`Error::Invalid`](longhaul::Error::Invalid) where a job breaks a bound; otherwise a fault, after which the transaction can only be
    /// rolled back.
    pub async fn enqueue_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>> {
        jobs.iter().try_for_each(NewJob::validate)?;
        let fault = fault("enqueue in a transaction");
        let set = "SELECT set_config('search_path', $1, true)";
        let row = transaction.query_one("SELECT current_setting('search_path')", &[]).await.map_err(fault)?;
        let theirs: String = row.get(0);
        let ours = format!("\"{}\"", self.inner.options.schema);
        transaction.execute(set, &[&ours]).await.map_err(fault)?;
        let now = match self.inner.clock.is_manual() {
            true => Now::exactly(self.inner.clock.now()),
            false => {
                let row = transaction.query_one(include_str!("sql/now.sql"), &[]).await.map_err(fault)?;
                Now::told(row.get(0))
            }
        };
        let mut tx = WriteTx::new(Link::Theirs(transaction), now);
        tx.lock_keys(&crate::keys::locks(jobs.iter())).await?;
        let enqueued = tx.enqueue_all(&[&jobs]).await?.pop().unwrap_or_default();
        tx.write_counts().await?;
        let channel = self.inner.options.channel();
        let payload = available(std::mem::take(&mut tx.effects.available));
        transaction.execute(NOTIFY, &[&channel, &payload]).await.map_err(fault)?;
        transaction.execute(set, &[&theirs]).await.map_err(fault)?;
        Ok(enqueued)
    }

    async fn claim_after(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let answer = self.inner.driver.send(Op::Claim { finishes, claim }).await?;
        ClaimAnswer { driver: &self.inner.driver, answer }.heard().await
    }

    async fn statuses(&self, op: Op) -> Result<Vec<LeaseStatus>> {
        match self.inner.driver.call(op).await? {
            Answer::Statuses(statuses) => Ok(statuses),
            other => Err(unexpected(&other)),
        }
    }

    fn pool_in_reach(&self) -> Result<&Pool> {
        self.inner.driver.state.reach()?;
        Ok(&self.inner.pool)
    }

    fn now(&self) -> Timestamp {
        self.inner.driver.state.now(&self.inner.clock).earliest
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.inner.options.schema).finish_non_exhaustive()
    }
}

fn pool(options: &PostgresOptions) -> Result<Pool> {
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(options.connecting(Purpose::Read), tls(options)?, recycling);
    Pool::builder(manager)
        .max_size(options.pool_size)
        .runtime(Runtime::Tokio1)
        .create_timeout(Some(options.connect_timeout))
        .wait_timeout(Some(options.response_timeout))
        .build()
        .map_err(|error| failed("open", error.to_string()))
}

fn unexpected(answer: &Answer) -> longhaul::Error {
    failed("answer", format!("{answer:?} is no answer to what was asked"))
}

/// The answer to a claim on its way. Where its caller goes away after the thread has sent it and before it was read,
/// the jobs in it are given back.
struct ClaimAnswer<'a> {
    driver: &'a Driver,
    answer: oneshot::Receiver<Result<Answer>>,
}

impl ClaimAnswer<'_> {
    async fn heard(mut self) -> Result<FinishAndClaim> {
        match (&mut self.answer).await.map_err(|_| closed())?? {
            Answer::FinishAndClaim(turn) => Ok(turn),
            other => Err(unexpected(&other)),
        }
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        // From here on the thread notices by itself that nobody listens.
        self.answer.close();
        let Ok(Ok(Answer::FinishAndClaim(turn))) = self.answer.try_recv() else { return };
        if !turn.claimed.is_empty() {
            self.driver.take_back(turn.claimed.into_iter().map(|job| job.lease).collect());
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<()> {
        migrate(&self.inner.options).await
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        admit::jobs(&jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        match self.inner.driver.call(Op::Enqueue(jobs)).await? {
            Answer::Enqueued(enqueued) => Ok(enqueued),
            other => Err(unexpected(&other)),
        }
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        Ok(self.claim_after(Vec::new(), claim).await?.claimed)
    }

    async fn heartbeat(
        &self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        let (worker, leases) = (admit::worker(worker.clone()), leases.to_vec());
        self.inner.driver.beat(worker, leases, lease_for).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        admit::record_with(self, records, |records| self.statuses(Op::Record(records))).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        if finishes.is_empty() {
            return Ok(Vec::new());
        }
        self.statuses(Op::Finish(admit::finishes(finishes))).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, mut claim: Claim) -> Result<FinishAndClaim> {
        claim.wait = Duration::ZERO;
        self.claim_after(finishes, claim).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        match self.inner.driver.call(Op::Sweep(limit)).await? {
            Answer::Swept(swept) => Ok(swept),
            other => Err(unexpected(&other)),
        }
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        read::get(self.pool_in_reach()?, ids, self.now()).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        read::list(self.pool_in_reach()?, filter, &page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let clock = &self.inner.clock;
        let deadline = clock.now().plus(wait);
        loop {
            // Listening before looking: a change in between is heard.
            let mut listener = self.inner.signals.listen(id.as_str());
            let log = read::events(self.pool_in_reach()?, id, after, limit).await?;
            let Some(log) = log else { return Ok(None) };
            let left = deadline.since(clock.now());
            if !log.events.is_empty() || log.is_finished || left.is_zero() {
                return Ok(Some(log.events));
            }
            let is_listening = self.inner.driver.state.is_listening.load(Ordering::SeqCst);
            let base = Duration::from_millis(if is_listening { 5_000 } else { 250 });
            let look = Backoff { base, factor: 1.0, max: base, jitter: 0.4 };
            tokio::select! {
                () = listener.heard() => {}
                () = clock.sleep_until(deadline) => {}
                () = tokio::time::sleep(look.delay(1)) => {}
            }
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        // Candidates are looked for on a reading connection, a bounded page at a time, so that a filter which fits few
        // of many jobs does not hold the writer up; the writer then checks each again.
        let mut filter = filter.clone();
        read::narrow(&mut filter, action);
        let mut page = Page { limit: 500, payloads: Payloads::Short, ..Page::default() };
        let mut acted = Acted::default();
        loop {
            let found = self.list(&filter, page.clone()).await?;
            let left = limit.saturating_sub(usize::try_from(acted.done).unwrap_or(limit));
            let has_more = found.jobs.len() > left || found.next.is_some();
            let ids: Vec<JobId> = found.jobs.into_iter().map(|job| job.id).take(left).collect();
            acted.matched += ids.len() as u64;
            if !ids.is_empty() {
                match self.inner.driver.call(Op::Act { ids, action }).await? {
                    Answer::Count(count) => acted.done += count,
                    other => return Err(unexpected(&other)),
                }
            }
            page.cursor = found.next;
            if !has_more || acted.done >= limit as u64 {
                return Ok(Acted { complete: !has_more, ..acted });
            }
        }
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        read::queues(self.pool_in_reach()?).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue(queue)?;
        let config = longhaul::Json::new(config)?.as_str().to_owned();
        self.inner.driver.call(Op::SetQueue { queue: queue.to_owned(), config }).await.map(drop)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        read::workers(self.pool_in_reach()?, self.now().minus(longhaul::WORKER_SEEN_FOR)).await
    }
}
