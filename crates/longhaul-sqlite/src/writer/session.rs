use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Changes, Claimed, Clock, Error, FinishAndClaim, LeaseStatus, Result, Signals, Timestamp};
use rusqlite::Connection;

use super::command::{Call, ClaimCommand, Class};
use super::parked::{Parked, Served, Woken};
use super::queue::{CommandQueue, Waiting};
use super::write_tx::{Isolation, WriteTx};
use crate::error::copy;
use crate::lock::Role;
use crate::syncer::Syncer;
use crate::volume::Volume;

/// The writer's connection, and the state that it shares with the store.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<CommandQueue>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) clock: Clock,
    pub(crate) volume: Arc<Volume>,
    /// Held until the last write is done, so that a successor does not start before.
    pub(crate) role: Arc<Role>,
    /// The syncer, if commits return before they are synced.
    pub(crate) syncer: Option<Arc<Syncer>>,
}

/// The time within which a change by another process is noticed.
const FOREIGN_CHANGES_WITHIN: Duration = Duration::from_millis(100);

/// The commands that the writer is working on. A panic ends a session; the next one begins without any.
pub(super) struct Session<'w> {
    writer: &'w Writer,
    tx: WriteTx<'w>,
    pub(super) waiting: Waiting,
    parked: Parked,
    /// Claims that may not wait, and that have found nothing as far as they have looked.
    unanswered: Vec<ClaimCommand>,
    /// The time at which the next scheduled job falls due or a limit key opens, if a claim waits.
    next_due: Option<Timestamp>,
    /// True where something may have become available unseen since the parked claims were last served.
    look_again: bool,
    /// True where `next_due` was not read, or a job was scheduled, or is scheduled no more, since it was.
    may_fall_due_earlier: bool,
    /// True where the last transaction failed, so that looking again must not become a busy loop.
    has_failed: bool,
}

/// The commands of one transaction, and the result of each.
struct Round {
    source: Source,
    calls: Vec<Box<dyn Call>>,
    /// One for each call that has run; only where calls are kept apart is any of them an error.
    ends: Vec<Result<()>>,
    claims: Vec<ClaimCommand>,
    claimed: Vec<Result<FinishAndClaim>>,
    served: Served,
}

/// The calls that a transaction takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Calls,
    Application,
}

/// Scheduled jobs that one transaction promotes.
const PROMOTED_AT_ONCE: usize = 250;
/// After this long a transaction takes on no more calls, so that a heartbeat waits for little more than that.
const TRANSACTION_TIME: Duration = Duration::from_millis(50);

impl Round {
    fn new(source: Source) -> Self {
        Self {
            source,
            calls: Vec::new(),
            ends: Vec::new(),
            claims: Vec::new(),
            claimed: Vec::new(),
            served: Vec::new(),
        }
    }

    fn fail(self, error: &Error) {
        for call in self.calls {
            call.answer(Err(error));
        }
        for claim in self.claims {
            let _ = claim.reply.send(Err(copy(error)));
        }
    }
}

impl<'w> Session<'w> {
    pub(super) fn new(writer: &'w Writer) -> Result<Self> {
        Ok(Self {
            writer,
            tx: WriteTx::new(
                &writer.connection,
                writer.clock.clone(),
                Arc::clone(&writer.changes),
                writer.role.is_owner(),
            )?,
            waiting: Waiting::default(),
            parked: Parked::default(),
            unanswered: Vec::new(),
            next_due: None,
            look_again: false,
            may_fall_due_earlier: true,
            has_failed: false,
        })
    }

    /// Does what there is to do now; answers whether a transaction went well.
    pub(super) fn turn(&mut self, mut woken: Woken) -> bool {
        if std::mem::take(&mut self.look_again) {
            woken = Woken::All;
        }
        self.has_failed = false;
        for claim in self.parked.expired(self.writer.clock.monotonic()) {
            let _ = claim.reply.send(Ok(FinishAndClaim::default()));
        }
        self.waiting.claims.append(&mut self.unanswered);
        let is_due = self.next_due.is_some_and(|due| due <= self.writer.clock.now());
        let has_claims = !self.parked.is_empty() && (is_due || woken == Woken::All);
        if self.waiting.is_empty() && !has_claims {
            return false;
        }
        let mut round =
            Round { claims: std::mem::take(&mut self.waiting.claims), ..Round::new(Source::Calls) };
        round.calls.extend(self.waiting.heartbeats.drain(..));
        let checked = self.writer.volume.check_file().and_then(|()| self.check_syncs());
        if let Err(error) = checked {
            self.refuse(&mut round, &error, |_| true);
        } else {
            self.park_covered(&mut round.claims);
            if let Err(error) = self.writer.volume.check_room() {
                self.refuse(&mut round, &error, |class| class == Class::Growth);
            }
        }
        let has_calls = round.calls.len() + round.claims.len() + self.waiting.calls.len() > 0;
        if has_calls || has_claims {
            self.share(round, woken);
        }
        if !self.waiting.application.is_empty() {
            self.share(Round::new(Source::Application), Woken::Affected);
        }
        if self.parked.is_empty() {
            (self.next_due, self.may_fall_due_earlier) = (None, true);
        } else if self.may_fall_due_earlier || is_due || woken == Woken::All {
            let next_due = self.tx.next_due().inspect_err(|error| tracing::warn!("{error}"));
            self.may_fall_due_earlier = next_due.is_err();
            self.next_due = next_due.unwrap_or_default();
        }
        !self.has_failed
    }

    pub(super) fn forget_withdrawn(&mut self) {
        for ticket in std::mem::take(&mut self.waiting.withdrawn) {
            self.parked.remove(ticket);
        }
    }

    /// True if no call waits.
    pub(super) fn is_quiet(&self) -> bool {
        self.parked.is_empty() && self.unanswered.is_empty() && self.writer.signals.is_idle()
    }

    /// The longest sleep; `None`, for ever, if no call waits.
    pub(super) fn patience(&self) -> Option<Duration> {
        if self.look_again && !self.has_failed {
            return Some(Duration::ZERO);
        }
        if self.is_quiet() {
            return None;
        }
        if self.writer.clock.is_manual() || self.has_failed {
            // A manual clock's moves nudge us; only other processes' changes are polled for.
            return Some(FOREIGN_CHANGES_WITHIN);
        }
        let clock = &self.writer.clock;
        let deadline = self.parked.next_deadline().map(|deadline| deadline.saturating_sub(clock.monotonic()));
        let due = self.next_due.map(|due| due.since(clock.now()));
        let next = deadline.into_iter().chain(due).min().unwrap_or(FOREIGN_CHANGES_WITHIN);
        // A millisecond at least: the clock has no finer steps, and a busy loop would wait for the next one.
        Some(next.clamp(Duration::from_millis(1), FOREIGN_CHANGES_WITHIN))
    }

    /// Parks claims that would find nothing, as others like them have.
    fn park_covered(&mut self, claims: &mut Vec<ClaimCommand>) {
        let now = self.writer.clock.monotonic();
        let waits = |command: &mut ClaimCommand| command.may_wait() && self.parked.covers(&command.claim);
        let covered: Vec<ClaimCommand> = claims.extract_if(.., waits).collect();
        for command in covered {
            let deadline = now.saturating_add(command.claim.wait);
            self.parked.park(command, deadline);
        }
    }

    /// Answers, without asking SQLite, what cannot be written while the disk is full or the file is gone.
    fn refuse(&mut self, round: &mut Round, error: &Error, is_refused: impl Fn(Class) -> bool) {
        for call in self.waiting.application.drain(..) {
            call.answer(Err(error));
        }
        let calls = std::mem::take(&mut round.calls);
        for call in calls.into_iter().chain(self.waiting.calls.drain(..)) {
            if is_refused(call.class()) {
                call.answer(Err(error));
            } else {
                round.calls.push(call);
            }
        }
        for claim in round.claims.drain(..) {
            let _ = claim.reply.send(Err(copy(error)));
        }
    }

    /// One transaction for as many calls as fit into its time, the claims, and the parked claims that may have something
    /// to take. Where a call fails by its own fault, all run again, each kept apart. An outage fails all.
    fn share(&mut self, mut round: Round, woken: Woken) {
        // An application's code cannot run again, so it is kept apart from the beginning.
        let isolation = match round.source {
            Source::Calls => Isolation::Together,
            Source::Application => Isolation::Apart,
        };
        let mut before = self.tx.connection().total_changes();
        let mut end = self.attempt(&mut round, woken, isolation);
        if let Err(error) = &end
            && round.source == Source::Calls
        {
            let has_room = self.writer.volume.make_room(error);
            if has_room {
                // Heartbeats and maintenance go on in it.
                self.refuse(&mut round, &copy(error), |class| class == Class::Growth);
            }
            if has_room || !error.is_outage() {
                before = self.tx.connection().total_changes();
                end = self.attempt(&mut round, woken, Isolation::Apart);
            }
        }
        match end {
            Ok(()) => {
                if self.tx.connection().total_changes() != before {
                    self.writer.volume.wrote();
                    self.writer
                        .changes
                        .committed(round.calls.len() + round.claims.len() + round.served.len());
                }
                self.answer(round);
            }
            Err(error) => {
                tracing::debug!("failed to write: {error}");
                self.writer.volume.failed(&error);
                self.has_failed = true;
                self.look_again |= woken == Woken::All;
                let waiting = match round.source {
                    Source::Calls => &mut self.waiting.calls,
                    Source::Application => &mut self.waiting.application,
                };
                // In an outage whatever waits would fail alike, and a transaction that did not begin has taken none of it.
                if error.is_outage() || round.calls.is_empty() {
                    round.calls.extend(waiting.drain(..));
                }
                round.fail(&error);
            }
        }
    }

    fn check_syncs(&self) -> Result<()> {
        self.writer.syncer.as_ref().map_or(Ok(()), |syncer| syncer.check())
    }

    /// Commits, and waits until what was committed may be answered.
    fn commit(&mut self, changes_before: u64) -> Result<()> {
        self.tx.commit()?;
        if let Some(syncer) = &self.writer.syncer {
            if self.tx.connection().total_changes() != changes_before {
                syncer.wrote();
            }
            syncer.hold();
        }
        self.check_syncs()
    }

    fn attempt(&mut self, round: &mut Round, woken: Woken, isolation: Isolation) -> Result<()> {
        (round.ends, round.claimed, round.served) = Default::default();
        let before = self.tx.connection().total_changes();
        self.tx.begin(isolation)?;
        self.writer.queue.transaction_began();
        let done = self.apply(round, woken, isolation).and_then(|()| self.commit(before));
        if done.is_err() {
            self.waiting.heartbeats.append(&mut self.writer.queue.last_heartbeats());
            self.tx.roll_back();
        }
        done
    }

    /// Applies the calls in order, then the claims, so that they see the effects of the calls, and at the end the
    /// heartbeats that have arrived meanwhile: nothing can end their leases before.
    fn apply(&mut self, round: &mut Round, woken: Woken, isolation: Isolation) -> Result<()> {
        let watch = Stopwatch::start();
        self.run_calls(round, isolation)?;
        while watch.elapsed() < TRANSACTION_TIME {
            let Some(call) = self.next_call(round)? else { break };
            round.calls.push(call);
            self.run_calls(round, isolation)?;
        }
        if !round.claims.is_empty() || !self.parked.is_empty() {
            self.run_claims(round, woken, isolation)?;
        }
        round.calls.extend(self.writer.queue.last_heartbeats());
        self.run_calls(round, isolation)
    }

    /// Another call for a transaction.
    fn next_call(&mut self, round: &Round) -> Result<Option<Box<dyn Call>>> {
        if round.source == Source::Calls {
            return Ok(self.waiting.calls.pop_front());
        }
        // A constraint that is only checked at the commit cannot be laid to one of several.
        let must_be_alone = !round.calls.is_empty()
            && !self.waiting.application.is_empty()
            && self.tx.has_deferred_constraints()?;
        Ok(if must_be_alone { None } else { self.waiting.application.pop_front() })
    }

    /// Runs the calls that have not run yet.
    fn run_calls(&mut self, round: &mut Round, isolation: Isolation) -> Result<()> {
        for call in &mut round.calls[round.ends.len()..] {
            round.ends.push(self.tx.run_isolated(isolation, |tx| call.run(tx))?);
        }
        Ok(())
    }

    fn run_claims(&mut self, round: &mut Round, woken: Woken, isolation: Isolation) -> Result<()> {
        let tx = &mut self.tx;
        let mut finished: Vec<Result<Vec<LeaseStatus>>> = Vec::with_capacity(round.claims.len());
        for command in &round.claims {
            finished.push(tx.run_isolated(isolation, |tx| tx.finish(&command.finishes))?);
        }
        if let Err(error) = tx.run_isolated(isolation, WriteTx::settle)? {
            tracing::error!("{error}");
        }
        match tx.run_isolated(isolation, |tx| tx.promote_due(PROMOTED_AT_ONCE))? {
            Ok(promoted) => tx.notes.stopped_early |= promoted == PROMOTED_AT_ONCE as u64,
            Err(error) => tracing::error!("{error}"),
        }
        if let Err(error) = tx.run_isolated(isolation, WriteTx::open_for_claims)? {
            tracing::error!("{error}");
        }
        round.served = self.parked.serve(tx, woken, isolation)?;
        for (command, finished) in round.claims.iter().zip(finished) {
            let claimed = if command.reply.is_closed() {
                Ok(Vec::new())
            } else {
                tx.run_isolated(isolation, |tx| tx.claim(&command.claim))?
            };
            round.claimed.push(match (finished, claimed) {
                (Ok(finished), Ok(claimed)) => Ok(FinishAndClaim { finished, claimed }),
                (Ok(finished), Err(error)) if !finished.is_empty() => {
                    // The finishes stand; the worker will claim again.
                    tracing::error!("{error}");
                    Ok(FinishAndClaim { finished, claimed: Vec::new() })
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            });
        }
        Ok(())
    }

    /// Answers everybody after a commit, and parks the claims that wait.
    fn answer(&mut self, round: Round) {
        let has_stopped = self.tx.notes.stopped_early;
        self.look_again |= has_stopped;
        self.may_fall_due_earlier |= self.tx.notes.scheduled;
        self.announce();
        for (call, end) in round.calls.into_iter().zip(round.ends) {
            call.answer(end.as_ref().copied());
        }
        let mut undelivered = Vec::new();
        for (ticket, claimed) in round.served {
            let Some(command) = self.parked.remove(ticket) else { continue };
            let answer = claimed.map(|claimed| FinishAndClaim { finished: Vec::new(), claimed });
            undelivered.extend(send_claimed(command, answer));
        }
        let now = self.writer.clock.monotonic();
        for (command, answer) in round.claims.into_iter().zip(round.claimed) {
            let is_empty = answer.as_ref().is_ok_and(|answer| answer.claimed.is_empty());
            if is_empty && has_stopped && command.must_look_on() {
                self.unanswered.push(command);
            } else if is_empty && command.may_wait() {
                let deadline = now.saturating_add(command.claim.wait);
                self.parked.park(command, deadline);
            } else {
                undelivered.extend(send_claimed(command, answer));
            }
        }
        if !undelivered.is_empty() {
            self.take_back(&undelivered);
            self.look_again = true;
        }
    }

    /// Makes jobs available again at once, instead of after their leases, because their caller went away while the
    /// claim was being committed.
    fn take_back(&mut self, claimed: &[Claimed]) {
        let before = self.tx.connection().total_changes();
        let undone = self.tx.begin(Isolation::Together).and_then(|()| {
            let undone = claimed.iter().try_for_each(|job| self.tx.unclaim(&job.lease));
            undone.and_then(|()| self.commit(before)).inspect_err(|_| self.tx.roll_back())
        });
        match undone {
            Ok(()) => self.announce(),
            Err(error) => tracing::warn!("failed to take a claim back; its lease will expire: {error}"),
        }
    }

    /// Reports the changes of a transaction to observers, and wakes the readers of the jobs.
    fn announce(&self) {
        self.tx.tell_changes();
        for id in &self.tx.notes.changed {
            self.writer.signals.send(id.as_str());
        }
    }
}

/// Answers a claim; returns the jobs of an answer that was not delivered, because the caller has gone away.
fn send_claimed(command: ClaimCommand, answer: Result<FinishAndClaim>) -> Vec<Claimed> {
    match command.reply.send(answer) {
        Err(Ok(undelivered)) => undelivered.claimed,
        Ok(()) | Err(Err(_)) => Vec::new(),
    }
}
