use std::sync::Arc;
use std::time::Duration;

use longhaul::{Claimed, Clock, FinishAndClaim, Result, Signals, Timestamp};
use rusqlite::Connection;

use super::inbox::{Inbox, Taken};
use super::{Batch, ClaimOp, Op, Work};
use crate::error::copy;
use crate::lock::Ownership;

/// The writing thread's own state.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) clock: Clock,
    /// Held until the last write is done, so that a successor never meets it.
    pub(crate) ownership: Arc<Ownership>,
}

/// Claims that found nothing, with when to answer them all the same.
#[derive(Default)]
struct Parked {
    claims: Vec<(ClaimOp, Timestamp)>,
    next_due: Option<Timestamp>,
    /// Whether jobs were made available by the writer itself since the claims were last looked at.
    look_again: bool,
}

/// How soon a change by another process is noticed.
const FOREIGN_CHANGES_WITHIN: Duration = Duration::from_millis(100);
/// Scheduled jobs that one transaction promotes.
const PROMOTED_AT_ONCE: usize = 1_000;

impl Writer {
    /// Runs until the store is dropped.
    pub(crate) fn run(self) {
        let mut batch = match Batch::new(&self.connection, self.clock.clone(), self.ownership.is_owner()) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!("{error}");
                return self.inbox.close();
            }
        };
        let mut ops = Vec::new();
        let mut parked = Parked::default();
        let mut version = self.data_version();
        while self.inbox.take(&mut ops, self.patience(&parked)) == Taken::Awake {
            let mut look_again = std::mem::take(&mut parked.look_again)
                || parked.next_due.is_some_and(|due| due <= self.clock.now());
            if ops.is_empty() && !self.is_quiet(&parked) {
                let seen = self.data_version();
                if seen != version {
                    version = seen;
                    look_again = true;
                    self.signals.send_all();
                }
            }
            if !ops.is_empty() || look_again || parked.has_expired(self.clock.now()) {
                self.transact(&mut batch, &mut ops, &mut parked, look_again);
            }
        }
    }

    /// One transaction for all of `ops` and, where there may be something for them, the parked claims.
    fn transact(&self, batch: &mut Batch<'_>, ops: &mut Vec<Op>, parked: &mut Parked, look_again: bool) {
        let mut works: Vec<Box<dyn Work>> = Vec::with_capacity(ops.len());
        let mut claims: Vec<ClaimOp> = Vec::new();
        for op in ops.drain(..) {
            match op {
                Op::Work(work) => works.push(work),
                Op::Claim(claim) => claims.push(*claim),
            }
        }
        let done = batch.begin().and_then(|()| {
            let served = self.apply(batch, &mut works, &mut claims, parked, look_again);
            let end = served.and_then(|served| batch.commit().map(|()| served));
            end.inspect_err(|_| batch.roll_back())
        });
        match done {
            Ok(served) => {
                parked.look_again |= batch.stopped_early;
                self.announce(batch);
                works.into_iter().for_each(|work| work.answer(Ok(())));
                self.answer_claims(batch, claims, served, parked);
            }
            Err(error) => {
                works.into_iter().for_each(|work| work.answer(Err(&error)));
                for claim in claims {
                    let _ = claim.reply.send(Err(copy(&error)));
                }
            }
        }
        if !parked.claims.is_empty() {
            parked.next_due = batch.next_due().unwrap_or_else(|error| {
                tracing::warn!("{error}");
                None
            });
        }
    }

    /// Does everything, in order, the claims last so that they see all the rest. Answers what the parked claims
    /// and then the new ones were given.
    fn apply(
        &self,
        batch: &mut Batch<'_>,
        works: &mut [Box<dyn Work>],
        claims: &mut [ClaimOp],
        parked: &mut Parked,
        look_again: bool,
    ) -> Result<Vec<Vec<Claimed>>> {
        for work in works {
            work.apply(batch)?;
        }
        for claim in claims.iter_mut() {
            claim.finished = batch.finish(std::mem::take(&mut claim.finishes))?;
        }
        if claims.is_empty() && parked.claims.is_empty() {
            return Ok(Vec::new());
        }
        batch.promote_due(PROMOTED_AT_ONCE)?;
        let may_serve_parked = look_again || batch.made_available;
        let mut served = Vec::with_capacity(parked.claims.len() + claims.len());
        for (claim, _) in &parked.claims {
            let serve = may_serve_parked && !claim.reply.is_closed();
            served.push(if serve { batch.claim(&claim.claim)? } else { Vec::new() });
        }
        for claim in claims.iter() {
            served.push(if claim.reply.is_closed() { Vec::new() } else { batch.claim(&claim.claim)? });
        }
        Ok(served)
    }

    /// Answers claims that were given something or need not wait, and parks the rest.
    fn answer_claims(
        &self,
        batch: &mut Batch<'_>,
        claims: Vec<ClaimOp>,
        served: Vec<Vec<Claimed>>,
        parked: &mut Parked,
    ) {
        let now = self.clock.now();
        let waiting = std::mem::take(&mut parked.claims);
        let new = claims.into_iter().map(|claim| {
            // A finish wants its answer now; only a claim by itself may wait.
            let wait = if claim.finished.is_empty() { claim.claim.wait } else { Duration::ZERO };
            (claim, now.plus(wait))
        });
        let mut unheard = Vec::new();
        for ((claim, deadline), claimed) in waiting.into_iter().chain(new).zip(served) {
            if claim.reply.is_closed() {
                unheard.extend(claimed);
            } else if claimed.is_empty() && now < deadline {
                parked.claims.push((claim, deadline));
            } else if let Err(Ok(turn)) =
                claim.reply.send(Ok(FinishAndClaim { finished: claim.finished, claimed }))
            {
                unheard.extend(turn.claimed);
            }
        }
        if !unheard.is_empty() {
            self.take_back(batch, &unheard);
            parked.look_again = true;
        }
    }

    /// A caller went away while its claim was being committed: nobody runs these jobs, so they are made
    /// available again at once instead of after their lease.
    fn take_back(&self, batch: &mut Batch<'_>, claimed: &[Claimed]) {
        let undone = batch.begin().and_then(|()| {
            let undone = claimed.iter().try_for_each(|job| batch.unclaim(&job.lease));
            undone.and_then(|()| batch.commit()).inspect_err(|_| batch.roll_back())
        });
        match undone {
            Ok(()) => self.announce(batch),
            Err(error) => tracing::warn!("failed to take a claim back; its lease will expire: {error}"),
        }
    }

    /// Wakes the readers of the jobs that a transaction has changed.
    fn announce(&self, batch: &Batch<'_>) {
        for id in &batch.changed {
            self.signals.send(id.as_str());
        }
    }

    /// How long to sleep at most: for ever while nobody waits for anything.
    fn patience(&self, parked: &Parked) -> Option<Duration> {
        if parked.look_again {
            return Some(Duration::ZERO);
        }
        if self.is_quiet(parked) {
            return None;
        }
        if self.clock.is_manual() {
            // Its moves nudge us; only other processes' changes are polled for.
            return Some(FOREIGN_CHANGES_WITHIN);
        }
        let now = self.clock.now();
        let deadlines = parked.claims.iter().map(|(_, deadline)| *deadline);
        let next = deadlines.chain(parked.next_due).min();
        let patience = next.map_or(FOREIGN_CHANGES_WITHIN, |next| next.since(now));
        // A millisecond at least: the clock has no finer steps, and a busy loop would wait for the next one.
        Some(patience.clamp(Duration::from_millis(1), FOREIGN_CHANGES_WITHIN))
    }

    /// Whether nobody waits for anything.
    fn is_quiet(&self, parked: &Parked) -> bool {
        parked.claims.is_empty() && self.signals.is_idle()
    }

    /// A number that changes when another connection has committed.
    fn data_version(&self) -> i64 {
        let read = self.connection.prepare_cached("PRAGMA data_version");
        read.and_then(|mut read| read.query_row([], |row| row.get(0))).unwrap_or(0)
    }
}

impl Parked {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.claims.iter().any(|(claim, deadline)| *deadline <= now || claim.reply.is_closed())
    }
}

/// Gives back what a dead owner of the file was running, before anything else is done with it.
pub(crate) fn takeover(connection: &Connection, clock: &Clock) -> Result<u64> {
    let mut batch = Batch::new(connection, clock.clone(), true)?;
    batch.begin()?;
    let taken = batch.take_over().and_then(|taken| batch.commit().map(|()| taken));
    taken.inspect_err(|_| batch.roll_back())
}
