use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::{
    Acted, Action, Claim, Claimed, Clock, Enqueued, Event, Finish, FinishAndClaim, JobFilter, JobId, JobPage,
    Lease, LeaseStatus, Lookup, NewJob, Page, Payloads, QueueConfig, QueueInfo, Record, Result, Signals,
    Store, Swept, WorkerInfo, admit,
};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use crate::error::{closed, fault};
use crate::lock::Ownership;
use crate::read::{self, Readers};
use crate::transaction::Transaction;
use crate::writer::{Batch, ClaimOp, Inbox, Op, Task, Writer, takeover};

/// Jobs in an SQLite file. Cheap to clone; the file is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    clock: Clock,
    inbox: Arc<Inbox>,
    signals: Arc<Signals>,
    readers: Readers,
    ownership: Arc<Ownership>,
}

impl SqliteStore {
    /// Opens the file, makes it and its folder where they are missing, brings its schema up to date, and takes
    /// over what a dead predecessor was running.
    ///
    /// # Errors
    /// Where the file cannot be opened or written, or was written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with_clock(path, Clock::system()).await
    }

    /// The same on a clock of the caller's, for tests.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_with_clock(path: impl AsRef<Path>, clock: Clock) -> Result<Self> {
        let path = path.as_ref().to_owned();
        tokio::task::spawn_blocking(move || Self::open_blocking(path, clock)).await.map_err(|_| closed())?
    }

    fn open_blocking(path: PathBuf, clock: Clock) -> Result<Self> {
        let connection = crate::open::writing(&path)?;
        let ownership = Ownership::of(&path).map_err(|e| crate::open::open_fault(&path, &e))?;
        crate::open::migrate(&connection)?;
        if ownership.is_owner() {
            let taken = takeover(&connection, &clock)?;
            if taken > 0 {
                tracing::warn!(jobs = taken, "took over jobs that the last server was running when it ended");
            }
        }
        let ownership = Arc::new(ownership);
        let inbox = Arc::new(Inbox::new());
        let signals = Arc::new(Signals::default());
        let writer = Writer {
            connection,
            inbox: Arc::clone(&inbox),
            signals: Arc::clone(&signals),
            clock: clock.clone(),
            ownership: Arc::clone(&ownership),
        };
        std::thread::Builder::new()
            .name("longhaul-sqlite".into())
            .spawn(move || writer.run())
            .map_err(|e| crate::open::open_fault(&path, &e))?;
        let nudged = Arc::downgrade(&inbox);
        clock.on_advance(move || {
            if let Some(inbox) = nudged.upgrade() {
                inbox.nudge();
            }
        });
        let readers = Readers::new(path.clone());
        Ok(Self { inner: Arc::new(Inner { path, clock, inbox, signals, readers, ownership }) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whether this store holds the file's lock: if not, another process does and this one is its guest.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.inner.ownership.is_owner()
    }

    /// Runs `work` as part of a group commit: its statements and its jobs are durable together when this
    /// returns, or none of them is. An `Err` of `work` undoes what `work` did and nothing else.
    ///
    /// `work` runs on the thread that every other write waits for: keep it to a few statements.
    ///
    /// ```
    /// # use longhaul::{Job, JobResult, Context, NewJob};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Ship { order: i64 }
    /// # impl Job for Ship {
    /// #     const KIND: &'static str = "ship"; type State = (); type Output = ();
    /// #     async fn run(self, _cx: Context<()>) -> JobResult<()> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let store = longhaul_sqlite::SqliteStore::open(folder.path().join("app.db")).await?;
    /// let enqueued = store.transact(|tx| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
    ///     tx.connection().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)")?;
    ///     tx.connection().execute("INSERT INTO orders VALUES (7)", [])?;
    ///     Ok(tx.enqueue(vec![NewJob::of(&Ship { order: 7 })?])?)
    /// }).await?;
    /// assert!(enqueued.unwrap()[0].is_created());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A fault of the transaction as a whole. What `work` returned is inside the `Ok`.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<std::result::Result<T, E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Transaction<'_, '_>) -> std::result::Result<T, E> + Send + 'static,
    {
        self.write(move |batch| batch.savepoint(|batch| work(&mut Transaction::new(batch)))).await
    }

    /// Reads with a connection that can only read, off the runtime's threads. It sees all that was answered
    /// before the call.
    ///
    /// # Errors
    /// What `work` returned, or that no connection could be had.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.inner.readers.read(move |connection| work(connection).map_err(fault("read"))).await
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> Result<T> + Send + 'static,
    {
        let (task, answer) = Task::new(work);
        self.inner.inbox.push(Op::Work(Box::new(task))).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    async fn claim_after(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let (reply, answer) = oneshot::channel();
        let (finishes, claim) = (admit::finishes(finishes), admit::claim(claim));
        let op = ClaimOp { finishes, finished: Vec::new(), claim, reply };
        self.inner.inbox.push(Op::Claim(Box::new(op))).await.map_err(|_| closed())?;
        ClaimAnswer { inbox: &self.inner.inbox, answer }.heard().await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

/// The answer to a claim on its way. Where its caller goes away after the writer has sent it and before it was
/// read, the jobs in it are given back.
struct ClaimAnswer<'a> {
    inbox: &'a Inbox,
    answer: oneshot::Receiver<Result<FinishAndClaim>>,
}

impl ClaimAnswer<'_> {
    async fn heard(mut self) -> Result<FinishAndClaim> {
        (&mut self.answer).await.map_err(|_| closed())?
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        // From here on the writer notices by itself that nobody listens.
        self.answer.close();
        let Ok(Ok(turn)) = self.answer.try_recv() else { return };
        if !turn.claimed.is_empty() {
            let leases: Vec<Lease> = turn.claimed.into_iter().map(|job| job.lease).collect();
            let unclaim =
                move |batch: &mut Batch<'_>| leases.iter().try_for_each(|lease| batch.unclaim(lease));
            self.inbox.push_now(Op::Work(Box::new(Task::new(unclaim).0)));
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<()> {
        let path = self.inner.path.clone();
        let migrate = move || crate::open::migrate(&crate::open::writing(&path)?);
        tokio::task::spawn_blocking(migrate).await.map_err(|_| closed())?
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        admit::jobs(&jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |batch| batch.enqueue(jobs)).await
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
        self.write(move |batch| batch.heartbeat(&worker, &leases, lease_for)).await
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        let keep = |records| self.write(move |batch| batch.record(records));
        admit::record_with(self, records, keep).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        let finishes = admit::finishes(finishes);
        self.write(move |batch| batch.finish(finishes)).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, mut claim: Claim) -> Result<FinishAndClaim> {
        claim.wait = Duration::ZERO;
        self.claim_after(finishes, claim).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        self.write(move |batch| batch.sweep(limit)).await
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        let (ids, now) = (ids.to_vec(), self.inner.clock.now());
        self.inner.readers.read(move |connection| read::get(connection, &ids, now)).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        let filter = filter.clone();
        self.inner.readers.read(move |connection| read::list(connection, &filter, &page)).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let deadline = self.inner.clock.now().plus(wait);
        loop {
            // Listening before looking: a change in between is heard.
            let mut listener = self.inner.signals.listen(id.as_str());
            let wanted = id.clone();
            let log = self.inner.readers.read(move |c| read::events(c, &wanted, after, limit)).await?;
            let Some(log) = log else { return Ok(None) };
            let left = deadline.since(self.inner.clock.now());
            if !log.events.is_empty() || log.is_finished || left.is_zero() {
                return Ok(Some(log.events));
            }
            // The writer looks for other processes' changes only while it knows of somebody who waits.
            self.inner.inbox.nudge();
            tokio::select! {
                () = listener.heard() => {}
                () = self.inner.clock.sleep(left) => {}
            }
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        // Candidates are looked for on a reading connection, a bounded page at a time, so that a filter which
        // fits few of many jobs does not hold the writer up; the writer then checks each again.
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
                acted.done += self.write(move |batch| batch.act(&ids, action)).await?;
            }
            page.cursor = found.next;
            if !has_more || acted.done >= limit as u64 {
                return Ok(Acted { complete: !has_more, ..acted });
            }
        }
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.inner.readers.read(read::queues).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue(queue)?;
        let (queue, config) = (queue.to_owned(), longhaul::Json::new(config)?);
        self.write(move |batch| {
            batch
                .connection()
                .prepare_cached("INSERT OR REPLACE INTO queues (name, config) VALUES (?1, ?2)")
                .and_then(|mut write| write.execute(params![queue, config.as_str()]))
                .map_err(fault("configure a queue"))?;
            Ok(())
        })
        .await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let since = self.inner.clock.now().minus(longhaul::WORKER_SEEN_FOR);
        self.inner.readers.read(move |connection| read::workers(connection, since)).await
    }
}
