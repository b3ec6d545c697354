use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::active::{Active, Shutdown};
use super::collect::{Collect, Collected};
use super::dispatch::{Dispatch, Pause};
use super::gather::Gather;
use super::heartbeat::Heartbeat;
use super::layer::{Layers, RunLayer, Stack};
use super::queue::WorkerQueue;
use super::recorder::record;
use super::registry::Registry;
use crate::clock::{Clock, Timestamp};
use crate::handle::Longhaul;
use crate::job::{Job, JobResult};
use crate::maintenance::Maintenance;
use crate::model::{QueueSlots, WorkerInfo, process_id};
use crate::panics::contain_future;
use crate::runtime::Runtime;
use crate::schedule::Scheduler;
use crate::stats::{Recorder, WorkerFigures};
use crate::store::Result;

/// The longest time that a worker may go without a heartbeat before its jobs are given to others.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// A worker to be: what it runs, of which queues, how many at a time.
#[derive(Debug)]
pub struct WorkerBuilder {
    longhaul: Longhaul,
    registry: Registry,
    layers: Layers,
    queues: Vec<QueueSlots>,
    labels: BTreeMap<String, String>,
    lease_for: Duration,
    runtime: Runtime,
    runs_schedules: bool,
}

impl WorkerBuilder {
    pub(crate) fn new(longhaul: Longhaul) -> Self {
        Self {
            longhaul,
            registry: Registry::default(),
            layers: Layers::default(),
            queues: Vec::new(),
            labels: BTreeMap::new(),
            lease_for: DEFAULT_LEASE,
            runtime: Runtime::default(),
            runs_schedules: false,
        }
    }

    /// Runs jobs of this kind, each with a clone of `state`.
    #[must_use]
    pub fn register<J: Job>(mut self, state: J::State) -> Self {
        self.longhaul.declare::<J>();
        self.registry.register::<J>(state);
        self
    }

    /// Hands the jobs of this kind to `handler` many at a time: up to [`max`](Collect::max) that have the value at
    /// [`by`](Collect::by) in common, or as many as there are when the first has [waited](Collect::wait). Each job
    /// [ends by itself](Collected::end). A job that was given no end ends as the call does: by the error that it returned, by its
    /// panic, and as a failed attempt where it returned without one.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use longhaul::{Collect, Collected, Context, Job, JobResult, Longhaul, MemoryStore};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Row { tenant: u32, text: String }
    /// # impl Job for Row {
    /// #     const KIND: &'static str = "row";
    /// #     type State = Database;
    /// #     type Output = ();
    /// #     async fn run(self, cx: Context<Database>) -> JobResult<()> { cx.state().insert(&[&self]).await }
    /// # }
    /// # #[derive(Clone)]
    /// # struct Database;
    /// # impl Database { async fn insert(&self, _rows: &[&Row]) -> JobResult<()> { Ok(()) } }
    /// # fn main() -> longhaul::Result<()> {
    /// # let (longhaul, database) = (Longhaul::new(MemoryStore::new()), Database);
    /// let collect = Collect { max: 500, wait: Duration::from_secs(1), by: Some("tenant") };
    /// let worker = longhaul.worker().queue("default", 4).collect(
    ///     database,
    ///     collect,
    ///     async |database: Database, rows: Vec<Collected<Row>>| {
    ///         // Where this fails, each of the rows is tried again.
    ///         database.insert(&rows.iter().map(|row| &row.args).collect::<Vec<_>>()).await?;
    ///         rows.into_iter().for_each(|row| row.end(Ok(())));
    ///         Ok(())
    ///     },
    /// )?;
    /// # drop(worker);
    /// # Ok(()) }
    /// ```
    ///
    /// A call takes one slot of its queue. Each job keeps its lease while it waits for others and while the call runs, goes through
    /// the [layers](crate::layer) by itself, and keeps its own timeout (which begins with the call), deadline, cancel and steps:
    /// where one is cut off, the call goes on for the others. Jobs that do not fit in a call wait for the next; what waits longer
    /// for a slot than it did for others is given back, and so is what only waits when the worker shuts down, at no cost of an
    /// attempt.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where `collect` breaks a bound.
    pub fn collect<J, F, R>(mut self, state: J::State, collect: Collect, handler: F) -> Result<Self>
    where
        J: Job,
        F: Fn(J::State, Vec<Collected<J>>) -> R + Send + Sync + 'static,
        R: Future<Output = JobResult<()>> + Send + 'static,
    {
        self.longhaul.declare::<J>();
        self.registry.collect::<J, F, R>(state, collect, handler)?;
        Ok(self)
    }

    /// Runs every kind of `registry` instead of those registered so far.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Puts a [layer](crate::layer) around every run of the worker, whatever its kind. The first that is added is the
    /// outermost.
    #[must_use]
    pub fn layer(mut self, layer: impl RunLayer) -> Self {
        self.layers.add(layer);
        self
    }

    /// Takes at most `slots` jobs of `queue` at a time. Of a queue named twice, the last slots count.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>, slots: usize) -> Self {
        let queue = queue.into();
        self.queues.retain(|known| known.queue != queue);
        self.queues.push(QueueSlots { queue, slots });
        self
    }

    /// Labels the worker: jobs that [prefer](crate::Prefer) this label and value come to it first, or to its like alone. Both are
    /// names of 1–128 of `A–Z a–z 0–9 . _ : -`; others, and those beyond [`MAX_WORKER_LABELS`](crate::MAX_WORKER_LABELS), are of no
    /// effect.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(label.into(), value.into());
        self
    }

    /// Lets the worker go this long without a heartbeat: 30 s unless set, at least 100 ms. Shorter means that
    /// a dead worker's jobs are rescued sooner, and that a busy machine is taken for a dead one more easily.
    #[must_use]
    pub fn lease(mut self, lease_for: Duration) -> Self {
        self.lease_for = lease_for.max(Duration::from_millis(100));
        self
    }

    /// Takes time, tasks, threads and chance from `runtime` in place of tokio and the machine.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Fires the [schedules](Longhaul::schedules) of the store, too, as every server of it does.
    #[must_use]
    pub fn run_schedules(mut self) -> Self {
        self.runs_schedules = true;
        self
    }

    /// Starts to claim and run jobs, and the store's [`Maintenance`] with it.
    ///
    /// # Panics
    /// Outside of a tokio runtime (unless it was given [another](Self::runtime)), where no thread can be started, or where a
    /// layer panics when it is put around the others.
    #[must_use]
    pub fn start(self) -> Worker {
        let Self { longhaul, registry, layers, queues, labels, lease_for, runtime, runs_schedules } = self;
        let scheduler = runs_schedules.then(|| Scheduler::start_on(longhaul.clone(), runtime.clone()));
        let worker = WorkerInfo {
            // Short, because every job that it claims keeps it.
            id: format!("{:016x}", (runtime.random)()),
            process: process_id().to_owned(),
            host: host_name(),
            queues,
            seen_at: Timestamp::default(),
            kinds: registry.supported(),
            version: concat!("longhaul ", env!("CARGO_PKG_VERSION")).to_owned(),
            started_at: Some(runtime.clock.now()),
            labels,
        };
        let active = Active::default();
        let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());
        let maintenance = Maintenance::start_on(Arc::clone(longhaul.store()), runtime.clone());
        let stats = Recorder::start_on(Arc::clone(longhaul.store()), runtime.clone());
        let heartbeat = Heartbeat {
            activity: maintenance.activity(),
            store: Arc::clone(longhaul.store()),
            clock: runtime.clock.clone(),
            worker: worker.clone(),
            active: active.clone(),
            lease_for,
            stop: stopped.clone(),
        };
        runtime
            .spawn
            .spawn_thread("longhaul-heartbeat", Box::pin(heartbeat.run()))
            .expect("failed to start the heartbeat's thread");
        let (recorder, reports) = mpsc::unbounded_channel();
        runtime.spawn(record(Arc::clone(longhaul.store()), runtime.clone(), reports));
        let (ended, ends) = mpsc::unbounded_channel();
        let slots =
            |queue: &QueueSlots| WorkerQueue::new(queue.queue.clone(), queue.slots, runtime.clock.clone());
        let held = active.clone();
        let figures = Arc::new(WorkerFigures::new(&worker.queues, move || held.len()));
        stats.counters().add_worker(&figures);
        let dispatch = Dispatch {
            figures,
            queues: worker.queues.iter().map(slots).collect(),
            unsent: Vec::new(),
            sends: Pause::default(),
            claims: Pause::default(),
            kinds: registry.single(),
            gathers: registry
                .collecting()
                .into_iter()
                .map(|(kind, collect)| Gather::new(kind, collect, runtime.clock.clone()))
                .collect(),
            stack: Arc::new(Stack::new(registry, &layers, longhaul.clone())),
            recorder,
            stats: stats.clone(),
            active: active.clone(),
            activity: maintenance.activity(),
            stopping: stopping.clone(),
            longhaul,
            worker,
            lease_for,
            runtime: runtime.clone(),
            next_run: 0,
            ended,
        };
        let ending = Ending {
            active: active.clone(),
            stopped: stopped.clone(),
            _maintenance: maintenance,
            _scheduler: scheduler,
        };
        let (clock, task_clock) = (runtime.clock.clone(), runtime.clock.clone());
        runtime.spawn(async move {
            let _ending = ending;
            if let Err(panic) = contain_future(dispatch.run(ends)).await {
                tracing::error!("the worker {panic}; it has stopped, and its jobs will be run by others");
            }
            // The counts are best effort: the end of the worker waits for them for a bounded time.
            let _ = task_clock.timeout(FLUSH, stats.flush()).await;
        });
        Worker { stopping, stopped, active, clock }
    }
}

/// The limit on the time in which a worker that has ended writes its counts.
const FLUSH: Duration = Duration::from_secs(2);

/// Aborts the jobs and the heartbeat when the dispatcher's task ends or is dropped with its runtime. A heartbeat that
/// went on would keep the leases for ever, and jobs that went on without it would run twice.
struct Ending {
    active: Active,
    stopped: CancellationToken,
    _maintenance: Maintenance,
    _scheduler: Option<Scheduler>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.active.abort_all();
        self.stopped.cancel();
    }
}

/// A running worker. Dropping it stops it without grace: its running jobs are released.
#[derive(Debug)]
pub struct Worker {
    stopping: CancellationToken,
    /// Fired when it has stopped.
    stopped: CancellationToken,
    active: Active,
    clock: Clock,
}

impl Worker {
    /// Stops claiming, lets running jobs finish for at most `grace`, and releases the rest. A store that does not
    /// answer delays this by a few seconds at most.
    pub async fn shutdown(self, grace: Duration) -> Shutdown {
        self.stopping.cancel();
        if self.clock.timeout(grace, self.stopped.cancelled()).await.is_ok() {
            return Shutdown { handed_back: 0 };
        }
        let shutdown = self.active.abort_all();
        self.stopped.cancelled().await;
        shutdown
    }

    /// The number of jobs that it is running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.active.len()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.active.abort_all();
    }
}

/// The machine's name as Linux reports it, for the list of workers.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".into() } else { name.trim().to_owned() }
}
