use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longhaul::clock::Stopwatch;
use longhaul::{Clock, Error, Lease, LeaseStatus, Result, Signals, WorkerInfo};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::call::{Answer, Call, Op};
use crate::error::{SILENCE, closed, copy, failed, unavailable};
use crate::heartbeat::{Beat, Heartbeats};
use crate::notifier::Notifier;
use crate::options::PostgresOptions;
use crate::server_clock::{Now, ServerClock};
use crate::transactor::{Role, Transactor};
use crate::upkeep::Upkeep;
use crate::writer::Writer;

/// Hands calls to the thread that writes. Its own thread keeps jobs that block their runtime from delaying heartbeats
/// and calls. Three connections write: one for work, one for upkeep and calls that wait for locks, one for heartbeats.
#[derive(Debug)]
pub(crate) struct Driver {
    work: mpsc::Sender<Call>,
    upkeep: mpsc::Sender<Call>,
    beats: mpsc::Sender<Beat>,
    pub(crate) state: Arc<DriverState>,
    /// The longest that a call may take, with its wait for those before it.
    patience: Duration,
}

/// Shared by the connections and by callers.
#[derive(Debug, Default)]
pub(crate) struct DriverState {
    /// Wakes the writer without a call: the clock has moved, or jobs have become available elsewhere.
    pub(crate) nudge: Notify,
    /// Queues in which waiting claims may find something.
    news: Mutex<Look>,
    /// Set while the server cannot be reached. The writer tries again by itself.
    pub(crate) is_away: AtomicBool,
    /// Set while other processes' notifications are received.
    pub(crate) is_listening: AtomicBool,
    server_clock: Mutex<Option<ServerClock>>,
    /// The last write's failure, where the server had no room or could not write, and since when it is known.
    write_fault: Mutex<Option<(Error, Stopwatch)>>,
}

/// Queues in which jobs may have become available.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) queues: BTreeSet<String>,
    /// Set where it is not known which.
    pub(crate) everywhere: bool,
}

impl Look {
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty() && !self.everywhere
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.queues.extend(other.queues);
        self.everywhere |= other.everywhere;
    }
}

impl DriverState {
    /// Wakes the writer because the clock has moved.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Tells the writer where waiting claims may find something.
    pub(crate) fn look(&self, look: Look) {
        if !look.is_empty() {
            self.news.lock().merge(look);
            self.nudge.notify_one();
        }
    }

    pub(crate) fn take_news(&self) -> Look {
        std::mem::take(&mut *self.news.lock())
    }

    /// Fails at once while the server is away: callers that each waited for it would pile up.
    pub(crate) fn reach(&self) -> Result<()> {
        if self.is_away.load(Ordering::SeqCst) { Err(unavailable("the server is away")) } else { Ok(()) }
    }

    /// Notes how a write ended: one that the server had no room for, or could not do, is told by [`can_write`].
    ///
    /// [`can_write`]: Self::can_write
    pub(crate) fn note_write(&self, result: Result<(), &Error>) {
        let fault = match result {
            Err(error @ (Error::Full { .. } | Error::Broken { .. })) => {
                Some((copy(error), Stopwatch::start()))
            }
            Err(_) => return,
            Ok(()) => None,
        };
        *self.write_fault.lock() = fault;
    }

    /// Fails at once where the last write has, a short while ago, for want of room or of a disk that can be written.
    pub(crate) fn can_write(&self) -> Result<()> {
        self.reach()?;
        match &*self.write_fault.lock() {
            Some((error, since)) if since.elapsed() < WRITE_FAULT_HOLDS => Err(copy(error)),
            _ => Ok(()),
        }
    }

    /// The time of the store's clock. The server's is read with every transaction and goes on by this machine's, so that
    /// no statement waits for a reading of its own.
    pub(crate) fn now(&self, clock: &Clock) -> Now {
        match &*self.server_clock.lock() {
            Some(server) if !clock.is_manual() => server.now(Stopwatch::start().started()),
            _ => Now::exactly(clock.now()),
        }
    }

    /// Notes a reading of the server's clock, in microseconds, that was asked for at `asked`.
    pub(crate) fn read_clock(&self, micros: i64, asked: Stopwatch) {
        let mut server = self.server_clock.lock();
        *server = Some(ServerClock::read(*server, micros, asked.started(), Stopwatch::start().started()));
    }

    pub(crate) fn has_read_lately(&self) -> bool {
        self.server_clock.lock().is_some_and(|server| server.was_read_lately(Stopwatch::start().started()))
    }
}

/// A failed write counts for so long where no other has been tried since.
const WRITE_FAULT_HOLDS: Duration = Duration::from_secs(5);
/// Calls that may wait for the thread; beyond it, callers wait to hand theirs over.
const CAPACITY: usize = 16_384;

impl Driver {
    /// Connects, on a new thread, and answers once that has succeeded.
    pub(crate) async fn start(
        options: Arc<PostgresOptions>,
        clock: Clock,
        signals: Arc<Signals>,
    ) -> Result<Self> {
        let (work, work_inbox) = mpsc::channel(CAPACITY);
        let (upkeep, upkeep_inbox) = mpsc::channel(CAPACITY);
        let (beats, beats_inbox) = mpsc::channel(CAPACITY);
        let (opened, opening) = oneshot::channel();
        let state = Arc::new(DriverState::default());
        let patience = options.response_timeout;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed("open", error.to_string()))?;
        // The upkeep connection ends with the store, and not only when nothing may be deferred to it any more.
        let deferred = upkeep.downgrade();
        let shared = Arc::clone(&state);
        let run = async move {
            let notifier = Notifier::new(Arc::clone(&options), Arc::clone(&signals), Arc::clone(&shared));
            let transactor = |role| {
                let (options, clock) = (Arc::clone(&options), clock.clone());
                let (state, signals) = (Arc::clone(&shared), Arc::clone(&signals));
                Transactor::new(role, options, clock, state, signals, notifier.clone())
            };
            let writer = match Writer::open(transactor(Role::Work), deferred).await {
                Ok(writer) => writer,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let upkeep = Upkeep::new(transactor(Role::Upkeep));
            let heartbeats = Heartbeats::new(options, clock);
            let tasks: FuturesUnordered<_> = [
                tokio::spawn(writer.run(work_inbox)),
                tokio::spawn(upkeep.run(upkeep_inbox)),
                tokio::spawn(heartbeats.run(beats_inbox)),
            ]
            .into_iter()
            .collect();
            if opened.send(Ok(())).is_ok() {
                // One that has panicked takes the others with it, so that every caller is told at once.
                let _ = tasks.take_while(|ended| std::future::ready(ended.is_ok())).count().await;
            }
        };
        std::thread::Builder::new()
            .name("longhaul-postgres".into())
            .spawn(move || runtime.block_on(run))
            .map_err(|error| failed("open", error.to_string()))?;
        opening.await.map_err(|_| closed())??;
        Ok(Self { work, upkeep, beats, state, patience })
    }

    /// Hands a call over, and answers with where its answer will come.
    pub(crate) async fn send(&self, op: Op) -> Result<oneshot::Receiver<Result<Answer>>> {
        self.state.reach()?;
        let (call, answer) = Call::new(op);
        let inbox = match call.op {
            Op::Sweep(_) | Op::Act { .. } | Op::TakeBack(_) | Op::TakeBackLost(_) => &self.upkeep,
            _ => &self.work,
        };
        inbox.send(call).await.map_err(|_| closed())?;
        Ok(answer)
    }

    /// Asks, and waits for the answer: not for longer than one transaction may take, because behind a server that says
    /// nothing those before this call fail one after another.
    pub(crate) async fn call(&self, op: Op) -> Result<Answer> {
        let answer = async { self.send(op).await?.await.map_err(|_| closed())? };
        self.in_time(answer).await
    }

    /// Sends a heartbeat, on its own connection.
    pub(crate) async fn beat(
        &self,
        worker: WorkerInfo,
        leases: Vec<Lease>,
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.state.reach()?;
        let (reply, answer) = oneshot::channel();
        let answer = async {
            self.beats.send(Beat { worker, leases, lease_for, reply }).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        self.in_time(answer).await
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| Err(unavailable(SILENCE)))
    }

    /// Takes back claims that nobody heard of. Where the thread cannot take the call, their leases will expire.
    pub(crate) fn take_back(&self, leases: Vec<Lease>) {
        let (call, _) = Call::new(Op::TakeBack(leases));
        let _ = self.upkeep.try_send(call);
    }
}

/// Measures how often something may be done.
pub(crate) struct Throttle {
    every: Duration,
    last: Option<Stopwatch>,
}

impl Throttle {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Sleeps until it may be done again, and counts from then.
    pub(crate) async fn wait(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.every.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Stopwatch::start());
    }
}
