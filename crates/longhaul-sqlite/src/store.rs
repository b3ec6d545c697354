use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::moving::{self, Export, Exported, Imported};
use longhaul::{
    Acted, Action, Changes, Claim, Claimed, Clock, Enqueued, Error, Event, Finish, FinishAndClaim, JobFilter,
    JobId, JobPage, Json, KeyConfig, KeyFilter, KeyInfo, Lane, Lease, LeaseStatus, Lookup, NewJob, Page,
    QueueConfig, QueueInfo, Record, Result, Sample, Signalled, Signals, StepRecord, Store, Swept, Timestamp,
    WorkerInfo, admit, lifecycle,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::durability::Durability;
use crate::error::{closed, fault, unavailable};
use crate::lock::Role;
use crate::open::{LOG_PAGES, LOG_PAGES_SYNCED_LATER};
use crate::read::{self, Readers, Snapshot};
use crate::syncer::{SyncLog, Syncer};
use crate::transaction::{Guard, Transaction};
use crate::volume::Volume;
use crate::writer::{
    ClaimCommand, Class, Command, CommandQueue, Done, Space, Task, WriteTx, Writer, takeover,
};

/// Jobs in an SQLite file. Cheap to clone; the file is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    clock: Clock,
    queue: Arc<CommandQueue>,
    signals: Arc<Signals>,
    changes: Arc<Changes>,
    /// For what reads a known number of rows.
    look_ups: Readers,
    /// For lists, searches and applications' code, which may take longer and must not delay look-ups.
    scans: Readers,
    volume: Arc<Volume>,
    guard: Guard,
    role: Arc<Role>,
}

/// More connections would only wait for the same disk.
const LOOK_UPS: usize = 3;
const SCANS: usize = 4;
/// The most jobs of one transaction of a bulk action or of a sweep, so that heartbeats are not delayed behind it.
const AT_ONCE: usize = 200;
/// The divisor of the lease: a heartbeat that has waited longer than this part of it looks for the reason.
const HEARTBEAT_PATIENCE: u32 = 20;

impl SqliteStore {
    /// Opens the file, creates it and its folder if they are missing, migrates its schema, and reclaims the jobs that a
    /// dead predecessor was running.
    ///
    /// # Errors
    /// The file cannot be opened or written, or was written by a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with_clock(path, Clock::system()).await
    }

    /// The same, with what is durable when a write is answered. It holds for what this store writes: another that has the file
    /// open, in this process or another one, has its own.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_durable(path: impl AsRef<Path>, durability: Durability) -> Result<Self> {
        Self::open_on(path.as_ref(), Clock::system(), durability, Syncer::of_log).await
    }

    /// The same on a clock of the caller's, for tests.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_with_clock(path: impl AsRef<Path>, clock: Clock) -> Result<Self> {
        Self::open_on(path.as_ref(), clock, Durability::Sync, Syncer::of_log).await
    }

    /// The same with the way to sync the file's log.
    pub(crate) async fn open_on(
        path: &Path,
        clock: Clock,
        durability: Durability,
        sync: impl Fn(&Path) -> io::Result<SyncLog> + Send + 'static,
    ) -> Result<Self> {
        let path = path.to_owned();
        let open = move || Self::open_blocking(&path, &clock, durability, &sync);
        tokio::task::spawn_blocking(open).await.map_err(|_| closed())?
    }

    fn open_blocking(
        path: &Path,
        clock: &Clock,
        durability: Durability,
        sync: &impl Fn(&Path) -> io::Result<SyncLog>,
    ) -> Result<Self> {
        let opened = Self::open_file(path, clock, durability, sync);
        match opened {
            Err(Error::Full { .. }) => {
                // The room that was kept for this lets the store open, and free some.
                Volume::release_reserve_of(path);
                Self::open_file(path, clock, durability, sync)
            }
            opened => opened,
        }
    }

    fn open_file(
        path: &Path,
        clock: &Clock,
        durability: Durability,
        sync: &impl Fn(&Path) -> io::Result<SyncLog>,
    ) -> Result<Self> {
        let mut connection = crate::open::writing(path)?;
        let role = Role::of(path).map_err(|e| crate::open::open_fault(path, &e))?;
        crate::open::migrate(&connection)?;
        if role.is_owner() {
            let taken = takeover(&connection, clock)?;
            if taken > 0 {
                tracing::warn!(jobs = taken, "took over jobs that the last server was running when it ended");
            }
        }
        crate::open::opened(&connection)?;
        let guard = Guard::default();
        guard.install(&mut connection)?;
        let role = Arc::new(role);
        let log_pages = match durability {
            Durability::Sync => LOG_PAGES,
            Durability::Within(_) => LOG_PAGES_SYNCED_LATER,
        };
        let volume = Volume::open(path, log_pages).map_err(|e| crate::open::open_fault(path, &e))?;
        let volume = Arc::new(volume);
        let syncer = match durability {
            Durability::Sync => None,
            Durability::Within(bound) => {
                // What was written so far is synced.
                crate::open::sync_later(&connection)?;
                Some(Self::start_syncer(path, clock, bound, sync)?)
            }
        };
        let queue = Arc::new(CommandQueue::new());
        let (signals, changes) = (Arc::new(Signals::default()), Arc::new(Changes::default()));
        let writer = Writer {
            connection,
            queue: Arc::clone(&queue),
            signals: Arc::clone(&signals),
            changes: Arc::clone(&changes),
            clock: clock.clone(),
            volume: Arc::clone(&volume),
            role: Arc::clone(&role),
            syncer,
        };
        std::thread::Builder::new()
            .name("longhaul-sqlite".into())
            .spawn(move || writer.run())
            .map_err(|e| crate::open::open_fault(path, &e))?;
        let nudged = Arc::downgrade(&queue);
        clock.on_advance(move || {
            if let Some(queue) = nudged.upgrade() {
                queue.nudge();
            }
        });
        let (look_ups, scans) =
            (Readers::new(path.to_owned(), LOOK_UPS), Readers::new(path.to_owned(), SCANS));
        let (path, clock) = (path.to_owned(), clock.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                clock,
                queue,
                signals,
                changes,
                look_ups,
                scans,
                volume,
                guard,
                role,
            }),
        })
    }

    fn start_syncer(
        path: &Path,
        clock: &Clock,
        bound: Duration,
        sync: &impl Fn(&Path) -> io::Result<SyncLog>,
    ) -> Result<Arc<Syncer>> {
        let fault = |error| crate::open::open_fault(path, &error);
        let (syncer, sync) = (Syncer::new(bound, clock), sync(path).map_err(fault)?);
        let running = Arc::clone(&syncer);
        let thread = std::thread::Builder::new().name("longhaul-sync".into());
        thread.spawn(move || running.run(sync)).map_err(fault)?;
        Ok(syncer)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// True where this store holds the file's lock: if not, another process does and this one is its guest.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.inner.role.is_owner()
    }

    /// Runs `work` as part of a group commit: its statements and its jobs are durable together when this
    /// returns, or none of them is. An `Err` of `work` undoes what `work` did and nothing else.
    ///
    /// `work` runs on the thread that every other write waits for: keep it to a few statements. Where it panics, what it
    /// did is undone and this call fails.
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
        let (guard, mut work) = (self.inner.guard.clone(), Some(work));
        let refused = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&refused);
        let written = self.write(Class::Application, move |tx| {
            // Code that has run cannot run again; the writer does not ask for that.
            let work = work.take().ok_or_else(closed)?;
            match tx.savepoint(|tx| guard.watch(|| work(&mut Transaction::new(tx))))? {
                // SQLite has ended the whole transaction, as it does on a full disk. The error of the code says why.
                Err(error) if tx.connection().is_autocommit() => {
                    *slot.lock() = Some(error);
                    Err(unavailable("the transaction was rolled back".to_owned()))
                }
                done => Ok(done),
            }
        });
        let written = written.await;
        match refused.lock().take() {
            Some(error) => Ok(Err(error)),
            None => written,
        }
    }

    /// Reads with a read-only connection on a thread of its own. `work` sees every write that was answered before the
    /// call.
    ///
    /// # Errors
    /// The error of `work`, or of opening a connection.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.inner.scans.read(move |connection| work(connection).map_err(fault("read"))).await
    }

    /// Begins a read of the whole file as it is now: of the jobs, as [`Store::export`] does, and of an application's own tables.
    ///
    /// # Errors
    /// A fault of the file.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let settings = moving::export_settings(self).await?;
        Snapshot::begin(self.inner.path.clone(), settings, self.inner.clock.now()).await
    }

    /// Gives the pages that deleted rows have left back to the file system, in short transactions, but for a mebibyte that is
    /// kept for what comes next. A sweep that prunes gives back some by itself.
    ///
    /// # Errors
    /// A fault of the file.
    pub async fn give_space_back(&self) -> Result<()> {
        while self.write(Class::Maintenance, |tx| tx.give_space_back()).await? == Space::More {}
        Ok(())
    }

    async fn write<T, F>(&self, class: Class, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    {
        let (task, answer) = Task::new(class, work);
        self.inner.queue.push(Command::Call(Box::new(task))).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    async fn claim_after(&self, finishes: Vec<Finish>, claim: Claim) -> Result<FinishAndClaim> {
        let (reply, answer) = oneshot::channel();
        let (finishes, claim) = (admit::finishes(finishes), admit::claim(claim));
        let ticket = self.inner.queue.ticket();
        let command = ClaimCommand { ticket, finishes, claim, reply };
        self.inner.queue.push(Command::Claim(Box::new(command))).await.map_err(|_| closed())?;
        ClaimAnswer { queue: &self.inner.queue, ticket: Some(ticket), answer }.delivered().await
    }

    /// A page of a bulk action, with where the rest begins. What fits is looked for on a reading connection, so that a
    /// filter which fits few of many jobs does not hold the writer up; the writer then checks each again.
    async fn act_on_page(
        &self,
        filter: &JobFilter,
        action: Action,
        before: Option<i64>,
        limit: u64,
    ) -> Result<(Done, Option<i64>)> {
        let (wanted, filter) = (filter.clone(), filter.clone());
        let found = self.inner.scans.read(move |c| read::candidates(c, &wanted, before, AT_ONCE)).await?;
        let (mut untouched, mut next) = (0, found.next);
        let mut ids: Vec<JobId> = Vec::new();
        let mut last = None;
        for candidate in found.rows {
            if ids.len() as u64 == limit {
                next = last;
                break;
            }
            last = Some(candidate.seq);
            if lifecycle::act(candidate.state, candidate.waits_for.as_ref(), &action)
                == lifecycle::Deed::Nothing
            {
                untouched += 1;
            } else {
                ids.push(candidate.id);
            }
        }
        let mut done = Done::default();
        if !ids.is_empty() {
            let class =
                if matches!(action, Action::Retry | Action::RetryWith { .. } | Action::RetryFrom { .. }) {
                    Class::Growth
                } else {
                    Class::Maintenance
                };
            done = self.write(class, move |tx| tx.act(&ids, &filter, &action)).await?;
        }
        Ok((Done { matched: done.matched + untouched, ..done }, next))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The answer to a claim on its way. Where its caller goes away after the writer has sent it and before it was
/// read, the jobs in it are given back; where it goes away before, the writer need not keep the claim.
struct ClaimAnswer<'a> {
    queue: &'a CommandQueue,
    /// `None` once the answer was read.
    ticket: Option<u64>,
    answer: oneshot::Receiver<Result<FinishAndClaim>>,
}

impl ClaimAnswer<'_> {
    async fn delivered(mut self) -> Result<FinishAndClaim> {
        let answer = (&mut self.answer).await;
        self.ticket = None;
        answer.map_err(|_| closed())?
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        // From here on the writer notices the closed channel.
        self.answer.close();
        let command = match self.answer.try_recv() {
            Ok(Ok(undelivered)) => {
                let leases: Vec<Lease> = undelivered.claimed.into_iter().map(|job| job.lease).collect();
                let unclaim =
                    move |tx: &mut WriteTx<'_>| leases.iter().try_for_each(|lease| tx.unclaim(lease));
                Command::Call(Box::new(Task::new(Class::Maintenance, unclaim).0))
            }
            _ => Command::Withdraw(ticket),
        };
        // If the writer has stopped, the leases expire.
        drop(self.queue.push_now(command));
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<()> {
        let path = self.inner.path.clone();
        let migrate = move || crate::open::migrate(&crate::open::writing(&path)?);
        tokio::task::spawn_blocking(migrate).await.map_err(|_| closed())?
    }

    async fn ready(&self) -> Result<()> {
        if self.inner.queue.is_closed() {
            return Err(closed());
        }
        self.inner.volume.check_file()?;
        self.inner.volume.check_room()?;
        let Some(outage) = self.inner.volume.outage() else { return Ok(()) };
        // There may be no other writes, so that a small write tests whether the outage is over; the next call sees its
        // result.
        let (probe, _) = Task::new(Class::Maintenance, |tx: &mut WriteTx<'_>| tx.probe());
        drop(self.inner.queue.push_now(Command::Call(Box::new(probe))));
        Err(outage)
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let jobs = admit::with_deliveries(jobs)?;
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut enqueued = self.write(Class::Growth, move |tx| tx.enqueue(&jobs)).await?;
        enqueued.truncate(asked);
        Ok(enqueued)
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
        let asked = leases.clone();
        let beat = move |tx: &mut WriteTx<'_>| tx.heartbeat(&worker, &leases, lease_for);
        let (task, mut answer) = Task::new(Class::Heartbeat, beat);
        self.inner.queue.push_now(Command::Call(Box::new(task))).map_err(|_| closed())?;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|_| closed())?,
                () = self.inner.clock.sleep(lease_for / HEARTBEAT_PATIENCE) => {}
            }
            // An application's code holds the transaction. The heartbeat will be part of that transaction, and no other
            // call can end a lease before, so that it may be answered. If it is lost with the transaction, in an
            // outage, the next heartbeat is answered accordingly.
            if self.inner.queue.is_transaction_open() {
                return self.inner.look_ups.read(move |c| read::statuses(c, &asked)).await;
            }
        }
    }

    async fn record(&self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        let keep = |records: Vec<Record>| self.write(Class::Growth, move |tx| tx.record(&records));
        admit::record_with(self, records, keep).await
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        let finishes = admit::finishes(finishes);
        self.write(Class::Growth, move |tx| tx.finish(&finishes)).await
    }

    async fn finish_and_claim(&self, finishes: Vec<Finish>, mut claim: Claim) -> Result<FinishAndClaim> {
        claim.wait = Duration::ZERO;
        self.claim_after(finishes, claim).await
    }

    async fn sweep(&self, limit: usize) -> Result<Swept> {
        let mut swept = Swept::default();
        loop {
            let crashed = swept.rescued + swept.poisoned + swept.fenced;
            let most = [swept.promoted, crashed, swept.expired, swept.pruned].into_iter().max();
            let left = limit.saturating_sub(usize::try_from(most.unwrap_or(0)).unwrap_or(limit));
            let piece = left.min(AT_ONCE);
            let found = self.write(Class::Maintenance, move |tx| tx.sweep(piece)).await?;
            swept.promoted += found.promoted;
            swept.rescued += found.rescued;
            swept.poisoned += found.poisoned;
            swept.fenced += found.fenced;
            swept.expired += found.expired;
            swept.pruned += found.pruned;
            // A sort that has filled its piece may have more.
            let crashed = found.rescued + found.poisoned + found.fenced;
            let has_more = [found.promoted, crashed, found.expired, found.pruned]
                .iter()
                .any(|done| *done >= piece as u64);
            if !has_more || left <= piece {
                return Ok(swept);
            }
        }
    }

    async fn get(&self, ids: &[JobId]) -> Result<Vec<Lookup>> {
        let (ids, now) = (ids.to_vec(), self.inner.clock.now());
        self.inner.look_ups.read(move |connection| read::get(connection, &ids, now)).await
    }

    async fn list(&self, filter: &JobFilter, page: Page) -> Result<JobPage> {
        admit::filter(filter)?;
        let filter = filter.clone();
        self.inner.scans.read(move |connection| read::list(connection, &filter, &page)).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<Vec<Event>>> {
        let began = self.inner.clock.monotonic();
        loop {
            // Listens before the look, so that no change in between is missed.
            let mut listener = self.inner.signals.listen(id.as_str());
            let wanted = id.clone();
            let log = self.inner.look_ups.read(move |c| read::events(c, &wanted, after, limit)).await?;
            let Some(log) = log else { return Ok(None) };
            let left = wait.saturating_sub(self.inner.clock.since(began));
            if !log.events.is_empty() || log.is_finished || left.is_zero() {
                return Ok(Some(log.events));
            }
            // The writer looks for changes by other processes only while a caller waits.
            self.inner.queue.nudge();
            tokio::select! {
                () = listener.heard() => {}
                () = self.inner.clock.sleep(left) => {}
            }
        }
    }

    async fn act(&self, filter: &JobFilter, action: Action, limit: usize) -> Result<Acted> {
        admit::filter(filter)?;
        admit::action(&action)?;
        let (mut acted, limit) = (Acted::default(), limit as u64);
        let mut before = None;
        while !acted.complete && acted.done < limit {
            let (page, next) = self.act_on_page(filter, action.clone(), before, limit - acted.done).await?;
            acted.matched += page.matched;
            acted.done += page.done;
            acted.complete = next.is_none();
            before = next;
        }
        Ok(acted)
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        let now = self.inner.clock.now();
        self.inner.look_ups.read(move |connection| read::queues(connection, now)).await
    }

    async fn set_queue(&self, queue: &str, config: &QueueConfig) -> Result<()> {
        admit::queue_config(queue, config)?;
        let (queue, text, config) = (queue.to_owned(), Json::new(config)?, config.clone());
        self.write(Class::Growth, move |tx| tx.set_queue(&queue, text.as_str(), &config)).await
    }

    async fn update_queue(&self, queue: &str, before: &QueueConfig, config: &QueueConfig) -> Result<bool> {
        admit::queue_config(queue, config)?;
        let (queue, text) = (queue.to_owned(), Json::new(config)?);
        let (before, config) = (before.clone(), config.clone());
        self.write(Class::Growth, move |tx| tx.update_queue(&queue, &before, text.as_str(), &config)).await
    }

    async fn pause_queue(&self, queue: &str) -> Result<()> {
        admit::queue(queue)?;
        let queue = queue.to_owned();
        self.write(Class::Maintenance, move |tx| tx.pause_queue(&queue)).await
    }

    async fn resume_queue(&self, queue: &str) -> Result<()> {
        let queue = queue.to_owned();
        self.write(Class::Maintenance, move |tx| tx.resume_queue(&queue)).await
    }

    async fn lanes(&self) -> Result<Vec<Lane>> {
        self.inner.scans.read(read::lanes).await
    }

    async fn set_key(&self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        admit::key(key, config)?;
        let (key, config) = (key.to_owned(), config.copied());
        self.write(Class::Growth, move |tx| tx.set_key(&key, config.as_ref())).await
    }

    async fn pause_key(&self, key: &str, pause: Duration) -> Result<()> {
        admit::paused_key(key)?;
        let key = key.to_owned();
        self.write(Class::Maintenance, move |tx| tx.pause_key(&key, pause).map(drop)).await
    }

    async fn resume_key(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.write(Class::Maintenance, move |tx| tx.resume_key(&key)).await
    }

    async fn keys(&self, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
        admit::key_filter(filter)?;
        let (filter, now) = (filter.clone(), self.inner.clock.now());
        self.inner.scans.read(move |connection| read::keys(connection, &filter, now)).await
    }

    async fn steps(&self, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
        let id = id.clone();
        self.inner.look_ups.read(move |connection| read::steps(connection, &id)).await
    }

    async fn signal(&self, id: &JobId, name: &str, value: &Json) -> Result<Signalled> {
        admit::signal(name, value)?;
        let (id, name, output) = (id.clone(), name.to_owned(), admit::signal_output(value)?);
        self.write(Class::Growth, move |tx| tx.signal(&id, &name, &output)).await
    }

    async fn dependants(&self, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
        let id = id.clone();
        self.inner.look_ups.read(move |connection| read::dependants(connection, &id, limit)).await
    }

    async fn put_samples(&self, samples: &[Sample]) -> Result<()> {
        admit::samples(samples)?;
        let samples = samples.to_vec();
        self.write(Class::Growth, move |tx| tx.put_samples(&samples)).await
    }

    async fn samples(&self, series: &str, from: Timestamp) -> Result<Vec<Sample>> {
        let (series, now) = (series.to_owned(), self.inner.clock.now());
        self.inner.scans.read(move |connection| read::samples(connection, &series, from, now)).await
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.inner.changes)
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        let since = self.inner.clock.now().minus(longhaul::WORKER_SEEN_FOR);
        self.inner.look_ups.read(move |connection| read::workers(connection, since)).await
    }

    async fn export(&self) -> Result<Box<dyn Export>> {
        Ok(Box::new(self.snapshot().await?))
    }

    async fn import(&self, records: Vec<Exported>) -> Result<Vec<Imported>> {
        let records = moving::admit(records)?;
        let settings = moving::import_settings(self, &records, self.inner.clock.now()).await?;
        self.write(Class::Growth, move |tx| tx.import(&records, &settings)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_whose_writer_has_ended_is_not_ready_and_answers_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("jobs.db")).await.unwrap();
        store.ready().await.unwrap();
        store.inner.queue.close();
        assert!(matches!(store.ready().await, Err(Error::Broken { .. })));
        let job = longhaul_conformance::jobs::job();
        assert!(matches!(store.enqueue(vec![job]).await, Err(Error::Broken { .. })));
        let (worker, claim) = (longhaul_conformance::jobs::worker("w"), longhaul_conformance::jobs::claim());
        let beat = store.heartbeat(&worker, &[], Duration::from_secs(30)).await;
        assert!(matches!(beat, Err(Error::Broken { .. })));
        assert!(matches!(store.claim(claim).await, Err(Error::Broken { .. })));
    }
}
