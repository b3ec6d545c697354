use std::collections::{HashMap, HashSet};

use longhaul::{Clock, JobId, Result, State, Timestamp};
use rusqlite::{Connection, Statement, params};

use crate::error::fault;
use crate::sequence::Sequence;

/// One transaction in the making: what the operations of `enqueue.rs`, `claim.rs`, … work on.
pub(crate) struct Batch<'c> {
    pub(super) connection: &'c Connection,
    pub(super) hot: Hot<'c>,
    pub(super) sequence: Sequence,
    pub(super) clock: Clock,
    /// The time of this transaction.
    pub(super) now: Timestamp,
    /// How the counts change.
    counts: Vec<Count>,
    /// Jobs that changed, for whoever waits for them.
    pub(super) changed: Vec<JobId>,
    /// Whether a job became available, so that a parked claim may have something to take.
    pub(super) made_available: bool,
    /// Children that have ended and are not yet counted: their batch, and how they ended.
    pub(super) ended_children: Vec<(i64, State)>,
    /// Closing jobs that were created and may turn out to have no children.
    pub(super) new_batches: Vec<i64>,
    /// Whether a claim stopped at its bound, so that there may be more to take at once.
    pub(super) stopped_early: bool,
    /// Workers that `workers` has a row of.
    pub(super) known_workers: HashSet<String>,
    /// Where the rows of running jobs are, by their tokens. It only spares looking: what is done with a row
    /// checks the lease again, and a token that is not in here is looked up.
    leased: HashMap<i64, Leased>,
    /// Whether this store holds the lock file.
    pub(super) owner: bool,
}

/// A running job without a unique key and without a batch.
pub(super) struct Leased {
    pub(super) seq: i64,
    pub(super) queue: String,
}

/// Leases that end otherwise than by a completion here stay remembered; beyond this many, all are forgotten.
const REMEMBERED_LEASES: usize = 16_384;

#[derive(Clone)]
struct Count {
    queue: String,
    state: State,
    change: i64,
}

/// The statements that every job passes through, prepared once.
pub(crate) struct Hot<'c> {
    pub(super) insert: Statement<'c>,
    pub(super) candidates: Statement<'c>,
    pub(super) claim: Statement<'c>,
    pub(super) completable: Statement<'c>,
    pub(super) complete: Statement<'c>,
    pub(super) complete_leased: Statement<'c>,
    pub(super) due: Statement<'c>,
    begin: Statement<'c>,
    commit: Statement<'c>,
    rollback: Statement<'c>,
    newest: Statement<'c>,
}

impl<'c> Hot<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            insert: connection.prepare(include_str!("../sql/insert_job.sql"))?,
            candidates: connection.prepare(include_str!("../sql/claim_candidates.sql"))?,
            claim: connection.prepare(include_str!("../sql/claim_job.sql"))?,
            completable: connection.prepare(include_str!("../sql/completable_job.sql"))?,
            complete: connection.prepare(include_str!("../sql/complete_job.sql"))?,
            complete_leased: connection.prepare(include_str!("../sql/complete_leased_job.sql"))?,
            due: connection.prepare(include_str!("../sql/due_jobs.sql"))?,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            rollback: connection.prepare("ROLLBACK")?,
            newest: connection.prepare("SELECT coalesce(max(seq), 0) FROM jobs")?,
        })
    }
}

impl<'c> Batch<'c> {
    pub(crate) fn new(connection: &'c Connection, clock: Clock, owner: bool) -> Result<Self> {
        Ok(Self {
            connection,
            hot: Hot::prepare(connection).map_err(fault("prepare"))?,
            sequence: Sequence::default(),
            now: clock.now(),
            clock,
            counts: Vec::new(),
            changed: Vec::new(),
            made_available: false,
            ended_children: Vec::new(),
            new_batches: Vec::new(),
            stopped_early: false,
            known_workers: HashSet::new(),
            leased: HashMap::new(),
            owner,
        })
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        self.now = self.clock.now();
        self.counts.clear();
        self.changed.clear();
        self.made_available = false;
        self.ended_children.clear();
        self.new_batches.clear();
        self.stopped_early = false;
        self.hot.begin.raw_execute().map_err(fault("begin a transaction"))?;
        // Another process may have drawn numbers since.
        let newest = self.hot.newest.query_row([], |row| row.get(0));
        if newest.is_err() {
            // A transaction that was left open would keep every later one from beginning.
            self.roll_back();
        }
        self.sequence.observe(newest.map_err(fault("read the newest job"))?);
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        self.write_counts().map_err(fault("count"))?;
        self.hot.commit.raw_execute().map_err(fault("commit"))?;
        Ok(())
    }

    pub(super) fn roll_back(&mut self) {
        // Their rows may be gone with the transaction.
        self.known_workers.clear();
        if let Err(error) = self.hot.rollback.raw_execute() {
            // SQLite has already rolled back by itself after some faults (a full disk), and says so here.
            tracing::debug!("failed to roll back: {error}");
        }
    }

    /// Runs a caller's own work, and undoes it alone where it fails.
    pub(crate) fn savepoint<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Result<T, E>> {
        let fault = fault("run a transaction");
        let execute = |sql| self.connection.execute_batch(sql).map_err(&fault);
        execute("SAVEPOINT caller")?;
        // What the work does to the counts and the signals must be undone with it.
        let (counts, changed) = (self.counts.clone(), self.changed.len());
        let done = work(self);
        let execute = |sql| self.connection.execute_batch(sql).map_err(&fault);
        if done.is_err() {
            execute("ROLLBACK TO caller")?;
            self.counts = counts;
            self.changed.truncate(changed);
            self.ended_children.clear();
            self.new_batches.clear();
        }
        execute("RELEASE caller")?;
        Ok(done)
    }

    /// Draws the next number for a job or a lease.
    pub(super) fn draw(&mut self) -> i64 {
        self.sequence.next(self.now)
    }

    /// Notes where a claimed job's row is.
    pub(super) fn remember(&mut self, token: i64, seq: i64, queue: &str) {
        if self.leased.len() >= REMEMBERED_LEASES {
            self.leased.clear();
        }
        self.leased.insert(token, Leased { seq, queue: queue.to_owned() });
    }

    pub(super) fn recall(&mut self, token: i64) -> Option<Leased> {
        self.leased.remove(&token)
    }

    /// Notes that a job of `queue` went from one state to another; `None` is not being there.
    pub(super) fn moved(&mut self, queue: &str, from: Option<State>, to: Option<State>) {
        for (state, change) in [(from, -1), (to, 1)] {
            let Some(state) = state else { continue };
            match self.counts.iter_mut().find(|c| c.state == state && c.queue == queue) {
                Some(count) => count.change += change,
                None => self.counts.push(Count { queue: queue.to_owned(), state, change }),
            }
        }
        self.made_available |= to == Some(State::Available);
    }

    /// Writes what [`moved`](Self::moved) has noted so far.
    pub(super) fn write_counts(&mut self) -> rusqlite::Result<()> {
        if self.counts.iter().any(|count| count.change != 0) {
            let mut write = self.connection.prepare_cached(include_str!("../sql/add_count.sql"))?;
            for count in self.counts.iter().filter(|count| count.change != 0) {
                write.execute(params![count.queue, count.state.as_str(), count.change])?;
            }
        }
        self.counts.clear();
        Ok(())
    }
}

/// The order of claims: a job's time, less the head start that its priority gives.
pub(super) fn rank(run_at: Timestamp, priority: i32) -> i64 {
    run_at.0 - i64::from(priority) * longhaul::clock::millis(longhaul::PRIORITY_STEP)
}

/// What is written here always has a JSON form; this only fits the error into SQLite's.
pub(super) fn no_json(error: longhaul::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
