use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use longhaul::Backoff;
use longhaul::clock::Stopwatch;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::call::{Answer, Call, Op, Verdict, may_wait};
use crate::connection::Connection;
use crate::error::{fault, is_lock_timeout, key_locked};
use crate::options::Purpose;
use crate::transactor::{Locks, Transactor, Work};
use crate::writer::send_claimed;

const SWEEP_PROBE: &str = include_str!("sql/sweep_probe.sql");
const VACUUM: &str = include_str!("sql/vacuum_arrivals.sql");
const PAGES_OF_ARRIVALS: &str = include_str!("sql/pages_of_arrivals.sql");
/// The pages of a table that is as long as it may be after a vacuum.
const MOST_PAGES: i64 = 128;
const FORGET_WORKERS: &str = include_str!("sql/forget_workers.sql");
/// The interval at which the rows of silent workers are looked for.
const FORGET_WORKERS_EVERY: Duration = Duration::from_secs(600);
/// Between two attempts of a call that waits for another transaction's lock: at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LAST_RETRY: Duration = Duration::from_millis(100);
/// The interval at which claims whose answers were lost are looked for: the statement of one may still be on its way.
const LOST_EVERY: Duration = Duration::from_secs(1);

/// Runs sweeps, bulk actions, and calls that wait for a lock of another transaction, one at a time, on a connection of
/// its own, so that no other call waits for them.
pub(crate) struct Maintenance {
    transactor: Transactor,
    deferred: VecDeque<Deferred>,
    lost: Vec<Lost>,
    /// Since the rows of silent workers were looked for.
    workers_forgotten: Option<Stopwatch>,
    /// One at most.
    vacuums: JoinSet<()>,
}

/// A call that waits for another transaction's lock.
struct Deferred {
    call: Call,
    attempts: u32,
    tried: Stopwatch,
    pause: Duration,
}

/// A claim that may be committed and was never answered.
struct Lost {
    number: i64,
    since: Stopwatch,
}

impl Maintenance {
    pub(crate) fn new(transactor: Transactor) -> Self {
        Self {
            transactor,
            deferred: VecDeque::new(),
            lost: Vec::new(),
            workers_forgotten: None,
            vacuums: JoinSet::new(),
        }
    }

    /// Runs until the store is dropped.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Call>) {
        loop {
            let pause = self.pause();
            tokio::select! {
                biased;
                call = inbox.recv() => match call {
                    Some(call) => self.take(call).await,
                    None => return,
                },
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
            // One between two calls: many that wait delay no sweep.
            self.retry_one().await;
            self.find_lost().await;
            self.vacuum();
        }
    }

    fn pause(&self) -> Option<Duration> {
        let deferred =
            self.deferred.iter().map(|waiting| waiting.pause.saturating_sub(waiting.tried.elapsed()));
        deferred.chain((!self.lost.is_empty()).then_some(LOST_EVERY)).min()
    }

    async fn take(&mut self, call: Call) {
        match &call.op {
            Op::TakeBackLost(numbers) => {
                let lost = |number: &i64| Lost { number: *number, since: Stopwatch::start() };
                self.lost.extend(numbers.iter().map(lost));
            }
            Op::Sweep(_) if matches!(self.finds_nothing_to_sweep().await, Ok(true)) => {
                let _ = call.reply.send(Ok(Answer::Swept(longhaul::Swept::default())));
            }
            _ => self.run_call(call, 0).await,
        }
    }

    /// Looks, in one statement, whether a sweep has anything to do: an idle store costs nothing else.
    async fn finds_nothing_to_sweep(&mut self) -> longhaul::Result<bool> {
        let clock = &self.transactor.clock;
        let now = clock.is_manual().then(|| clock.now().0);
        let connection = self.transactor.connected().await?;
        let patience = self.transactor.options.response_timeout;
        let forgets = self.workers_forgotten.is_none_or(|since| since.elapsed() >= FORGET_WORKERS_EVERY);
        let probe = async {
            if forgets {
                connection.rows(FORGET_WORKERS, &[&now]).await?;
            }
            connection.rows(SWEEP_PROBE, &[&now]).await
        };
        let rows = tokio::time::timeout(patience, probe).await;
        let Ok(rows) = rows else {
            connection.cancel();
            return Ok(false);
        };
        self.transactor.connection = Some(connection);
        if forgets {
            self.workers_forgotten = Some(Stopwatch::start());
        }
        Ok(rows.map_err(fault("sweep"))?.first().is_some_and(|row| !row.get::<_, bool>(0)))
    }

    async fn run_call(&mut self, call: Call, attempts: u32) {
        let calls = [call];
        let locks = if attempts == 0 { Locks::Patient } else { Locks::Brief };
        let attempt = self.transactor.attempt(&Work::of(&calls, locks)).await;
        let [call] = calls;
        let (call, verdict) = match attempt {
            Ok(mut done) => (call, done.verdicts.pop().unwrap_or(Verdict::Answered(Answer::Done))),
            Err(error) if is_lock_timeout(&error) => (call, Verdict::Deferred),
            Err(error) => match self.transactor.narrow(vec![call], error).await.pop() {
                Some(settled) => settled,
                None => return,
            },
        };
        match verdict {
            Verdict::Answered(Answer::FinishAndClaim(answer)) => {
                let leases = send_claimed(call, answer);
                if !leases.is_empty()
                    && let Err(error) = self.transactor.one(Op::TakeBack(leases)).await
                {
                    tracing::warn!("failed to take a claim back; its lease will expire: {error}");
                }
            }
            Verdict::Answered(answer) => drop(call.reply.send(Ok(answer))),
            Verdict::Failed(error) => drop(call.reply.send(Err(error))),
            Verdict::Deferred => self.defer(call, attempts + 1),
        }
        let lost = std::mem::take(&mut self.transactor.lost_claims);
        self.lost.extend(lost.into_iter().map(|number| Lost { number, since: Stopwatch::start() }));
    }

    fn defer(&mut self, call: Call, attempts: u32) {
        // A claim that is reverted has no caller, and must be reverted all the same.
        let must_be_done = matches!(call.op, Op::TakeBack(_));
        if !must_be_done && !may_wait(&call, self.transactor.options.response_timeout) {
            return drop(call.reply.send(Err(key_locked())));
        }
        let pause = Backoff { base: FIRST_RETRY, factor: 2.0, max: LAST_RETRY, jitter: 0.5 }.delay(attempts);
        self.deferred.push_back(Deferred { call, attempts, tried: Stopwatch::start(), pause });
    }

    /// Tries one of the calls whose pause is over again.
    async fn retry_one(&mut self) {
        let due = self.deferred.iter().position(|waiting| waiting.tried.elapsed() >= waiting.pause);
        if let Some(Deferred { call, attempts, .. }) = due.and_then(|due| self.deferred.remove(due)) {
            if call.reply.is_closed() && !matches!(call.op, Op::TakeBack(_)) {
                return;
            }
            self.run_call(call, attempts).await;
        }
    }

    /// Takes back claims whose answers were lost, until the server can no longer be at the statement of one.
    async fn find_lost(&mut self) {
        if self.lost.is_empty() || self.transactor.state.reach().is_err() {
            return;
        }
        let numbers: Vec<i64> = self.lost.iter().map(|lost| lost.number).collect();
        match self.transactor.one(Op::TakeBackLost(numbers)).await {
            Ok(Answer::Count(count)) if count > 0 => {
                tracing::info!(count, "took back jobs whose claim was never answered");
            }
            Ok(_) => {}
            Err(error) => return tracing::debug!("failed to look for lost claims: {error}"),
        }
        let patience = 2 * self.transactor.options.response_timeout;
        self.lost.retain(|lost| lost.since.elapsed() < patience);
    }

    /// Frees the pages of rows that were folded in. A fold reads the tables from their first pages on, and autovacuum comes once a
    /// minute: by then there are as many pages as a minute of claims has left. Nobody waits for it, since a table that is in
    /// use is cut short only after seconds.
    fn vacuum(&mut self) {
        while self.vacuums.try_join_next().is_some() {}
        if !self.vacuums.is_empty() || !self.transactor.state.take_due_vacuum() {
            return;
        }
        let (options, state) = (Arc::clone(&self.transactor.options), Arc::clone(&self.transactor.state));
        self.vacuums.spawn(async move {
            let vacuum = async {
                let connection = Connection::open(&options, Purpose::Write, |_| {}).await?;
                connection.client.batch_execute(VACUUM).await.map_err(fault("vacuum"))?;
                connection.rows(PAGES_OF_ARRIVALS, &[]).await.map_err(fault("vacuum"))
            };
            match tokio::time::timeout(options.response_timeout, vacuum).await {
                // A row that came meanwhile keeps the pages before it. The next one goes to a page that is free.
                Ok(Ok(rows)) if rows.first().is_some_and(|row| row.get::<_, i64>(0) > MOST_PAGES) => {
                    state.vacuum_again();
                }
                // Where it fails, autovacuum is left.
                Ok(Err(error)) => tracing::debug!("failed to vacuum arrivals: {error}"),
                _ => {}
            }
        });
    }
}
