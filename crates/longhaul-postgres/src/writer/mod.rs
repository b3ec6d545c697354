mod answer;
mod flight;

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::future::maybe_done;
use futures::stream::FuturesUnordered;
use longhaul::clock::Stopwatch;
use longhaul::{Backoff, Claimed, Clock, Error, FinishAndClaim, Result, Signals, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use self::flight::{Flight, is_light};
use crate::batch::{ADD_COUNTS, Batch, Counts, Effects};
use crate::claim::PROMOTE_DUE;
use crate::connection::{Connection, Link};
use crate::driver::Wake;
use crate::enqueue::INSERT_PLAIN;
use crate::error::{SILENCE, copy, fault, has_met_another, has_waited_in_vain, is_unheard, unavailable};
use crate::news::News;
use crate::ops::{Answer, Call, Op, claim_of, enqueue_of, finishes_of};
use crate::options::{PostgresOptions, Purpose};
use crate::turn::{Ended, TURN};

/// The most calls of one transaction.
const CALLS_AT_ONCE: usize = 1_024;
/// The most jobs that its enqueues create together, but for a single call that has more: nobody waits for others' many.
const JOBS_AT_ONCE: usize = 10_000;
/// Scheduled jobs that one transaction promotes.
const PROMOTED_AT_ONCE: i64 = 1_000;
/// How often a transaction is run again when it meets others.
const MEETINGS: u32 = 10;

const NOW: &str = include_str!("../sql/now.sql");
const NEXT_DUE: &str = include_str!("../sql/next_due.sql");
/// Statements that are sent together with others.
const TOGETHER: [&str; 6] = [NOW, NEXT_DUE, PROMOTE_DUE, ADD_COUNTS, TURN, INSERT_PLAIN];

/// Does what callers ask for, over one connection: what waits is done in one transaction.
pub(crate) struct Writer {
    options: Arc<PostgresOptions>,
    clock: Clock,
    signals: Arc<Signals>,
    wake: Arc<Wake>,
    news: News,
    connection: Option<Arc<Connection>>,
    /// Calls on their way.
    flights: FuturesUnordered<JoinHandle<Flight>>,
    /// Whether the clock was read on this very connection.
    knows_clock: bool,
    /// How often connecting has failed on end.
    failures: u32,
    /// How many turns to pass by before one is tried in one statement again.
    turns_to_pass: u32,
    /// Claims that found nothing, with when to answer them all the same, on this machine's clock.
    parked: Vec<(Call, Timestamp)>,
    /// When the next scheduled job falls due, on this machine's clock.
    next_due: Option<Timestamp>,
    look_again: bool,
    /// When they were last looked after.
    looked: Stopwatch,
}

/// What a transaction has done.
struct Done {
    answers: Vec<Answer>,
    /// One for each parked claim, or none at all.
    served: Vec<Vec<Claimed>>,
    next_due: Option<Timestamp>,
    effects: Effects,
}

impl Writer {
    pub(crate) async fn open(
        options: Arc<PostgresOptions>,
        clock: Clock,
        signals: Arc<Signals>,
        wake: Arc<Wake>,
    ) -> Result<Self> {
        let news = News::new(Arc::clone(&options), Arc::clone(&signals), Arc::clone(&wake));
        let connection = Some(Arc::new(open(&options).await?));
        news.start().await?;
        let mut writer = Self {
            options,
            clock,
            signals,
            wake,
            news,
            connection,
            knows_clock: false,
            failures: 0,
            flights: FuturesUnordered::new(),
            turns_to_pass: 0,
            parked: Vec::new(),
            next_due: None,
            look_again: false,
            looked: Stopwatch::start(),
        };
        writer.transact(Vec::new(), None).await?;
        Ok(writer)
    }

    /// Runs until the store is dropped.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Call>) {
        let mut calls = Vec::new();
        let wake = Arc::clone(&self.wake);
        loop {
            let mut is_open = true;
            let patience = self.patience();
            tokio::select! {
                biased;
                // One that has panicked leaves its caller without an answer, which says enough.
                Some(flight) = self.flights.next() => if let Ok(flight) = flight { self.land(flight).await },
                count = inbox.recv_many(&mut calls, CALLS_AT_ONCE) => is_open = count > 0,
                () = wake.nudge.notified() => {}
                () = sleep(patience), if patience.is_some() => {}
            }
            if !is_open {
                return;
            }
            let now = self.clock.now();
            self.look_again |= wake.look_again.swap(false, Ordering::SeqCst);
            self.look_again |= self.next_due.is_some_and(|due| due <= now);
            self.look_again |= self.looked.elapsed() >= self.options.look_every;
            self.look_again &= !self.parked.is_empty();
            if self.look_again {
                self.looked = Stopwatch::start();
            }
            // Whoever has given up waiting for it has been promised nothing, and may have asked anew.
            calls.retain(|call| !call.reply.is_closed() || enqueue_of(call).is_none());
            if !calls.is_empty() || self.look_again {
                self.serve(std::mem::take(&mut calls)).await;
            } else if self.is_away() {
                // Nobody's call gets as far as to try it.
                self.connection = self.connected().await.ok();
            }
            self.answer_expired();
        }
    }

    /// How long to sleep at most: for ever while nobody waits for anything.
    fn patience(&self) -> Option<Duration> {
        if self.look_again || self.is_away() {
            return Some(Duration::ZERO);
        }
        if self.parked.is_empty() {
            return None;
        }
        // Not all processes at once.
        let every = self.options.look_every;
        let poll = Backoff { base: every, factor: 1.0, max: every, jitter: 0.2 }.delay(1) + every / 4;
        if self.clock.is_manual() {
            // Its moves nudge us.
            return Some(poll);
        }
        let now = self.clock.now();
        let deadlines = self.parked.iter().map(|(_, deadline)| *deadline);
        let next = deadlines.chain(self.next_due).min().map_or(poll, |next| next.since(now));
        // A millisecond at least: the clock has no finer steps, and a busy loop would wait for the next one.
        Some(next.clamp(Duration::from_millis(1), poll))
    }

    /// Does what was asked for. Where one call is at fault, it alone is told so.
    async fn serve(&mut self, calls: Vec<Call>) {
        let mut calls = calls.into_iter().peekable();
        loop {
            let (light, heavy) = take_some(&mut calls).into_iter().partition(is_light);
            self.serve_together(light, heavy).await;
            if calls.peek().is_none() {
                return;
            }
        }
    }

    /// Enqueues that can fly do so, and the rest goes in a transaction; where they cannot, they share it.
    async fn serve_together(&mut self, light: Vec<Call>, mut heavy: Vec<Call>) {
        match self.take_off(light) {
            Ok(flight) => self.send(flight).await,
            Err(light) => heavy.extend(light),
        }
        if heavy.is_empty() && !self.look_again {
            return;
        }
        match self.take_off(heavy) {
            Ok(flight) => self.send(flight).await,
            Err(heavy) => self.transact_or_say(heavy, None).await,
        }
    }

    async fn transact_or_say(&mut self, calls: Vec<Call>, ended: Option<Ended>) {
        if let Err(error) = self.transact(calls, ended).await {
            tracing::debug!("failed to look for jobs: {error}");
        }
    }

    /// One transaction for all of `calls` and, where there may be something for them, the parked claims. Runs in `ended`
    /// are ended already. Answers a fault only where there was no call to tell it to.
    async fn transact(&mut self, calls: Vec<Call>, ended: Option<Ended>) -> Result<()> {
        let look_again = std::mem::take(&mut self.look_again);
        match self.attempt(&calls, look_again, ended.as_ref()).await {
            Ok(done) => {
                self.deliver(calls, done).await;
                Ok(())
            }
            Err(error) if calls.is_empty() => Err(error),
            Err(error)
                if calls.len() == 1
                    || (matches!(error, Error::Unavailable { .. }) && !has_waited_in_vain(&error)) =>
            {
                for call in calls {
                    let _ = call.reply.send(Err(copy(&error)));
                }
                Ok(())
            }
            Err(_) => {
                for call in calls {
                    match self.attempt(std::slice::from_ref(&call), false, None).await {
                        Ok(done) => self.deliver(vec![call], done).await,
                        Err(error) => drop(call.reply.send(Err(error))),
                    }
                }
                Ok(())
            }
        }
    }

    /// Runs a transaction, again where it meets those of other processes.
    async fn attempt(&mut self, calls: &[Call], look_again: bool, ended: Option<&Ended>) -> Result<Done> {
        let mut meetings = 0;
        loop {
            let connection = self.connected().await?;
            let patience = self.options.response_timeout;
            let run = self.run_batch(&connection, calls, look_again, ended);
            let done = match tokio::time::timeout(patience, run).await {
                Ok(done) => done,
                // The connection is given up, and the transaction with it.
                Err(_) => return Err(unavailable(SILENCE)),
            };
            let Err(error) = done else {
                self.knows_clock = true;
                self.connection = Some(connection);
                return done;
            };
            let rolled_back =
                tokio::time::timeout(patience, connection.client.batch_execute("ROLLBACK")).await;
            if let Ok(Ok(())) = rolled_back {
                self.connection = Some(connection);
            }
            meetings += 1;
            if !has_met_another(&error) || meetings > MEETINGS {
                return Err(error);
            }
            let base = Duration::from_millis(5);
            let backoff = Backoff { base, factor: 1.5, max: Duration::from_millis(100), jitter: 0.9 };
            tokio::time::sleep(backoff.delay(meetings)).await;
        }
    }

    /// The connection, made anew where it was lost; after a failure only when a while has passed.
    async fn connected(&mut self) -> Result<Arc<Connection>> {
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
        let opened = open(&self.options).await.map(Arc::new);
        self.failures = if opened.is_ok() { 0 } else { self.failures + 1 };
        let is_away = opened.as_ref().is_err_and(is_unheard);
        self.wake.is_away.store(is_away, Ordering::SeqCst);
        opened
    }

    fn is_away(&self) -> bool {
        self.wake.is_away.load(Ordering::SeqCst)
    }

    /// Whether the time is known well enough to be used without a new reading.
    fn is_timely(&self) -> bool {
        self.clock.is_manual() || (self.knows_clock && self.wake.has_read_lately())
    }

    async fn run_batch(
        &self,
        connection: &Connection,
        calls: &[Call],
        look_again: bool,
        ended: Option<&Ended>,
    ) -> Result<Done> {
        let wants_jobs = !self.parked.is_empty() || calls.iter().any(|call| claim_of(call).is_some());
        let mut begun = std::pin::pin!(maybe_done(self.begin(connection, wants_jobs)));
        if self.is_timely() {
            // Sent now, and answered together with what comes next.
            let _ = futures::poll!(begun.as_mut());
        } else {
            begun.as_mut().await;
        }
        let mut batch = Batch::new(Link::Own(connection), self.wake.now(&self.clock));
        let mut answers: Vec<Option<Answer>> = calls.iter().map(|_| None).collect();
        // Polled together, so that the server's time is noted when it comes and not when the rest is done.
        let ((), applied) = futures::join!(begun.as_mut(), apply_all(&mut batch, calls, ended, &mut answers));
        let due = begun.take_output().unwrap_or_else(|| Ok(Vec::new()))?;
        applied?;
        batch.promoted(&due);
        let mut served = Vec::new();
        if look_again || batch.effects.made_available {
            for (call, _) in &self.parked {
                let claim = claim_of(call).filter(|_| !call.reply.is_closed());
                served.push(match claim {
                    Some(claim) => batch.claim(claim).await?,
                    None => Vec::new(),
                });
            }
        }
        for (call, answer) in calls.iter().zip(&mut answers) {
            let Some(claim) = claim_of(call).filter(|_| !call.reply.is_closed()) else { continue };
            let claimed = batch.claim(claim).await?;
            if let Some(Answer::FinishAndClaim(turn)) = answer {
                turn.claimed = claimed;
            }
        }
        let next_due = self.commit(connection, &mut batch, wants_jobs).await?;
        let answers = answers.into_iter().map(|answer| answer.unwrap_or(Answer::Done)).collect();
        Ok(Done { answers, served, next_due, effects: batch.effects })
    }

    /// Begins a transaction, reads the time and makes due jobs available where somebody wants jobs: all sent together.
    /// Answers the jobs that were due.
    async fn begin(&self, connection: &Connection, wants_jobs: bool) -> Result<Vec<Row>> {
        let fault = fault("begin a transaction");
        let (now, asked) = (self.wake.now(&self.clock).earliest, Stopwatch::start());
        let values: [&(dyn ToSql + Sync); 2] = [&now.0, &PROMOTED_AT_ONCE];
        let promote =
            async { if wants_jobs { connection.rows(PROMOTE_DUE, &values).await } else { Ok(Vec::new()) } };
        let (begun, read, due) =
            futures::join!(connection.client.batch_execute("BEGIN"), connection.rows(NOW, &[]), promote);
        begun.map_err(fault)?;
        if let Some(row) = read.map_err(fault)?.first() {
            self.wake.read_clock(row.get(0), asked);
        }
        due.map_err(fault)
    }

    /// Writes the counts, looks when the next scheduled job falls due, where that is wanted, and commits: all sent
    /// together. A fault of the first makes the commit a rollback.
    async fn commit(
        &self,
        connection: &Connection,
        batch: &mut Batch<'_>,
        wants_due: bool,
    ) -> Result<Option<Timestamp>> {
        let fault = fault("commit");
        let counts = batch.take_counts();
        let write = async {
            let Some(Counts { queues, states, changes }) = &counts else { return Ok(Vec::new()) };
            connection.rows(ADD_COUNTS, &[queues, states, changes]).await
        };
        let look = async { if wants_due { connection.rows(NEXT_DUE, &[]).await } else { Ok(Vec::new()) } };
        let (written, due, committed) =
            futures::join!(write, look, connection.client.batch_execute("COMMIT"));
        written.map_err(fault)?;
        let due = due.map_err(fault)?.first().and_then(|row| row.get::<_, Option<i64>>(0));
        committed.map_err(fault)?;
        Ok(due.map(|due| self.clock.now().plus(Timestamp(due).since(batch.now))))
    }
}

async fn open(options: &PostgresOptions) -> Result<Connection> {
    let opening = async {
        let connection = Connection::open(options, Purpose::Write, |_| {}).await?;
        connection.prepare(&TOGETHER).await?;
        Ok(connection)
    };
    tokio::time::timeout(options.response_timeout, opening)
        .await
        .unwrap_or_else(|_| Err(unavailable(SILENCE)))
}

/// Takes as many calls as one transaction should have: one at least, where there is one.
fn take_some(calls: &mut Peekable<impl Iterator<Item = Call>>) -> Vec<Call> {
    let (mut some, mut jobs) = (Vec::new(), 0);
    while let Some(call) = calls.next_if(|call| {
        jobs += enqueue_of(call).map_or(1, <[_]>::len);
        jobs <= JOBS_AT_ONCE || some.is_empty()
    }) {
        some.push(call);
    }
    some
}

/// Everything but the claims, which come last so that they see all the rest.
async fn apply_all(
    batch: &mut Batch<'_>,
    calls: &[Call],
    ended: Option<&Ended>,
    answers: &mut [Option<Answer>],
) -> Result<()> {
    let mut locks = Vec::new();
    let (mut enqueues, mut enqueuers) = (Vec::new(), Vec::new());
    let (mut finishes, mut finishers) = (Vec::new(), Vec::new());
    for (number, call) in calls.iter().enumerate() {
        if let Some(jobs) = enqueue_of(call) {
            locks.extend(crate::keys::locks(jobs.iter()));
            enqueues.push(jobs);
            enqueuers.push(number);
        }
        if let Some(ended) = finishes_of(call) {
            locks.extend(crate::keys::locks(crate::keys::follow_ups(ended.iter())));
            finishes.push(ended);
            finishers.push(number);
        }
    }
    batch.lock_keys(&locks).await?;
    if !enqueues.is_empty() {
        for (number, answer) in enqueuers.into_iter().zip(batch.enqueue_all(&enqueues).await?) {
            answers[number] = Some(Answer::Enqueued(answer));
        }
    }
    if !finishes.is_empty() {
        for (number, statuses) in finishers.into_iter().zip(batch.finish_all(&finishes, ended).await?) {
            answers[number] = Some(match &calls[number].op {
                Op::Claim { .. } => {
                    Answer::FinishAndClaim(FinishAndClaim { finished: statuses, claimed: Vec::new() })
                }
                _ => Answer::Statuses(statuses),
            });
        }
    }
    for (call, answer) in calls.iter().zip(answers) {
        if answer.is_none() {
            *answer = Some(crate::ops::apply(batch, &call.op).await?);
        }
    }
    Ok(())
}

async fn sleep(patience: Option<Duration>) {
    tokio::time::sleep(patience.unwrap_or_default()).await;
}

#[cfg(test)]
mod tests {
    use longhaul::NewJob;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_transaction_takes_many_small_calls_and_few_large_ones() {
        let job = || -> NewJob {
            serde_json::from_value(serde_json::json!({
                "id": null, "kind": "k", "version": 1, "queue": "q", "args": null, "priority": 0, "start": "now",
                "max_attempts": 1, "max_crashes": 1, "timeout": null, "backoff": null, "unique": null,
                "idempotency": null, "parent": null, "labels": {},
            }))
            .unwrap()
        };
        let call = |jobs: usize| {
            let (reply, _) = oneshot::channel();
            Call { op: Op::Enqueue((0..jobs).map(|_| job()).collect()), reply }
        };
        let sizes = [1, 4_000, 5_000, 4_000, JOBS_AT_ONCE + 1, 1, 1];
        let mut calls = sizes.map(call).into_iter().peekable();
        let taken: Vec<usize> = (0..5).map(|_| take_some(&mut calls).len()).collect();
        assert_eq!(taken, [3, 1, 1, 2, 0]);
    }
}
