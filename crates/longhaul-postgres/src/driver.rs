use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Clock, Lease, Result, Signals};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::error::{SILENCE, closed, failed, unavailable};
use crate::ops::{Answer, Call, Op};
use crate::options::PostgresOptions;
use crate::server_clock::{Now, ServerClock};
use crate::writer::Writer;

/// Hands calls to the thread that writes. It has a thread of its own, so that jobs which block their runtime can keep
/// neither heartbeats nor anybody else's calls from the server.
#[derive(Debug)]
pub(crate) struct Driver {
    inbox: mpsc::Sender<Call>,
    pub(crate) wake: Arc<Wake>,
    /// How long a call may take, with its wait for those before it.
    patience: Duration,
}

/// What wakes the thread beside calls, and what it tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pub(crate) nudge: Notify,
    pub(crate) look_again: AtomicBool,
    /// Whether the server could not be reached when that was tried last. It is tried again and again by itself.
    pub(crate) is_away: AtomicBool,
    /// Whether other processes' changes are heard of as they happen.
    pub(crate) hears_news: AtomicBool,
    /// What is known of the server's clock.
    server_clock: Mutex<Option<ServerClock>>,
}

impl Wake {
    /// The clock has moved.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// There may be something for those who wait for jobs.
    pub(crate) fn look_again(&self) {
        self.look_again.store(true, Ordering::SeqCst);
        self.nudge.notify_one();
    }

    /// Fails at once while the server is away: everybody would wait as long as those before.
    pub(crate) fn reach(&self) -> Result<()> {
        if self.is_away.load(Ordering::SeqCst) { Err(unavailable("the server is away")) } else { Ok(()) }
    }

    /// The time of the store's clock. The server's is read with every transaction, and goes on from there, so that no
    /// statement has to wait for a reading of its own.
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

/// Calls that may wait for the thread; beyond it, callers wait to hand theirs over.
const CAPACITY: usize = 16_384;

impl Driver {
    /// Connects, on a new thread, and answers once that has succeeded.
    pub(crate) async fn start(
        options: Arc<PostgresOptions>,
        clock: Clock,
        signals: Arc<Signals>,
    ) -> Result<Self> {
        let (inbox, calls) = mpsc::channel(CAPACITY);
        let (opened, opening) = oneshot::channel();
        let wake = Arc::new(Wake::default());
        let patience = options.response_timeout;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed("open", error.to_string()))?;
        let thread_wake = Arc::clone(&wake);
        let run = async move {
            let writer = match Writer::open(options, clock, signals, thread_wake).await {
                Ok(writer) => writer,
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(())).is_ok() {
                writer.run(calls).await;
            }
        };
        std::thread::Builder::new()
            .name("longhaul-postgres".into())
            .spawn(move || runtime.block_on(run))
            .map_err(|error| failed("open", error.to_string()))?;
        opening.await.map_err(|_| closed())??;
        Ok(Self { inbox, wake, patience })
    }

    /// Hands a call over, and answers with where its answer will come.
    pub(crate) async fn send(&self, op: Op) -> Result<oneshot::Receiver<Result<Answer>>> {
        self.wake.reach()?;
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Call { op, reply }).await.map_err(|_| closed())?;
        Ok(answer)
    }

    /// Asks, and waits for the answer: not for longer than one transaction may take, because behind a server that says
    /// nothing those before this call fail one after another.
    pub(crate) async fn call(&self, op: Op) -> Result<Answer> {
        let answer = async { self.send(op).await?.await.map_err(|_| closed())? };
        tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| Err(unavailable(SILENCE)))
    }

    /// Gives back claims that nobody heard of. Where the thread cannot take the call, their leases will expire.
    pub(crate) fn give_back(&self, leases: Vec<Lease>) {
        let (reply, _) = oneshot::channel();
        let _ = self.inbox.try_send(Call { op: Op::Unclaim(leases), reply });
    }
}

/// Measures how often something may be done.
pub(crate) struct Pace {
    every: Duration,
    last: Option<Stopwatch>,
}

impl Pace {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Sleeps until it may be done again, and counts from then.
    pub(crate) async fn keep(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.every.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Stopwatch::start());
    }
}
