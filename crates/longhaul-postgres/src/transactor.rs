use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::maybe_done;
use longhaul::clock::Stopwatch;
use longhaul::{Backoff, Changes, Claim, Claimed, Clock, KeptChange, Result, Signals, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::apply::apply_all;
use crate::call::{Answer, Call, Op, Verdict};
use crate::claim::PROMOTE_DUE;
use crate::connection::{Connection, Link};
use crate::enqueue::{INSERT_SIMPLE, INSERT_SIMPLE_JOB, INSERT_SIMPLE_KEYED};
use crate::error::{
    SILENCE, failed, fault, is_serialization_failure, is_unreachable, key_locked, unavailable,
};
use crate::finish::COMPLETE_SIMPLE;
use crate::finish_and_claim::{Ended, FINISH_AND_CLAIM, FINISH_AND_CLAIM_KEYED, simple_output};
use crate::limits::look_ahead;
use crate::notifier::Notifier;
use crate::options::{PostgresOptions, Purpose};
use crate::row::rows_at_most;
use crate::state::{DriverState, Look};
use crate::waiting::Waiting;
use crate::write_tx::{ADD_COUNTS, Counts, Effects, Unfinished, WriteTx};

/// The most runs of a transaction after serialization failures and deadlocks.
const MAX_CONFLICT_RETRIES: u32 = 10;
/// Scheduled jobs that one transaction promotes.
const PROMOTED_AT_ONCE: usize = 1_000;
/// Waiting claims that one transaction serves; the others are served by the next.
const SERVED_AT_ONCE: usize = 256;

const NOW: &str = include_str!("sql/now.sql");
const NEXT_DUE: &str = include_str!("sql/next_due.sql");
/// Statements that are sent together with others.
const TOGETHER: [&str; 10] = [
    NOW,
    NEXT_DUE,
    PROMOTE_DUE,
    ADD_COUNTS,
    FINISH_AND_CLAIM,
    FINISH_AND_CLAIM_KEYED,
    INSERT_SIMPLE_JOB,
    INSERT_SIMPLE,
    INSERT_SIMPLE_KEYED,
    COMPLETE_SIMPLE,
];

/// A connection that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Carries calls that must not wait for others' locks; it finds out when the server is away.
    Work,
    /// Carries sweeps, bulk actions and calls that wait.
    Maintenance,
}

/// The patience of a transaction's statements with locks of other transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locks {
    /// As long as the connection's `lock_timeout` allows.
    Patient,
    /// For a moment: it is not known which of several calls must wait.
    Brief,
}

/// The calls of a transaction, and the waiting claims that it may serve.
pub(crate) struct Work<'w> {
    pub(crate) calls: &'w [Call],
    /// `None` if waiting claims are notified of available jobs instead.
    pub(crate) waiting: Option<(&'w Waiting, &'w Look)>,
    /// Runs that a pipelined statement has ended already.
    pub(crate) ended: Option<&'w Ended>,
    pub(crate) locks: Locks,
    /// The limits to fold in.
    pub(crate) fold: Fold,
    /// True if dependants are to count ends of jobs that an earlier transaction has left.
    pub(crate) settle: bool,
}

/// The limits that a transaction folds in after runs have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Those of its own runs.
    Own,
    /// All.
    All,
}

impl<'w> Work<'w> {
    pub(crate) fn of(calls: &'w [Call], locks: Locks) -> Self {
        Self { calls, waiting: None, ended: None, locks, fold: Fold::Own, settle: false }
    }
}

/// The result of a committed transaction.
pub(crate) struct Done {
    /// One for each call.
    pub(crate) verdicts: Vec<Verdict>,
    /// Waiting claims, by their numbers, that found something.
    pub(crate) served: Vec<(u64, Vec<Claimed>)>,
    pub(crate) next: Next,
    /// Queues in which there may be more to claim at once.
    pub(crate) look: Look,
    /// The same for claims that must not wait.
    pub(crate) unfinished: Unfinished,
}

/// The times of the next looks without a notification, on this machine's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// The next scheduled job falls due.
    pub(crate) due: Option<Timestamp>,
    /// The next gate of a limit key opens.
    pub(crate) opens: Option<Timestamp>,
}

impl Next {
    /// The earlier of the two.
    pub(crate) fn first(self) -> Option<Timestamp> {
        self.due.into_iter().chain(self.opens).min()
    }
}

/// Runs transactions on one connection.
pub(crate) struct Transactor {
    role: Role,
    pub(crate) options: Arc<PostgresOptions>,
    pub(crate) clock: Clock,
    pub(crate) state: Arc<DriverState>,
    signals: Arc<Signals>,
    pub(crate) observers: Arc<Changes>,
    pub(crate) notifier: Notifier,
    pub(crate) connection: Option<Arc<Connection>>,
    /// Set once the clock was read on this very connection.
    knows_clock: bool,
    /// Failed connection attempts in a row.
    failures: u32,
    /// The number of the last transaction that has claimed: its jobs carry it.
    claims: i64,
    /// Set where the last claim that looked at groups took jobs of them: the next ends of runs are ends of such jobs.
    claims_keyed: AtomicBool,
    /// Numbers of claims that may have been committed and were never answered.
    pub(crate) lost_claims: Vec<i64>,
}

impl Transactor {
    pub(crate) fn new(
        role: Role,
        options: Arc<PostgresOptions>,
        clock: Clock,
        state: Arc<DriverState>,
        signals: Arc<Signals>,
        observers: Arc<Changes>,
        notifier: Notifier,
    ) -> Self {
        // Random, so that no two connections ever use the same numbers.
        let start = std::hash::RandomState::new().build_hasher().finish();
        Self {
            role,
            options,
            clock,
            state,
            signals,
            observers,
            notifier,
            connection: None,
            knows_clock: false,
            failures: 0,
            claims: i64::from_ne_bytes(start.to_ne_bytes()) >> 1,
            claims_keyed: AtomicBool::new(false),
            lost_claims: Vec::new(),
        }
    }

    /// The number of a new claim.
    pub(crate) fn number_claim(&mut self) -> i64 {
        self.claims += 1;
        self.claims
    }

    /// Runs a transaction, again after serialization failures and deadlocks.
    pub(crate) async fn attempt(&mut self, work: &Work<'_>) -> Result<Done> {
        let mut retries = 0;
        loop {
            let connection = self.connected().await?;
            let patience = self.options.response_timeout;
            let number = self.number_claim();
            let run = AssertUnwindSafe(self.run(&connection, work, number)).catch_unwind();
            let done = match tokio::time::timeout(patience, run).await {
                Ok(Ok(done)) => done,
                // A panic is about one of the calls, or a row that it met. Its transaction ends with the connection.
                Ok(Err(_)) => return Err(failed("run a transaction", "the store's code has panicked")),
                Err(_) => {
                    // The connection is given up, and the transaction with it.
                    connection.cancel();
                    self.note_lost(work, number);
                    return Err(unavailable(SILENCE));
                }
            };
            let error = match done {
                Ok((done, effects)) => {
                    self.knows_clock = true;
                    self.connection = Some(connection);
                    if !effects.changed.is_empty() || !effects.available.is_empty() {
                        self.state.note_write(Ok(()));
                    }
                    if let Some(folded) = effects.folded {
                        self.state.note_folded(folded);
                    }
                    self.tell(&effects);
                    if work.waiting.is_none() {
                        let Effects { available: queues, fold_later, unsettled, .. } = effects;
                        self.state.look(Look { queues, everywhere: false, fold_later, unsettled });
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            self.state.note_write(Err(&error));
            let rolled_back =
                tokio::time::timeout(patience, connection.client.batch_execute("ROLLBACK")).await;
            match rolled_back {
                Ok(Ok(())) => self.connection = Some(connection),
                _ => self.note_lost(work, number),
            }
            retries += 1;
            if !is_serialization_failure(&error) || retries > MAX_CONFLICT_RETRIES {
                return Err(error);
            }
            let base = Duration::from_millis(5);
            let backoff = Backoff { base, factor: 1.5, max: Duration::from_millis(100), jitter: 0.9 };
            tokio::time::sleep(backoff.delay(retries)).await;
        }
    }

    fn note_lost(&mut self, work: &Work<'_>, number: i64) {
        if work.waiting.is_some() || work.calls.iter().any(|call| call.claim().is_some()) {
            self.lost_claims.push(number);
        }
    }

    /// Runs one operation that no caller waits for.
    pub(crate) async fn one(&mut self, op: Op) -> Result<Answer> {
        // The receiver lives on: an operation whose caller is gone would be passed over.
        let (call, _answer) = Call::new(op);
        let calls = [call];
        let mut done = self.attempt(&Work::of(&calls, Locks::Brief)).await?;
        match done.verdicts.pop() {
            Some(Verdict::Answered(answer)) => Ok(answer),
            Some(Verdict::Failed(error)) => Err(error),
            Some(Verdict::Deferred) | None => Err(key_locked()),
        }
    }

    /// The connection, made anew where it was lost; after a failure only when a while has passed.
    pub(crate) async fn connected(&mut self) -> Result<Arc<Connection>> {
        if let Some(connection) = self.connection.take()
            && !connection.client.is_closed()
        {
            return Ok(connection);
        }
        if self.failures > 0 {
            let (base, max) = (Duration::from_millis(100), Duration::from_secs(2));
            tokio::time::sleep(Backoff { base, max, ..Backoff::default() }.delay(self.failures)).await;
        }
        // It may be to another server, with another clock.
        self.knows_clock = false;
        let opened = self.open().await.map(Arc::new);
        self.failures = if opened.is_ok() { 0 } else { self.failures + 1 };
        if self.role == Role::Work {
            let is_away = opened.as_ref().is_err_and(is_unreachable);
            self.state.is_away.store(is_away, Ordering::SeqCst);
        }
        opened
    }

    async fn open(&self) -> Result<Connection> {
        let opening = async {
            let connection = Connection::open(&self.options, Purpose::Write, |_| {}).await?;
            connection.prepare(&TOGETHER).await?;
            connection.prepare(&crate::limits::TOGETHER).await?;
            Ok(connection)
        };
        tokio::time::timeout(self.options.response_timeout, opening)
            .await
            .unwrap_or_else(|_| Err(unavailable(SILENCE)))
    }

    /// True where the time is known well enough to be used without a new reading.
    pub(crate) fn is_timely(&self) -> bool {
        self.clock.is_manual() || (self.knows_clock && self.state.has_read_lately())
    }

    async fn run(&self, connection: &Connection, work: &Work<'_>, number: i64) -> Result<(Done, Effects)> {
        let Work { calls, waiting, ended, locks, fold, settle } = *work;
        let wants_jobs = waiting.is_some_and(|(waiting, _)| !waiting.is_empty())
            || calls.iter().any(|call| call.claim().is_some());
        let mut begun = std::pin::pin!(maybe_done(self.begin(connection, wants_jobs, locks)));
        if self.is_timely() {
            // Sent now, and answered together with what comes next.
            let _ = futures::poll!(begun.as_mut());
        } else {
            begun.as_mut().await;
        }
        let mut tx = WriteTx::new(Link::Own(connection), self.state.now(&self.clock), &self.observers);
        tx.claim_number = number;
        let mut verdicts: Vec<Option<Verdict>> = calls.iter().map(|_| None).collect();
        let reader = tx.reader();
        let look = async {
            match self.claim_to_look_ahead_for(work) {
                Some(claim) => look_ahead(reader, claim, &claim.queues).await.map(Some),
                None => Ok(None),
            }
        };
        // Polled together, so that the server's time is noted when it comes and not when the rest is done. Those that end runs are
        // sent first.
        let ((), applied, looked) =
            futures::join!(begun.as_mut(), apply_all(&mut tx, calls, ended, &mut verdicts), look);
        let due = begun.take_output().unwrap_or_else(|| Ok(Vec::new()))?;
        applied?;
        tx.promoted(&due);
        if let Some(looked) = looked? {
            tx.note_looked(looked).await?;
        }
        if settle {
            tx.has_ended_dependencies = true;
            tx.settle().await?;
        }
        if wants_jobs && tx.falls_due {
            // Those that were due at the beginning are available by now. These have to come to their groups, too, before the claims.
            tx.promote_due(PROMOTED_AT_ONCE).await?;
        }
        if tx.limits.has_opened || fold == Fold::All {
            tx.fold_limits().await?;
        }
        let (served, look) = match waiting {
            Some((waiting, look)) => serve(&mut tx, waiting, look).await?,
            None => Default::default(),
        };
        for (call, verdict) in calls.iter().zip(&mut verdicts) {
            let Some(claim) = call.claim().filter(|_| !call.reply.is_closed()) else { continue };
            if let Some(Verdict::Answered(Answer::FinishAndClaim(answer))) = verdict {
                answer.claimed = tx.claim(claim).await?;
            }
        }
        let next = self.commit(connection, &mut tx, wants_jobs).await?;
        if let Some(have_taken) = tx.limits.have_taken() {
            self.note_claims_keyed(have_taken);
        }
        let verdicts = verdicts.into_iter().map(|v| v.unwrap_or(Verdict::Answered(Answer::Done))).collect();
        let mut done =
            Done { verdicts, served, next, look, unfinished: std::mem::take(&mut tx.effects.unfinished) };
        done.look.queues.extend(done.unfinished.stopped_early.iter().cloned());
        done.look.fold_later = tx.effects.fold_later;
        done.look.unsettled = tx.effects.unsettled;
        Ok((done, tx.effects))
    }

    /// The claim for which limits are looked after together with the ends of runs: the first one of a transaction that does nothing
    /// else, where the last claims took jobs with limit keys.
    fn claim_to_look_ahead_for<'w>(&self, work: &Work<'w>) -> Option<&'w Claim> {
        let ends_and_claims = |call: &Call| match &call.op {
            Op::Finish(finishes) | Op::Claim { finishes, .. } => {
                finishes.iter().all(|finish| simple_output(finish).is_some())
            }
            _ => false,
        };
        if work.settle || !self.claims_keyed() || !work.calls.iter().all(ends_and_claims) {
            return None;
        }
        work.calls.iter().filter(|call| !call.reply.is_closed()).find_map(Call::claim)
    }

    /// Notes whether the last claims took jobs with limit keys.
    pub(crate) fn note_claims_keyed(&self, have_taken: bool) {
        self.claims_keyed.store(have_taken, Ordering::Relaxed);
    }

    /// True where the last claims took jobs with limit keys.
    pub(crate) fn claims_keyed(&self) -> bool {
        self.claims_keyed.load(Ordering::Relaxed)
    }

    /// Begins a transaction, reads the time and, if jobs are wanted, makes due jobs available: all sent together.
    /// Returns the jobs that were due.
    async fn begin(&self, connection: &Connection, wants_jobs: bool, locks: Locks) -> Result<Vec<Row>> {
        let fault = fault("begin a transaction");
        let (now, asked) = (self.state.now(&self.clock).earliest, Stopwatch::start());
        let values: [&(dyn ToSql + Sync); 2] = [&now.0, &rows_at_most(PROMOTED_AT_ONCE)];
        let promote =
            async { if wants_jobs { connection.rows(PROMOTE_DUE, &values).await } else { Ok(Vec::new()) } };
        let begin = match locks {
            Locks::Patient => "BEGIN",
            Locks::Brief => "BEGIN; SET LOCAL lock_timeout = '25ms'",
        };
        let (begun, read, due) =
            futures::join!(connection.client.batch_execute(begin), connection.rows(NOW, &[]), promote);
        begun.map_err(fault)?;
        if let Some(row) = read.map_err(fault)?.first() {
            self.state.read_clock(row.get(0), asked);
        }
        due.map_err(fault)
    }

    /// Writes the counts, looks when there will be something to claim, where that is wanted, and commits: all sent together. A fault of the first makes the commit a rollback.
    async fn commit(&self, connection: &Connection, tx: &mut WriteTx<'_>, wants_next: bool) -> Result<Next> {
        let fault = fault("commit");
        let counts = tx.take_counts();
        let write = async {
            let Some(Counts { queues, states, changes }) = &counts else { return Ok(Vec::new()) };
            connection.rows(ADD_COUNTS, &[queues, states, changes]).await
        };
        let now: [&(dyn ToSql + Sync); 1] = [&tx.now.0];
        let look = async { if wants_next { connection.rows(NEXT_DUE, &now).await } else { Ok(Vec::new()) } };
        let (written, due, committed) =
            futures::join!(write, look, connection.client.batch_execute("COMMIT"));
        written.map_err(fault)?;
        let due = due.map_err(fault)?;
        committed.map_err(fault)?;
        Ok(due.first().map(|row| self.next(row, 0, tx.now)).unwrap_or_default())
    }

    /// Reads two moments of the server's clock, which now shows `now`, as ones of this machine's.
    pub(crate) fn next(&self, row: &Row, column: usize, now: Timestamp) -> Next {
        let local = |column| {
            let moment = row.get::<_, Option<i64>>(column)?;
            Some(self.clock.now().plus(Timestamp(moment).since(now)))
        };
        Next { due: local(column), opens: local(column + 1) }
    }

    /// Reports a transaction's changes to waiting calls and observers of all processes.
    pub(crate) fn tell(&self, effects: &Effects) {
        for id in &effects.changed {
            self.signals.send(id.as_str());
        }
        self.notifier.tell(effects);
        self.observers.tell(effects.noted.iter().map(KeptChange::change));
    }
}

/// Gives jobs to waiting claims of the queues in which some have become available. Claims that differ in their worker
/// alone are not tried after one of them found nothing.
async fn serve(
    tx: &mut WriteTx<'_>,
    waiting: &Waiting,
    look: &Look,
) -> Result<(Vec<(u64, Vec<Claimed>)>, Look)> {
    let (mut served, mut left) = (Vec::new(), Look::default());
    if waiting.is_empty() {
        return Ok((served, left));
    }
    let mut exhausted = HashSet::new();
    let mut tried = 0;
    let queues: BTreeSet<String> = look.queues.union(&tx.effects.available).cloned().collect();
    for (number, call) in waiting.of_queues(queues.iter()) {
        let Some(claim) = call.claim().filter(|_| !call.reply.is_closed()) else { continue };
        let wanted = Waiting::wanted(claim);
        if exhausted.contains(&wanted) {
            continue;
        }
        if tried == SERVED_AT_ONCE {
            left.queues.extend(claim.queues.iter().map(|queue| queue.queue.clone()));
            continue;
        }
        tried += 1;
        let claimed = tx.claim(claim).await?;
        if claimed.is_empty() {
            exhausted.insert(wanted);
        } else {
            served.push((number, claimed));
        }
    }
    Ok((served, left))
}
