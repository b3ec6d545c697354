use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use longhaul::{
    Change, Changes, Claimed, Clock, DEPENDANTS_AT_ONCE, JobId, KeptChange, KeyConfig, Result, State,
    Timestamp,
};
use rusqlite::{Connection, params};

use super::bounds::MaxWaiting;
use super::changes::Names;
use super::dependencies::Ended;
use super::fair::FairQueue;
use super::groups::{Displaced, Keyed};
use super::limits::Key;
use super::statements::Statements;
use crate::error::{fault, panicked, unavailable};
use crate::lease_clock::{LeaseClock, LeaseTime};
use crate::limit_key::InUse;
use crate::lock::Turns;
use crate::sequence::Sequence;

/// A transaction: what the operations of `enqueue.rs`, `claim.rs`, … work on. One serves after the other, so that
/// statements are prepared and leases remembered once.
pub(crate) struct WriteTx<'c> {
    pub(super) connection: &'c Connection,
    turns: Turns,
    pub(super) statements: Statements<'c>,
    pub(super) sequence: Sequence,
    pub(super) clock: Clock,
    lease_clock: LeaseClock,
    /// The time of day of this transaction.
    pub(super) now: Timestamp,
    /// The same moment on the clock of leases, which no setting of the wall clock moves.
    pub(super) lease_now: LeaseTime,
    pub(super) notes: Notes,
    /// Workers that `workers` has a row of.
    pub(super) known_workers: HashSet<String>,
    /// The rows of running jobs, by their tokens. It only spares looking: what is done with a row
    /// checks the lease again, and a token that is not in here is looked up.
    leased: HashMap<i64, Leased>,
    names: Names,
    changes: Arc<Changes>,
    is_observed: bool,
    /// True where some queue may be paused; which, a claim looks up.
    pub(super) has_paused_queues: bool,
    /// True where some queue may be fair.
    pub(super) has_fair_queues: bool,
    /// True where some job with limit keys may wait.
    pub(super) has_groups: bool,
    /// True where some queue may bound what waits.
    pub(super) has_queue_bounds: bool,
    /// True where some limit key may.
    pub(super) has_key_bounds: bool,
    /// True where some job may depend on another.
    pub(super) has_edges: bool,
    /// True where some may not have counted the end of another.
    pub(super) has_dependencies: bool,
    /// True where some may have been left to do so.
    pub(super) has_ended_dependencies: bool,
    /// True where some wait may end by itself.
    pub(super) has_wakes: bool,
    /// True where some queue may have slots or a rate.
    pub(super) has_queue_limits: bool,
    /// The version of the file's data for which the ten above were read.
    pub(super) read_at: Option<i64>,
    /// The number of dependants that this transaction may still settle.
    pub(super) settle_left: usize,
    /// The last job that a sweep has looked at, of those that others depend on.
    pub(super) looked_up_to: i64,
    /// The limit keys and the queues that this transaction has looked at.
    pub(super) keys: HashMap<String, Key>,
    /// The limit key look-ups that can find something, once this transaction has needed them.
    pub(super) limits_in_use: Option<InUse>,
    pub(super) fair: HashMap<String, Option<FairQueue>>,
    pub(super) queue_bounds: HashMap<String, Option<MaxWaiting>>,
    pub(super) limited_queues: HashMap<String, Option<KeyConfig>>,
    /// By queue, the time at which claims look again at jobs that wait for preferred workers. It outlives transactions.
    pub(super) preferred_until: HashMap<String, Timestamp>,
    /// True where this store holds the lock file, so that a successor may take over from its workers.
    pub(super) owner: bool,
    pub(super) isolation: Isolation,
}

/// The isolation of the calls of a transaction from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// All calls or none: the cheap way, and the first that is tried.
    Together,
    /// Each call in a savepoint of its own, once one of them has failed.
    Apart,
}

/// The effects of a transaction that are not rows.
#[derive(Clone, Default)]
pub(super) struct Notes {
    /// Changes of the counts, by queue.
    queues: HashMap<String, QueueNotes>,
    /// Jobs that changed, whose readers are woken.
    pub(super) changed: Vec<JobId>,
    /// Changes of state, for those who observe them.
    pub(super) changes: Vec<KeptChange>,
    /// True where a job became scheduled or ceased to be, so that another may be the next that falls due.
    pub(super) scheduled: bool,
    /// Jobs that have ended and are not yet counted by those that wait for them.
    pub(super) ended: VecDeque<Ended>,
    /// Closing jobs that were created and may turn out to have no children.
    pub(super) new_batches: Vec<i64>,
    /// Limit keys of which slots were given back, and that keep groups back.
    pub(super) given_back: BTreeSet<String>,
    /// Groups that have gone or moved on, but for those that a claim has taken jobs of.
    pub(super) displaced: Vec<Displaced>,
    /// True where a claim stopped at its bound, so that there may be more to take at once.
    pub(super) stopped_early: bool,
}

#[derive(Clone, Copy, Default)]
struct QueueNotes {
    /// By state.
    changes: [i64; State::ALL.len()],
    made_available: bool,
}

impl Notes {
    /// Forgets all, and keeps the memory: there is a transaction after each.
    fn clear(&mut self) {
        let Self {
            queues,
            changed,
            changes,
            scheduled,
            ended,
            new_batches,
            given_back,
            displaced,
            stopped_early,
        } = self;
        queues.clear();
        changed.clear();
        changes.clear();
        ended.clear();
        new_batches.clear();
        given_back.clear();
        displaced.clear();
        (*scheduled, *stopped_early) = (false, false);
    }

    /// Notes that claims may take jobs of a queue which they could not take before.
    pub(super) fn make_available(&mut self, queue: &str) {
        self.queues.entry(queue.to_owned()).or_default().made_available = true;
    }

    /// By how many more jobs wait in a queue than is written.
    pub(super) fn waiting_in(&self, queue: &str) -> i64 {
        let changes = self.queues.get(queue).map(|notes| &notes.changes);
        changes.map_or(0, |by| by[State::Available as usize] + by[State::Scheduled as usize])
    }

    /// The queues in which a job became available.
    pub(super) fn queues_made_available(&self) -> Vec<&String> {
        self.queues.iter().filter(|(_, notes)| notes.made_available).map(|(queue, _)| queue).collect()
    }
}

/// A running job without a unique key and without a batch.
pub(super) struct Leased {
    pub(super) seq: i64,
    pub(super) kind: Arc<str>,
    pub(super) queue: Arc<str>,
    pub(super) attempt: u32,
    pub(super) started_at: Timestamp,
    /// Its limit keys, if any, and the slots of them and of its queue that it takes.
    pub(super) held: Option<(Arc<str>, i64)>,
}

/// Leases that end otherwise than by a completion here stay remembered; beyond this many, all are forgotten.
const REMEMBERED_LEASES: usize = 16_384;

impl<'c> WriteTx<'c> {
    pub(crate) fn new(
        connection: &'c Connection,
        clock: Clock,
        changes: Arc<Changes>,
        owner: bool,
    ) -> Result<Self> {
        let lease_clock = LeaseClock::open(connection, &clock)?;
        Ok(Self {
            connection,
            turns: Turns::of(connection.path()),
            statements: Statements::prepare(connection).map_err(fault("prepare"))?,
            sequence: Sequence::default(),
            now: clock.now(),
            lease_now: lease_clock.now(&clock),
            lease_clock,
            clock,
            notes: Notes::default(),
            known_workers: HashSet::new(),
            leased: HashMap::new(),
            names: Names::default(),
            changes,
            is_observed: false,
            has_paused_queues: false,
            has_fair_queues: false,
            has_groups: false,
            has_queue_bounds: false,
            has_key_bounds: false,
            has_edges: false,
            has_dependencies: false,
            has_ended_dependencies: false,
            has_wakes: false,
            has_queue_limits: false,
            read_at: None,
            settle_left: DEPENDANTS_AT_ONCE,
            looked_up_to: 0,
            keys: HashMap::new(),
            limits_in_use: None,
            fair: HashMap::new(),
            queue_bounds: HashMap::new(),
            limited_queues: HashMap::new(),
            preferred_until: HashMap::new(),
            owner,
            isolation: Isolation::Together,
        })
    }

    pub(crate) fn connection(&self) -> &'c Connection {
        self.connection
    }

    pub(super) fn begin(&mut self, isolation: Isolation) -> Result<()> {
        self.notes.clear();
        self.forget_limits();
        self.isolation = isolation;
        self.is_observed = self.changes.is_observed();
        let turn = self.turns.wait();
        self.statements.begin.raw_execute().map_err(fault("begin a transaction"))?;
        drop(turn);
        // Read once the write lock is held, which may have been waited for.
        self.now = self.clock.now();
        self.lease_now = self.lease_clock.now(&self.clock);
        if let Err(error) = self.read_features_in_use() {
            // A transaction that was left open would keep every later one from beginning.
            self.roll_back();
            return Err(fault("read the newest job")(error));
        }
        self.settle_left = DEPENDANTS_AT_ONCE;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<()> {
        // The claims that wait have been served by now.
        self.notes.stopped_early |= self.open_what_was_freed()?;
        self.write_limits().map_err(fault("count what limit keys have given"))?;
        self.write_counts().map_err(fault("count"))?;
        self.statements.commit.raw_execute().map_err(fault("commit"))?;
        let now = self.now;
        self.preferred_until.retain(|_, at| *at > now);
        Ok(())
    }

    pub(super) fn roll_back(&mut self) {
        // Their rows may be gone with the transaction.
        self.known_workers.clear();
        self.forget_what_is_used();
        // SQLite has already rolled back by itself after some faults (a full disk).
        if !self.connection.is_autocommit()
            && let Err(error) = self.statements.rollback.raw_execute()
        {
            tracing::warn!("failed to roll back: {error}");
        }
    }

    /// Runs a call. The outer error ends the transaction; the inner one concerns the call alone and has undone what
    /// it did, which only happens where calls are kept apart.
    pub(super) fn run_isolated<T>(
        &mut self,
        isolation: Isolation,
        call: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Result<T>> {
        match isolation {
            Isolation::Together => self.catch_panic(call).map(Ok),
            Isolation::Apart => match self.savepoint(call)? {
                Err(error) if error.is_outage() => Err(error),
                // After some faults (a full disk) SQLite ends the whole transaction, whatever the call made of them.
                _ if self.connection.is_autocommit() => {
                    Err(unavailable("the transaction was rolled back".to_owned()))
                }
                done => Ok(done),
            },
        }
    }

    fn catch_panic<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // Whatever was half done is undone with the transaction or the savepoint.
        catch_unwind(AssertUnwindSafe(|| call(self))).unwrap_or_else(|panic| Err(panicked("write", &*panic)))
    }

    /// Runs work and undoes it alone where it fails or panics. The outer error is one of the transaction.
    pub(crate) fn savepoint<T, E>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Result<T, E>> {
        if !self.connection.is_autocommit() {
            // What is undone is forgotten, and must not take with it what was taken before.
            self.write_limits().map_err(fault("count what limit keys have given"))?;
        }
        self.execute("SAVEPOINT")?;
        let notes = self.notes.clone();
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if !matches!(done, Ok(Ok(_))) {
            self.known_workers.clear();
            self.forget_what_is_used();
            self.notes = notes;
            self.forget_limits();
            self.execute("ROLLBACK TO")?;
        }
        self.execute("RELEASE")?;
        done.map_err(|panic| panicked("run a transaction", &*panic))
    }

    /// Begins or ends the savepoint around a call, where there is still a transaction.
    fn execute(&self, verb: &str) -> Result<()> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let sql = format!("{verb} {SAVEPOINT}");
        let run = self.connection.prepare_cached(&sql).and_then(|mut statement| statement.raw_execute());
        run.map(|_| ()).map_err(fault("run a transaction"))
    }

    /// Writes what has been taken so far of limit keys and turns.
    fn write_limits(&mut self) -> rusqlite::Result<()> {
        self.write_keys()?;
        self.write_turns()
    }

    fn forget_limits(&mut self) {
        self.keys.clear();
        self.limits_in_use = None;
        self.fair.clear();
        self.queue_bounds.clear();
        self.limited_queues.clear();
    }

    /// Draws the next number for a job or a lease.
    pub(super) fn draw(&mut self) -> i64 {
        self.sequence.next(self.lease_now.ticks)
    }

    /// Notes where a job's row is that is claimed now.
    pub(super) fn remember(&mut self, token: i64, seq: i64, claimed: &Claimed, held: Option<(&str, i64)>) {
        if self.leased.len() >= REMEMBERED_LEASES {
            self.leased.clear();
        }
        let leased = Leased {
            seq,
            kind: self.names.kind(&claimed.kind),
            queue: self.names.queue(&claimed.queue),
            attempt: claimed.attempt,
            started_at: self.now,
            held: held.map(|(keys, slots)| (self.names.keys(keys), slots)),
        };
        self.leased.insert(token, leased);
    }

    /// Forgets where the rows of running jobs are: they are not what they were.
    pub(super) fn forget_leased(&mut self) {
        self.leased.clear();
    }

    pub(super) fn recall(&mut self, token: i64) -> Option<Leased> {
        self.leased.remove(&token)
    }

    /// True if the changes of this transaction have an observer.
    pub(super) fn is_observed(&self) -> bool {
        self.is_observed
    }

    /// A change of a job without its states, which the caller fills in.
    pub(super) fn change<'x>(
        &self,
        id: &'x JobId,
        kind: &'x str,
        queue: &'x str,
        attempt: u32,
    ) -> Change<'x> {
        Change { id, kind, queue, from: None, to: None, attempt, at: self.now, since: None, error: None }
    }

    /// Notes that a job changes its state now, after its row has changed; `since` and `error` are for observers. For a
    /// job with limit keys, `keyed` is the entry for its group and keys; a claim updates these itself.
    pub(super) fn moved(
        &mut self,
        seq: i64,
        change: &Change<'_>,
        keyed: Option<&Keyed<'_>>,
    ) -> rusqlite::Result<()> {
        let notes = match self.notes.queues.get_mut(change.queue) {
            Some(notes) => notes,
            None => self.notes.queues.entry(change.queue.to_owned()).or_default(),
        };
        for (state, by) in [(change.from, -1), (change.to, 1)] {
            let Some(state) = state else { continue };
            notes.changes[state as usize] += by;
        }
        notes.made_available |= change.to == Some(State::Available);
        self.notes.scheduled |= [change.from, change.to].contains(&Some(State::Scheduled));
        if self.is_observed {
            self.notes.changes.push(self.names.keep(change));
        }
        if self.has_queue_bounds || self.has_key_bounds {
            self.track(seq, change, keyed.map(|job| job.keys))?;
        }
        if self.has_queue_limits
            && change.from == Some(State::Available)
            && !matches!(change.to, Some(State::Available | State::Running))
        {
            self.made_way(change.queue)?;
        }
        match keyed {
            Some(job) => self.limit(change, job),
            None if self.has_fair_queues && change.to == Some(State::Available) => {
                self.plain_arrived(change.queue)
            }
            None => Ok(()),
        }
    }

    /// Keeps groups, and what is taken of limit keys, in step with a job that changes its state.
    fn limit(&mut self, change: &Change<'_>, job: &Keyed<'_>) -> rusqlite::Result<()> {
        if change.from == Some(State::Running)
            && let Some(held) = job.held
        {
            self.give_back(job.keys, change.queue, held)?;
        }
        if job.keys.is_empty() {
            // Only its queue has anything of it.
            return match change.to {
                Some(State::Available) if self.has_fair_queues => self.plain_arrived(change.queue),
                _ => Ok(()),
            };
        }
        match (change.from, change.to) {
            (Some(State::Available), _) => self.depart(change, job),
            (_, Some(State::Available)) => self.arrive(change, job),
            _ => Ok(()),
        }
    }

    /// Reports the changes of a transaction to observers, once it has committed.
    pub(super) fn tell_changes(&self) {
        self.changes.tell(self.notes.changes.iter().map(KeptChange::change));
    }

    /// True where the application's tables have constraints that are checked at the commit only.
    pub(super) fn has_deferred_constraints(&self) -> Result<bool> {
        self.connection
            .prepare_cached("SELECT 1 FROM sqlite_schema WHERE sql LIKE '%DEFERRED%'")
            .and_then(|mut find| find.exists([]))
            .map_err(fault("look for deferred constraints"))
    }

    /// Writes something and changes nothing.
    pub(crate) fn probe(&mut self) -> Result<()> {
        let probe = self.connection.execute("UPDATE compatibility SET oldest = oldest", []);
        probe.map(drop).map_err(fault("write"))
    }

    /// Writes how the counts have changed so far.
    pub(super) fn write_counts(&mut self) -> rusqlite::Result<()> {
        for (queue, notes) in &mut self.notes.queues {
            for state in State::ALL {
                let change = std::mem::take(&mut notes.changes[state as usize]);
                if change != 0 {
                    self.statements.add_count.execute(params![queue, state.as_str(), change])?;
                }
            }
        }
        Ok(())
    }
}

/// The name of the savepoint around a call; an application's code may use any other.
pub(crate) const SAVEPOINT: &str = "longhaul_call";

/// Fits an error that cannot happen (all that is written here has a JSON form) into SQLite's.
pub(super) fn no_json(error: longhaul::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}
