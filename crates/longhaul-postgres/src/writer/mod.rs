mod pipeline;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longhaul::clock::Stopwatch;
use longhaul::{Backoff, FinishAndClaim, Lease, Result};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;

use crate::call::{Answer, Call, Op, Verdict};
use crate::error::{SILENCE, copy, fault, is_outage, key_locked, unavailable};
use crate::finish_and_claim::Ended;
use crate::pipelined::{Pipelined, is_simple};
use crate::state::{DriverState, Look};
use crate::transactor::{Done, Fold, Locks, Next, Transactor, Work};
use crate::waiting::Waiting;
use crate::write_tx::Unfinished;

/// The most calls of one transaction.
const CALLS_AT_ONCE: usize = 1_024;
/// The most jobs that its enqueues create together, but for a single call that has more: small calls are not delayed
/// behind large ones.
const JOBS_AT_ONCE: usize = 10_000;

/// The pause before limits are folded in again that another transaction had locked.
const FOLD_AFTER: Duration = Duration::from_millis(4);

/// The time for which a claim that may not wait retries while another transaction holds the lock of limits. It is held
/// for milliseconds, unless its process was suspended.
const KEPT_OUT_FOR: Duration = Duration::from_secs(1);

const WAITING_SOURCES: &str = include_str!("../sql/waiting_sources.sql");

/// The reason for which there may be a job for a claim that has found none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    /// It stopped at its bound.
    More,
    /// Another transaction has the lock of limits.
    KeptOut,
}

/// Runs callers' calls over one connection: all calls that wait become one transaction.
pub(crate) struct Writer {
    transactor: Transactor,
    /// Takes calls that wait for locks of other transactions.
    maintenance: mpsc::WeakSender<Call>,
    pipelined: FuturesUnordered<JoinHandle<Pipelined>>,
    /// The number of finishes with a claim that take the general path before one is tried in one statement again.
    general_calls: u32,
    /// The number of consecutive statements that have claimed jobs, none of them with limit keys.
    plain_claims: u32,
    /// Jobs with limit keys that single statements have claimed since limits were folded in last.
    claimed_unfolded: usize,
    waiting: Waiting,
    /// Claims that may not wait and have found nothing, though they have not looked everywhere: they look again at
    /// once, or once limits are folded in again.
    again: Vec<Call>,
    kept_out: Vec<Call>,
    /// Queues in which waiting claims may find something.
    look: Look,
    /// True if ends of jobs are left that not all dependants have counted.
    is_unsettled: bool,
    /// The time of the next look.
    next: Next,
    /// Running since another transaction was found to hold limits that this one has to fold in, too.
    fold_since: Option<Stopwatch>,
    fold: Fold,
    /// Running since the last look without a notification.
    looked: Stopwatch,
    /// Running since the last look into every queue with waiting claims.
    looked_everywhere: Stopwatch,
}

impl Writer {
    pub(crate) async fn open(transactor: Transactor, maintenance: mpsc::WeakSender<Call>) -> Result<Self> {
        let mut writer = Self {
            transactor,
            maintenance,
            pipelined: FuturesUnordered::new(),
            general_calls: 0,
            plain_claims: 0,
            claimed_unfolded: 0,
            waiting: Waiting::default(),
            again: Vec::new(),
            kept_out: Vec::new(),
            look: Look::default(),
            is_unsettled: false,
            next: Next::default(),
            fold_since: None,
            fold: Fold::Own,
            looked: Stopwatch::start(),
            looked_everywhere: Stopwatch::start(),
        };
        let connection = writer.transactor.connected().await?;
        writer.transactor.connection = Some(connection);
        writer.transactor.notifier.start().await?;
        writer.transact(Vec::new(), None).await?;
        Ok(writer)
    }

    /// Runs until the store is dropped.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Call>) {
        let mut calls = Vec::new();
        let state: Arc<DriverState> = Arc::clone(&self.transactor.state);
        loop {
            let mut is_open = true;
            let patience = self.patience();
            tokio::select! {
                biased;
                // One that has panicked leaves its caller without an answer, which says enough.
                Some(answer) = self.pipelined.next() => if let Ok(answer) = answer { self.complete(answer).await },
                // While the connection is taken calls gather, so that more of them share the next statement.
                count = inbox.recv_many(&mut calls, CALLS_AT_ONCE), if !self.is_full() => is_open = count > 0,
                () = state.nudge.notified() => {}
                () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {}
            }
            if !is_open {
                return;
            }
            self.look_around().await;
            // A caller that has gone away has no answer, and may have asked again.
            calls.retain(|call| !call.reply.is_closed() || call.jobs().is_none());
            self.park_covered(&mut calls);
            calls.append(&mut self.again);
            if self.fold == Fold::All {
                calls.append(&mut self.kept_out);
            }
            if !calls.is_empty() || self.wants_look() {
                self.serve(std::mem::take(&mut calls)).await;
            } else if self.is_away() {
                // No call gets as far as to try it.
                self.transactor.connection = self.transactor.connected().await.ok();
            }
            self.hand_on_lost_claims();
            self.answer_expired();
        }
    }

    /// Parks claims that would find nothing, as others like them have.
    fn park_covered(&mut self, calls: &mut Vec<Call>) {
        if self.is_away() {
            return;
        }
        let waits =
            |call: &mut Call| call.may_wait() && call.claim().is_some_and(|claim| self.waiting.covers(claim));
        let covered: Vec<Call> = calls.extract_if(.., waits).collect();
        covered.into_iter().for_each(|call| self.park(call));
    }

    fn park(&mut self, call: Call) {
        let wait = call.claim().map_or(Duration::ZERO, |claim| claim.wait);
        self.waiting.park(call, self.transactor.clock.now().plus(wait));
    }

    /// Finds out where waiting claims may find something.
    async fn look_around(&mut self) {
        self.look.merge(self.transactor.state.take_look());
        self.is_unsettled |= std::mem::take(&mut self.look.unsettled);
        self.time_fold();
        if self.waiting.is_empty() {
            self.look = Look::default();
            return;
        }
        if self.next.opens.is_some_and(|opens| opens <= self.transactor.clock.now()) {
            self.next.opens = None;
            self.look.everywhere = true;
        }
        self.look.everywhere |= self.looked_everywhere.elapsed() >= self.look_everywhere_every();
        self.look.queues.retain(|queue| self.waiting.has_queue(queue));
        let is_time = self.looked.elapsed() >= self.transactor.options.look_every;
        if (self.look.everywhere || is_time) && !self.is_away() {
            self.looked = Stopwatch::start();
            match self.find_sources().await {
                Ok(()) if self.look.everywhere => {
                    self.looked_everywhere = Stopwatch::start();
                    self.look.everywhere = false;
                }
                Ok(()) => {}
                Err(error) => tracing::debug!("failed to look for jobs: {error}"),
            }
        }
    }

    /// Finds out whether limits are to be looked after that another transaction was at.
    fn time_fold(&mut self) {
        if std::mem::take(&mut self.look.fold_later) && self.fold_since.is_none() {
            self.fold_since = Some(Stopwatch::start());
        }
        if self.fold_since.is_some_and(|since| since.elapsed() >= FOLD_AFTER) {
            self.fold_since = None;
            self.fold = Fold::All;
            self.look.everywhere = true;
        }
    }

    /// The interval of looks into every queue that is waited for. They are there for notifications that are lost, and rarer
    /// where they cost much: a reading in as many places takes the server long.
    fn look_everywhere_every(&self) -> Duration {
        let is_listening = self.transactor.state.is_listening.load(Ordering::SeqCst);
        let free = if is_listening { 32 } else { 512 };
        let stretch = u32::try_from(self.waiting.sources().len() / free).unwrap_or(u32::MAX);
        self.transactor.options.look_every.saturating_mul(stretch.saturating_add(1))
    }

    /// Looks, in one statement, when the next job falls due and, where that is to be found out, which queues have something
    /// for those who wait.
    async fn find_sources(&mut self) -> Result<()> {
        let (mut queues, mut kinds, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        let everywhere = self.look.everywhere;
        for (queue, kind, version, _) in self.waiting.sources().filter(|_| everywhere) {
            queues.push(queue.as_str());
            kinds.push(kind.as_str());
            versions.push(*version);
        }
        let connection = self.transactor.connected().await?;
        let now = self.transactor.state.now(&self.transactor.clock).earliest;
        let values: [&(dyn ToSql + Sync); 4] = [&queues, &kinds, &versions, &now.0];
        let rows = connection.rows(WAITING_SOURCES, &values);
        let rows = tokio::time::timeout(self.transactor.options.response_timeout, rows).await;
        let Ok(rows) = rows else {
            connection.cancel();
            return Err(unavailable(SILENCE));
        };
        self.transactor.connection = Some(connection);
        for row in rows.map_err(fault("look for jobs"))? {
            match row.get::<_, Option<String>>(0) {
                Some(queue) => drop(self.look.queues.insert(queue)),
                None => self.next = self.transactor.next(&row, 1, now),
            }
        }
        Ok(())
    }

    /// True where a transaction is due even without a call.
    fn wants_look(&self) -> bool {
        let now = self.transactor.clock.now();
        let is_due = || !self.look.queues.is_empty() || self.next.due.is_some_and(|due| due <= now);
        self.fold == Fold::All
            || self.is_unsettled
            || !self.again.is_empty()
            || (!self.waiting.is_empty() && is_due())
    }

    fn is_away(&self) -> bool {
        self.transactor.state.reach().is_err()
    }

    /// The longest sleep; `None`, for ever, if no call waits.
    fn patience(&self) -> Option<Duration> {
        if self.is_away() || self.wants_look() {
            return Some(Duration::ZERO);
        }
        let fold = self.fold_since.map(|since| FOLD_AFTER.saturating_sub(since.elapsed()));
        let Some(deadline) = self.waiting.next_deadline() else { return fold };
        // Not all processes at once.
        let every = self.transactor.options.look_every;
        let poll = Backoff { base: every, factor: 1.0, max: every, jitter: 0.2 }.delay(1) + every / 4;
        if self.transactor.clock.is_manual() {
            // Its moves nudge us.
            return Some(fold.map_or(poll, |fold| fold.min(poll)));
        }
        let now = self.transactor.clock.now();
        let next = self.next.first().map_or(deadline, |next| next.min(deadline)).since(now);
        // A millisecond at least: the clock has no finer steps, and a busy loop would wait for the next one.
        let next = next.clamp(Duration::from_millis(1), poll);
        Some(fold.map_or(next, |fold| fold.min(next)))
    }

    async fn serve(&mut self, calls: Vec<Call>) {
        let mut calls = calls.into_iter().peekable();
        loop {
            let (simple, general) = take_some(&mut calls).into_iter().partition(is_simple);
            self.serve_together(simple, general).await;
            if calls.peek().is_none() {
                return;
            }
        }
    }

    /// Simple enqueues are one statement where that will do, and the rest is a transaction; otherwise they share it.
    async fn serve_together(&mut self, simple: Vec<Call>, mut general: Vec<Call>) {
        match self.pipeline(simple) {
            Ok(sent) => self.send(sent).await,
            Err(simple) => general.extend(simple),
        }
        if general.is_empty() && !self.wants_look() {
            return;
        }
        match self.pipeline(general) {
            Ok(sent) => self.send(sent).await,
            Err(general) => self.transact_or_log(general, None).await,
        }
    }

    async fn transact_or_log(&mut self, calls: Vec<Call>, ended: Option<Ended>) {
        if let Err(error) = self.transact(calls, ended).await {
            tracing::debug!("failed to look for jobs: {error}");
        }
    }

    /// One transaction for all of `calls` and, if there may be something for them, the waiting claims. Runs in `ended`
    /// are ended already. Returns an error only if there was no call to answer it to.
    async fn transact(&mut self, calls: Vec<Call>, ended: Option<Ended>) -> Result<()> {
        let look = std::mem::take(&mut self.look);
        let waiting = Some((&self.waiting, &look));
        let fold = std::mem::replace(&mut self.fold, Fold::Own);
        let settle = std::mem::take(&mut self.is_unsettled);
        let work =
            Work { calls: &calls, waiting, ended: ended.as_ref(), locks: Locks::Patient, fold, settle };
        match self.transactor.attempt(&work).await {
            Ok(done) => {
                self.deliver(calls, done);
                self.look.everywhere |= look.everywhere;
            }
            Err(error) if calls.is_empty() => return Err(error),
            Err(error) if is_outage(&error) => {
                self.look = look;
                calls.into_iter().for_each(|call| drop(call.reply.send(Err(copy(&error)))));
            }
            Err(error) => {
                self.look = look;
                for (call, verdict) in self.transactor.narrow(calls, error).await {
                    self.answer(call, verdict);
                }
            }
        }
        Ok(())
    }

    /// Answers everybody, and lets the claims that found nothing wait.
    fn deliver(&mut self, calls: Vec<Call>, done: Done) {
        if !calls.is_empty() {
            self.transactor.observers.committed(calls.len());
        }
        self.next = done.next;
        self.look.merge(done.look);
        self.is_unsettled |= std::mem::take(&mut self.look.unsettled);
        // Set now, because no event may come before it is due.
        self.time_fold();
        for (number, claimed) in done.served {
            if let Some(call) = self.waiting.take(number) {
                let answer = FinishAndClaim { finished: Vec::new(), claimed };
                self.take_back(send_claimed(call, answer));
            }
        }
        for (call, verdict) in calls.into_iter().zip(done.verdicts) {
            match self.unseen(&call, &verdict, &done.unfinished) {
                Some(Unseen::More) => self.again.push(call),
                Some(Unseen::KeptOut) => self.kept_out.push(call),
                None => self.answer(call, verdict),
            }
        }
    }

    /// The reason for which a claim that found nothing and may not wait must look again. A claim that waits is served
    /// later.
    fn unseen(&self, call: &Call, verdict: &Verdict, unfinished: &Unfinished) -> Option<Unseen> {
        let Verdict::Answered(Answer::FinishAndClaim(answer)) = verdict else { return None };
        let claim = call.claim().filter(|_| answer.claimed.is_empty() && call.finishes().is_none())?;
        if call.may_wait() || call.reply.is_closed() {
            return None;
        }
        let is_of =
            |queues: &BTreeSet<String>| claim.queues.iter().any(|queue| queues.contains(&queue.queue));
        // If others add jobs as fast as this looks, it would look for ever.
        let patience = self.transactor.options.response_timeout / 2;
        if is_of(&unfinished.stopped_early) && call.since.elapsed() < patience {
            return Some(Unseen::More);
        }
        let is_kept_out = is_of(&unfinished.kept_out) && call.since.elapsed() < KEPT_OUT_FOR.min(patience);
        is_kept_out.then_some(Unseen::KeptOut)
    }

    fn answer(&mut self, call: Call, verdict: Verdict) {
        match verdict {
            Verdict::Answered(Answer::FinishAndClaim(answer)) => {
                if answer.claimed.is_empty() && call.may_wait() {
                    self.park(call);
                } else {
                    self.take_back(send_claimed(call, answer));
                }
            }
            // The receiver is closed if the caller has gone away.
            Verdict::Answered(answer) => drop(call.reply.send(Ok(answer))),
            Verdict::Failed(error) => drop(call.reply.send(Err(error))),
            Verdict::Deferred => self.hand_on(call),
        }
    }

    /// Hands a call that would wait here to the maintenance connection.
    fn hand_on(&self, call: Call) {
        let Some(maintenance) = self.maintenance.upgrade() else { return };
        if let Err(TrySendError::Full(call)) = maintenance.try_send(call) {
            let _ = call.reply.send(Err(key_locked()));
        }
    }

    /// Makes jobs available again at once, instead of after their leases, because their caller went away while the
    /// claim was being committed.
    fn take_back(&self, leases: Vec<Lease>) {
        if !leases.is_empty() {
            self.hand_on(Call::new(Op::TakeBack(leases)).0);
        }
    }

    /// Has claims reverted whose answers were lost with the connection, so that no worker knows their leases.
    fn hand_on_lost_claims(&mut self) {
        let lost = std::mem::take(&mut self.transactor.lost_claims);
        if !lost.is_empty() {
            self.hand_on(Call::new(Op::TakeBackLost(lost)).0);
        }
    }

    fn answer_expired(&mut self) {
        for call in self.waiting.take_expired(self.transactor.clock.now()) {
            let _ = call.reply.send(Ok(Answer::FinishAndClaim(FinishAndClaim::default())));
        }
    }
}

/// Answers a claim; returns the leases of an answer that was not delivered.
pub(crate) fn send_claimed(call: Call, answer: FinishAndClaim) -> Vec<Lease> {
    match call.reply.send(Ok(Answer::FinishAndClaim(answer))) {
        Err(Ok(Answer::FinishAndClaim(answer))) => answer.claimed.into_iter().map(|job| job.lease).collect(),
        _ => Vec::new(),
    }
}

/// Takes as many calls as one transaction should have: one at least, where there is one.
fn take_some(calls: &mut Peekable<impl Iterator<Item = Call>>) -> Vec<Call> {
    let (mut some, mut jobs) = (Vec::new(), 0);
    while let Some(call) = calls.next_if(|call| {
        jobs += call.jobs().map_or(1, <[_]>::len);
        jobs <= JOBS_AT_ONCE || some.is_empty()
    }) {
        some.push(call);
    }
    some
}

#[cfg(test)]
mod tests {
    use longhaul_conformance::jobs::job;

    use super::*;

    #[test]
    fn a_transaction_takes_many_small_calls_and_few_large_ones() {
        let call = |jobs: usize| Call::new(Op::Enqueue((0..jobs).map(|_| job()).collect())).0;
        let sizes = [1, 4_000, 5_000, 4_000, JOBS_AT_ONCE + 1, 1, 1];
        let mut calls = sizes.map(call).into_iter().peekable();
        let taken: Vec<usize> = (0..5).map(|_| take_some(&mut calls).len()).collect();
        assert_eq!(taken, [3, 1, 1, 2, 0]);
    }
}
