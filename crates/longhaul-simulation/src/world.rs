//! Time, processes and tasks of a run, on one thread.
//!
//! Tasks belong to processes, which have a clock each, and can be stopped and killed. Which of the tasks that are ready goes
//! next is drawn from the seed. Time passes where all of them wait, by whole milliseconds, and on all clocks alike.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use longhaul::{Clock, Runtime, Spawn};
use parking_lot::Mutex;

use crate::random::Random;
use crate::trace::{Interest, Lines, Trace};

/// The number of a process within a run; one that starts in the place of another has a number of its own.
pub(crate) type ProcessId = usize;

/// The process of tasks that belong to none of the run: messages on their way, and the clock of the run itself.
pub(crate) const NETWORK: ProcessId = 0;

pub(crate) struct World {
    /// The clock of the store.
    pub(crate) store_clock: Clock,
    pub(crate) trace: Trace,
    processes: Mutex<Vec<Process>>,
    tasks: Mutex<BTreeMap<u64, Task>>,
    next_task: Mutex<u64>,
    ready: Arc<Mutex<Vec<u64>>>,
    schedule: Random,
    /// The panic of a task, which none may end with.
    panic: Mutex<Option<String>>,
}

struct Process {
    name: String,
    clock: Clock,
    state: ProcessState,
    /// Tasks that were woken while the process was stopped.
    held: Vec<u64>,
    /// The times that it was stopped.
    stops: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessState {
    Running,
    Stopped,
    Dead,
}

struct Task {
    process: ProcessId,
    /// `None` while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    wakes: Arc<Wakes>,
}

struct Wakes {
    task: u64,
    is_queued: AtomicBool,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push(self.task);
        }
    }
}

/// More polls than this at one moment are taken for tasks that wake each other without end.
const MOST_POLLS: u32 = 100_000;
/// The longest step if no task sleeps.
const IDLE_STEP: Duration = Duration::from_secs(1);

impl World {
    pub(crate) fn new(seed: u64, lines: Lines) -> Arc<Self> {
        let world = Self {
            store_clock: Clock::manual(),
            trace: Trace::new(lines),
            processes: Mutex::default(),
            tasks: Mutex::default(),
            next_task: Mutex::default(),
            ready: Arc::default(),
            schedule: Random::of(seed, 1),
            panic: Mutex::default(),
        };
        let world = Arc::new(world);
        world.start("net");
        world
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.clock(NETWORK).monotonic()
    }

    pub(crate) fn note(&self, who: &str, what: fmt::Arguments<'_>) {
        self.trace.note(self.now(), who, what, Interest::Shown);
    }

    /// Notes an event that is not shown, and yet must be equal in two runs of one seed.
    pub(crate) fn note_in_digest(&self, who: &str, what: fmt::Arguments<'_>) {
        self.trace.note(self.now(), who, what, Interest::DigestOnly);
    }

    /// Starts a process without tasks. Its name is its sort and its number.
    pub(crate) fn start(&self, sort: &str) -> ProcessId {
        let mut processes = self.processes.lock();
        let name = format!("{sort}{}", processes.len());
        let clock = Clock::manual();
        if let Some(network) = processes.first() {
            clock.advance(network.clock.monotonic());
        }
        processes.push(Process { name, clock, state: ProcessState::Running, held: Vec::new(), stops: 0 });
        processes.len() - 1
    }

    pub(crate) fn name(&self, process: ProcessId) -> String {
        self.processes.lock()[process].name.clone()
    }

    pub(crate) fn clock(&self, process: ProcessId) -> Clock {
        self.processes.lock()[process].clock.clone()
    }

    pub(crate) fn state(&self, process: ProcessId) -> ProcessState {
        self.processes.lock()[process].state
    }

    pub(crate) fn stops(&self, process: ProcessId) -> u32 {
        self.processes.lock()[process].stops
    }

    /// Time, tasks, threads and chance of a process.
    pub(crate) fn runtime(self: &Arc<Self>, process: ProcessId, seed: u64) -> Runtime {
        let random = Random::of(seed, 1_000 + process as u64);
        Runtime {
            clock: self.clock(process),
            spawn: Arc::new(Seat { world: Arc::clone(self), process }),
            random: Arc::new(move || random.next()),
        }
    }

    pub(crate) fn spawn(&self, process: ProcessId, future: impl Future<Output = ()> + Send + 'static) {
        self.spawn_boxed(process, Box::pin(future));
    }

    fn spawn_boxed(&self, process: ProcessId, future: BoxFuture<'static, ()>) {
        if self.state(process) == ProcessState::Dead {
            return;
        }
        let task = {
            let mut next = self.next_task.lock();
            *next += 1;
            *next
        };
        let wakes =
            Arc::new(Wakes { task, is_queued: AtomicBool::new(true), ready: Arc::clone(&self.ready) });
        self.tasks.lock().insert(task, Task { process, future: Some(future), wakes });
        self.ready.lock().push(task);
    }

    /// Lets a process stand still: none of its tasks goes on until it is continued, while its clock goes on.
    pub(crate) fn stop(&self, process: ProcessId) {
        let mut processes = self.processes.lock();
        let process = &mut processes[process];
        if process.state == ProcessState::Running {
            process.state = ProcessState::Stopped;
            process.stops += 1;
        }
    }

    pub(crate) fn go_on(&self, process: ProcessId) {
        let mut processes = self.processes.lock();
        let process = &mut processes[process];
        if process.state == ProcessState::Stopped {
            process.state = ProcessState::Running;
            self.ready.lock().append(&mut process.held);
        }
    }

    /// Ends a process with all its tasks, wherever they are.
    pub(crate) fn kill(&self, process: ProcessId) {
        {
            let mut processes = self.processes.lock();
            processes[process].state = ProcessState::Dead;
            processes[process].held.clear();
        }
        let dropped: Vec<BoxFuture<'static, ()>> = {
            let mut tasks = self.tasks.lock();
            let ids: Vec<u64> =
                tasks.iter().filter(|(_, task)| task.process == process).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| tasks.remove(&id)?.future).collect()
        };
        // Outside of the lock: what is dropped may wake or spawn others.
        drop(dropped);
    }

    /// Ends all processes, so that nothing keeps the world alive.
    pub(crate) fn kill_all(&self) {
        let processes = self.processes.lock().len();
        (0..processes).for_each(|process| self.kill(process));
    }

    /// Lets every task of a process that is not stopped go on until all of them wait.
    ///
    /// # Errors
    /// The tasks wake each other without end, or one of them panicked.
    pub(crate) fn run_until_stalled(&self) -> Result<(), String> {
        for _ in 0..MOST_POLLS {
            let Some(task) = self.next_ready() else {
                return self.panic.lock().take().map_or(Ok(()), Err);
            };
            self.poll(task);
        }
        Err(format!("tasks have woken each other {MOST_POLLS} times at one moment"))
    }

    fn next_ready(&self) -> Option<u64> {
        loop {
            let task = {
                let mut ready = self.ready.lock();
                match ready.len() {
                    0 => return None,
                    1 => ready.pop()?,
                    some => ready.swap_remove(self.schedule.below(some)),
                }
            };
            let Some(process) = self.tasks.lock().get(&task).map(|task| task.process) else { continue };
            let mut processes = self.processes.lock();
            match processes[process].state {
                ProcessState::Running => return Some(task),
                ProcessState::Stopped => processes[process].held.push(task),
                ProcessState::Dead => {}
            }
        }
    }

    fn poll(&self, id: u64) {
        let (mut future, wakes, process) = {
            let mut tasks = self.tasks.lock();
            let Some(task) = tasks.get_mut(&id) else { return };
            let Some(future) = task.future.take() else { return };
            (future, Arc::clone(&task.wakes), task.process)
        };
        wakes.is_queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(wakes);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let is_over = polled.is_ready() || self.state(process) == ProcessState::Dead;
        if is_over {
            self.tasks.lock().remove(&id);
            drop(future);
        } else if let Some(task) = self.tasks.lock().get_mut(&id) {
            task.future = Some(future);
        }
    }

    /// Advances the time until a task wakes, at most by `most`.
    pub(crate) fn pass(&self, most: Duration) {
        let clocks: Vec<Clock> = {
            let processes = self.processes.lock();
            let alive = processes.iter().filter(|process| process.state != ProcessState::Dead);
            alive.map(|process| process.clock.clone()).chain([self.store_clock.clone()]).collect()
        };
        let next = clocks.iter().filter_map(Clock::next_wake).min().unwrap_or(IDLE_STEP).min(most);
        // Whole milliseconds, which the wall clocks count in.
        let step = Duration::from_millis(next.as_nanos().div_ceil(1_000_000).max(1) as u64);
        for clock in clocks {
            clock.advance(step);
        }
    }
}

/// The place where a process' tasks run.
struct Seat {
    world: Arc<World>,
    process: ProcessId,
}

impl Spawn for Seat {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let world = Arc::clone(&self.world);
        let contained = AssertUnwindSafe(task).catch_unwind().map(move |end| {
            if let Err(panic) = end {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
                world.panic.lock().get_or_insert(words.unwrap_or_default());
            }
        });
        self.world.spawn_boxed(self.process, Box::pin(contained));
    }

    fn spawn_thread(&self, _name: &'static str, task: BoxFuture<'static, ()>) -> io::Result<()> {
        self.spawn(task);
        Ok(())
    }
}

/// Completes the future of a store in memory, which is ready at once.
pub(crate) fn at_once<T>(future: impl Future<Output = longhaul::Result<T>>) -> Result<T, String> {
    match future.now_or_never() {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the store in memory did not answer at once".into()),
    }
}
