use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use futures::future::BoxFuture;
use longhaul::lifecycle::{self, Deed};
use longhaul::moving::{self, Export, Exported, Imported};
use longhaul::{
    Acted, Action, Backoff, Changes, Claim, Claimed, Clock, Enqueued, Entry, Event, Finish, FinishAndClaim,
    JobFilter, JobId, JobPage, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob,
    Page, QueueConfig, QueueInfo, Record, Result, Sample, Signalled, Signals, StepRecord, Store, Swept,
    Timestamp, WorkerInfo, admit,
};
use tokio::sync::oneshot;

use crate::call::{Answer, Op};
use crate::connection::Link;
use crate::driver::Driver;
use crate::error::{closed, failed, fault};
use crate::limits::config_text;
use crate::migrate::migrate;
use crate::moving::Snapshot;
use crate::notifier::{NOTIFY, available};
use crate::options::PostgresOptions;
use crate::read::{self, Candidate, Reads};
use crate::server_clock::Now;
use crate::write_tx::WriteTx;

/// Jobs that an action changes in one transaction: others wait for their rows no longer than it takes.
const ACTED_AT_ONCE: usize = 1_000;
/// The schema in which a caller's transaction finds tables without one.
const SET_NAMES: &str = "SELECT set_config('search_path', $1, true)";

/// Jobs in Postgres. Cheap to clone; the connections are closed when the last clone is dropped.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    options: Arc<PostgresOptions>,
    clock: Clock,
    signals: Arc<Signals>,
    changes: Arc<Changes>,
    driver: Driver,
    reads: Reads,
}

impl PostgresStore {
    /// Connects to the server of a URL (see [`PostgresOptions::new`]) and brings the schema up to date.
    ///
    /// # Errors
    /// An error where the URL is no such, the server cannot be reached or refuses the login, or a newer version wrote the schema.
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
    pub fn open_with_clock(options: PostgresOptions, clock: Clock) -> BoxFuture<'static, Result<Self>> {
        // Boxed, so that it is compiled here, with the driver, and not in each crate that opens a store.
        Box::pin(Self::start(options, clock))
    }

    async fn start(options: PostgresOptions, clock: Clock) -> Result<Self> {
        options.check()?;
        migrate(&options).await?;
        let options = Arc::new(options);
        let signals = Arc::new(Signals::default());
        let changes = Arc::new(Changes::default());
        let driver =
            Driver::start(Arc::clone(&options), clock.clone(), Arc::clone(&signals), Arc::clone(&changes))
                .await?;
        let reads = Reads::new(&options, Arc::clone(&driver.state))?;
        let nudged = Arc::downgrade(&driver.state);
        clock.on_advance(move || {
            if let Some(state) = nudged.upgrade() {
                state.nudge();
            }
        });
        Ok(Self { inner: Arc::new(Inner { options, clock, signals, changes, driver, reads }) })
    }

    /// The connections that read, for an application's own tables too: on each, tables without a schema's name are
    /// those of the store's schema. An application that holds many of them for long delays the store's reads.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.inner.reads.pool
    }

    /// One of the [pool](Self::pool)'s connections, as the store's own reads take it.
    ///
    /// # Errors
    /// [`Unavailable`](longhaul::Error::Unavailable) at once where the server is known to be away, and where none is
    /// free or can be made within the response timeout; [`Store`](longhaul::Error::Store) where the login is refused.
    pub async fn connection(&self) -> Result<Object> {
        self.inner.reads.connection("connect").await
    }

    /// The options that the store was opened with.
    #[must_use]
    pub fn options(&self) -> &PostgresOptions {
        &self.inner.options
    }

    /// Begins a read of all tables as they are now: of the jobs, as [`Store::export`] does, and of an application's own.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let settings = moving::export_settings(self).await?;
        let client = self.inner.reads.connection("export").await?;
        Snapshot::begin(client, settings, self.now()).await
    }

    /// Creates jobs within the caller's own transaction, on any connection to the same database: they are there with
    /// whatever else it does, once it commits, or not at all. Workers hear of them at the commit, and so do those who observe
    /// the store's [changes](Store::changes).
    ///
    /// # Errors
    /// [`Error::Invalid`](longhaul::Error::Invalid) where a job breaks a bound; otherwise a fault, after which the transaction can only be
    /// rolled back.
    pub async fn enqueue_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let jobs = admit::with_deliveries(jobs)?;
        let (mut tx, theirs) = self.begin_in(transaction).await?;
        tx.bounds = tx.read_bounds(jobs.iter()).await?;
        let mut locks = crate::keys::locks(jobs.iter());
        locks.extend(tx.bounds.locks(&jobs));
        tx.lock_keys(&locks).await?;
        let mut enqueued = tx.enqueue_all(&[&jobs]).await?.pop().unwrap_or_else(|| Ok(Vec::new()))?;
        self.end_in(transaction, tx, &theirs).await?;
        enqueued.truncate(asked);
        Ok(enqueued)
    }

    /// Records a step of a running job as done within the caller's own transaction, on any connection to the same database: the
    /// step and whatever else it does are there together, or neither is. The first output of a name stays. Where the answer is
    /// [`Lost`](LeaseStatus::Lost), the job runs elsewhere by now and nothing is recorded: roll the transaction back, which undoes
    /// what the step's code has written. Until it ends, whatever else would be done to the job waits.
    ///
    /// # Errors
    /// [`Error::Invalid`](longhaul::Error::Invalid) where the name or the output cannot be kept; otherwise a fault, after which the
    /// transaction can only be rolled back.
    pub async fn finish_step_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        lease: &Lease,
        name: &str,
        output: &Json,
    ) -> Result<LeaseStatus> {
        admit::step_name(name)?;
        output.check("output", admit::MAX_STEP_BYTES)?;
        let step = Entry::Step { name: name.to_owned(), output: output.clone(), took: Duration::ZERO };
        let record = Record { lease: lease.clone(), entries: vec![step] };
        let (mut tx, theirs) = self.begin_in(transaction).await?;
        let statuses = tx.record(&[record]).await?;
        self.end_in(transaction, tx, &theirs).await?;
        Ok(statuses.first().copied().unwrap_or(LeaseStatus::Lost))
    }

    /// Begins the store's part of a caller's own transaction. Answers the names that the caller's tables have, too.
    async fn begin_in<'t>(
        &'t self,
        transaction: &'t tokio_postgres::Transaction<'_>,
    ) -> Result<(WriteTx<'t>, String)> {
        let fault = fault("work in a transaction");
        let row = transaction.query_one("SELECT current_setting('search_path')", &[]).await.map_err(fault)?;
        let theirs: String = row.get(0);
        let ours = format!("\"{}\"", self.inner.options.schema);
        transaction.execute(SET_NAMES, &[&ours]).await.map_err(fault)?;
        let now = match self.inner.clock.is_manual() {
            true => Now::exactly(self.inner.clock.now()),
            false => {
                let row = transaction.query_one(include_str!("sql/now.sql"), &[]).await.map_err(fault)?;
                Now::from_micros(row.get(0))
            }
        };
        Ok((WriteTx::new(Link::Theirs(transaction), now, &self.inner.changes), theirs))
    }

    /// Ends it; others are notified at the caller's commit.
    async fn end_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        mut tx: WriteTx<'_>,
        theirs: &str,
    ) -> Result<()> {
        let fault = fault("work in a transaction");
        tx.write_counts().await?;
        let channel = self.inner.options.channel();
        let mark = self.inner.driver.state.uncommitted.keep(tx.effects.noted);
        let payload = available(tx.effects.available, mark, tx.effects.changed);
        transaction.execute(NOTIFY, &[&channel, &payload]).await.map_err(fault)?;
        transaction.execute(SET_NAMES, &[&theirs]).await.map_err(fault)?;
        Ok(())
    }

    async fn claim_after(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let answer = self.inner.driver.send(Op::Claim { finishes, claim }).await?;
        ClaimAnswer { driver: &self.inner.driver, answer }.received().await
    }

    async fn statuses(&self, op: Op) -> Result<Vec<LeaseStatus>> {
        match self.inner.driver.call(op).await? {
            Answer::Statuses(statuses) => Ok(statuses),
            other => Err(unexpected(&other)),
        }
    }

    async fn act_on(
        &self,
        jobs: Vec<Candidate>,
        filter: &JobFilter,
        action: &Action,
        acted: &mut Acted,
    ) -> Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        match self.inner.driver.call(Op::Act { jobs, filter: filter.clone(), action: action.clone() }).await?
        {
            Answer::Acted(more) => {
                acted.matched += more.matched;
                acted.done += more.done;
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
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

fn unexpected(answer: &Answer) -> longhaul::Error {
    failed("answer", format!("{answer:?} is no answer to what was asked"))
}

/// The answer to a claim on its way. Where its caller goes away after the thread has sent it and before it was read,
/// the jobs in it are taken back.
struct ClaimAnswer<'a> {
    driver: &'a Driver,
    answer: oneshot::Receiver<Result<Answer>>,
}

impl ClaimAnswer<'_> {
    async fn received(mut self) -> Result<FinishAndClaim> {
        match (&mut self.answer).await.map_err(|_| closed())?? {
            Answer::FinishAndClaim(turn) => Ok(turn),
            other => Err(unexpected(&other)),
        }
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        // From here on the thread notices the closed channel.
        self.answer.close();
        let Ok(Ok(Answer::FinishAndClaim(answer))) = self.answer.try_recv() else { return };
        if !answer.claimed.is_empty() {
            self.driver.take_back(answer.claimed.into_iter().map(|job| job.lease).collect());
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<()> {
        migrate(&self.inner.options).await
    }

    async fn ready(&self) -> Result<()> {
        self.inner.driver.state.can_write()?;
        self.inner.driver.call(Op::ProbeWrite).await.map(drop)
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let jobs = admit::with_deliveries(jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        match self.inner.driver.call(Op::Enqueue(jobs)).await? {
            Answer::Enqueued(mut enqueued) => {
                enqueued.truncate(asked);
                Ok(enqueued)
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        Ok(self.claim_after(Vec::new(), admit::claim(claim)).await?.claimed)
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
        self.claim_after(admit::finishes(finishes), admit::claim(claim)).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        match self.inner.driver.call(Op::Sweep(limit)).await? {
            Answer::Swept(swept) => Ok(swept),
            other => Err(unexpected(&other)),
        }
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        read::get(&self.inner.reads, ids, self.now()).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        read::list(&self.inner.reads, filter, &page).await
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
            // Listens before the look, so that no change in between is missed.
            let mut listener = self.inner.signals.listen(id.as_str());
            let log = read::events(&self.inner.reads, id, after, limit).await?;
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
        admit::filter(filter)?;
        admit::action(&action)?;
        // Candidates are looked for on a reading connection, a bounded page at a time, so that a filter which fits few
        // of many jobs does not hold a writer up; the statement that locks them checks the filter again.
        let mut acted = Acted::default();
        let (mut before, mut jobs) = (i64::MAX, Vec::new());
        loop {
            let (found, next) = read::candidates(&self.inner.reads, filter, before).await?;
            for job in found {
                if jobs.len() == ACTED_AT_ONCE || acted.done + jobs.len() as u64 >= limit as u64 {
                    self.act_on(std::mem::take(&mut jobs), filter, &action, &mut acted).await?;
                    if acted.done >= limit as u64 {
                        return Ok(acted);
                    }
                }
                match lifecycle::act(job.state, job.waits_for.as_ref(), &action) {
                    Deed::Nothing => acted.matched += 1,
                    _ => jobs.push(job),
                }
            }
            let Some(next) = next else { break };
            before = next;
        }
        self.act_on(jobs, filter, &action, &mut acted).await?;
        Ok(Acted { complete: true, ..acted })
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        read::queues(&self.inner.reads, self.now()).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue_config(queue, config)?;
        let (queue, config) = (queue.to_owned(), config.clone());
        self.inner.driver.call(Op::SetQueue { queue, before: None, config }).await.map(drop)
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        admit::queue_config(queue, config)?;
        let (queue, before, config) = (queue.to_owned(), Some(before.clone()), config.clone());
        match self.inner.driver.call(Op::SetQueue { queue, before, config }).await? {
            Answer::Updated(is_as_read) => Ok(is_as_read),
            other => Err(unexpected(&other)),
        }
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        admit::queue(queue)?;
        self.inner.driver.call(Op::PauseQueue(queue.to_owned())).await.map(drop)
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        // A queue that no job can be in is not paused.
        if admit::queue(queue).is_err() {
            return Ok(());
        }
        self.inner.driver.call(Op::ResumeQueue(queue.to_owned())).await.map(drop)
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        read::lanes(&self.inner.reads).await
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        admit::key(key, config)?;
        let config = config_text(config)?;
        self.inner.driver.call(Op::SetKey { key: key.to_owned(), config }).await.map(drop)
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        admit::paused_key(key)?;
        self.inner.driver.call(Op::PauseKey { key: key.to_owned(), pause }).await.map(drop)
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        // A key that no job can have is not paused.
        if admit::paused_key(key).is_err() {
            return Ok(());
        }
        self.inner.driver.call(Op::ResumeKey(key.to_owned())).await.map(drop)
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        admit::key_filter(filter)?;
        read::keys(&self.inner.reads, filter, self.now()).await
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        read::steps(&self.inner.reads, id).await
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        admit::signal(name, value)?;
        let (id, name, output) = (id.clone(), name.to_owned(), admit::signal_output(value)?);
        match self.inner.driver.call(Op::Signal { id, name, output }).await? {
            Answer::Signalled(signalled) => Ok(signalled),
            other => Err(unexpected(&other)),
        }
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        read::dependants(&self.inner.reads, id, limit).await
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        admit::samples(samples)?;
        if samples.is_empty() {
            return Ok(());
        }
        self.inner.driver.call(Op::PutSamples(samples.to_vec())).await.map(drop)
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        // No series has it, and no statement takes it.
        if series.contains('\0') {
            return Ok(Vec::new());
        }
        read::samples(&self.inner.reads, series, from, self.now()).await
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.inner.changes)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        read::workers(&self.inner.reads, self.now().minus(longhaul::WORKER_SEEN_FOR)).await
    }

    async fn export(&self) -> Result<Box<dyn Export>> {
        Ok(Box::new(self.snapshot().await?))
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        let records = moving::admit(records)?;
        let settings = moving::import_settings(self, &records, self.now()).await?;
        let fault = fault("import");
        let mut client = self.inner.reads.connection("import").await?;
        let transaction = client.transaction().await.map_err(fault)?;
        // The connection is one of those that read, which leave this to the server.
        transaction.batch_execute("SET LOCAL synchronous_commit = on").await.map_err(fault)?;
        let (mut tx, theirs) = self.begin_in(&transaction).await?;
        let imported = tx.import(&records, &settings).await?;
        self.end_in(&transaction, tx, &theirs).await?;
        transaction.commit().await.map_err(fault)?;
        Ok(imported)
    }
}
