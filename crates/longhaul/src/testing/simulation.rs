use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::panics::contain_future;
use crate::runtime::{Runtime, Spawn};

/// Runs workers and maintenance on one thread and a clock of its own: time passes where all of them wait, and by no more
/// than until the first of them wakes. A run with the same seed draws the same random numbers.
///
/// ```
/// use std::time::Duration;
/// use longhaul::testing::Simulation;
/// use longhaul::{Longhaul, MemoryStore};
///
/// let simulation = Simulation::new(7);
/// let longhaul = Longhaul::new(MemoryStore::with_clock(simulation.clock.clone()));
/// let worker = longhaul.worker().queue("default", 4).runtime(simulation.runtime()).start();
/// simulation.advance(Duration::from_secs(3600));
/// simulation.run(worker.shutdown(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    /// The clock of stores and other participants. A simulation advances it; others may, too.
    pub clock: Clock,
    tasks: Arc<Tasks>,
    random: Arc<AtomicU64>,
}

struct Tasks {
    /// Tasks that have not been looked at yet; a task may spawn others while it runs.
    spawned: Mutex<Vec<BoxFuture<'static, ()>>>,
    running: Mutex<FuturesUnordered<BoxFuture<'static, ()>>>,
}

/// The longest time that may pass before a future ends that is waited for.
const PATIENCE: Duration = Duration::from_secs(365 * 86_400);

impl Simulation {
    /// A simulation without tasks, whose clock stands at 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let tasks = Tasks { spawned: Mutex::default(), running: Mutex::default() };
        Self { clock: Clock::manual(), tasks: Arc::new(tasks), random: Arc::new(AtomicU64::new(seed)) }
    }

    /// The runtime to give to workers and maintenance.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        let random = Arc::clone(&self.random);
        Runtime {
            clock: self.clock.clone(),
            spawn: Arc::clone(&self.tasks) as Arc<dyn Spawn>,
            random: Arc::new(move || splitmix(&random)),
        }
    }

    /// Lets every task run until all of them wait, while no time passes.
    pub fn run_until_stalled(&self) {
        self.tasks.run_until_stalled();
    }

    /// Lets time pass, with whatever the tasks do in it.
    pub fn advance(&self, by: Duration) {
        let end = self.clock.monotonic() + by;
        loop {
            self.tasks.run_until_stalled();
            let left = end.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            self.clock.advance(self.step().min(left));
        }
    }

    /// Runs a future to its end, letting as much time pass as that takes.
    ///
    /// # Panics
    /// If a year has passed and it has not come to its end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let begun = self.clock.monotonic();
        loop {
            let signal = Arc::new(Signal::default());
            let answer = future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&signal))));
            if let Poll::Ready(answer) = answer {
                return answer;
            }
            self.tasks.run_until_stalled();
            if signal.0.load(Ordering::SeqCst) {
                continue;
            }
            assert!(self.clock.since(begun) < PATIENCE, "waited for a year, and it did not come");
            self.clock.advance(self.step());
        }
    }

    /// The time until the next task wakes. A sleep that is over and was not polled since must not stop the time.
    fn step(&self) -> Duration {
        self.clock.next_wake().unwrap_or(Duration::from_secs(3600)).max(Duration::from_millis(1))
    }
}

impl Tasks {
    fn run_until_stalled(&self) {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        loop {
            signal.0.store(false, Ordering::SeqCst);
            let mut running = self.running.lock();
            running.extend(std::mem::take(&mut *self.spawned.lock()));
            let ended = running.poll_next_unpin(&mut Context::from_waker(&waker));
            drop(running);
            let is_stalled = !matches!(ended, Poll::Ready(Some(()))) && !signal.0.load(Ordering::SeqCst);
            if is_stalled && self.spawned.lock().is_empty() {
                return;
            }
        }
    }
}

impl Spawn for Tasks {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.spawned.lock().push(Box::pin(async move {
            if let Err(panic) = contain_future(task).await {
                tracing::error!("a task {panic}");
            }
        }));
    }

    fn spawn_thread(&self, _name: &'static str, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawn(task);
        Ok(())
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

/// Notes that a task was woken.
#[derive(Default)]
struct Signal(AtomicBool);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The next number of the generator SplitMix64.
fn splitmix(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut number = state.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
