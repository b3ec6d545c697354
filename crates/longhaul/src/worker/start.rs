use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::dispatch::{Dispatch, Unsent, abort_all};
use super::heartbeat::{Active, Heartbeat};
use super::lane::Lane;
use super::recorder::Recorder;
use super::registry::Registry;
use crate::clock::Timestamp;
use crate::handle::Longhaul;
use crate::job::Job;
use crate::maintenance::Maintenance;
use crate::model::{QueueSlots, WorkerInfo, process_id};

/// How long a worker may go without a heartbeat before its jobs are given to others.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(30);

/// A worker to be: what it runs, of which queues, how many at a time.
#[derive(Debug)]
pub struct WorkerBuilder {
    longhaul: Longhaul,
    registry: Registry,
    queues: Vec<QueueSlots>,
    lease_for: Duration,
}

impl WorkerBuilder {
    pub(crate) fn new(longhaul: Longhaul) -> Self {
        Self { longhaul, registry: Registry::default(), queues: Vec::new(), lease_for: DEFAULT_LEASE }
    }

    /// Runs jobs of this kind, each with a clone of `state`.
    #[must_use]
    pub fn register<J: Job>(mut self, state: J::State) -> Self {
        self.longhaul.declare::<J>();
        self.registry.register::<J>(state);
        self
    }

    /// Runs every kind of `registry` instead of those registered so far.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
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

    /// Lets the worker go this long without a heartbeat: 30 s unless set, at least 100 ms. Shorter means that
    /// a dead worker's jobs are rescued sooner, and that a busy machine is taken for a dead one more easily.
    #[must_use]
    pub fn lease(mut self, lease_for: Duration) -> Self {
        self.lease_for = lease_for.max(Duration::from_millis(100));
        self
    }

    /// Starts to claim and run jobs, and the upkeep with it.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or where no thread can be started.
    #[must_use]
    pub fn start(self) -> Worker {
        let worker = WorkerInfo {
            // Short, because every job that it claims keeps it.
            id: format!("{:016x}", rand::random::<u64>()),
            process: process_id().to_owned(),
            host: host_name(),
            queues: self.queues,
            seen_at: Timestamp::default(),
        };
        let active = Active::default();
        let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());
        let heartbeat = Heartbeat {
            store: Arc::clone(self.longhaul.store()),
            worker: worker.clone(),
            active: Arc::clone(&active),
            lease_for: self.lease_for,
            stop: stopped.clone(),
        };
        heartbeat.start().expect("failed to start the heartbeat's thread");
        let (ended, ends) = mpsc::unbounded_channel();
        let dispatch = Dispatch {
            lanes: worker.queues.iter().map(|queue| Lane::new(queue.queue.clone(), queue.slots)).collect(),
            unsent: Unsent::default(),
            kinds: self.registry.supported(),
            registry: Arc::new(self.registry),
            recorder: Recorder::start(Arc::clone(self.longhaul.store())),
            active: Arc::clone(&active),
            stopping: stopping.clone(),
            _maintenance: Maintenance::start(Arc::clone(self.longhaul.store())),
            longhaul: self.longhaul,
            worker,
            lease_for: self.lease_for,
            next_run: 0,
            ended,
        };
        let task = tokio::spawn(async move {
            // A guard, because the runtime may be dropped with this task and all jobs in it: a heartbeat that
            // went on would keep their leases alive for ever.
            let _heartbeat = stopped.drop_guard();
            dispatch.run(ends).await;
        });
        Worker { stopping, active, task: Some(task) }
    }
}

/// A running worker. Dropping it stops it without grace: what runs is handed back.
#[derive(Debug)]
pub struct Worker {
    stopping: CancellationToken,
    active: Active,
    task: Option<JoinHandle<()>>,
}

/// What a shutdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Jobs that did not finish within the grace and were given back to the store, at no cost of an attempt.
    pub handed_back: usize,
}

impl Worker {
    /// Stops claiming, lets running jobs finish for at most `grace`, and hands back the rest.
    pub async fn shutdown(mut self, grace: Duration) -> Shutdown {
        self.stopping.cancel();
        let Some(mut task) = self.task.take() else { return Shutdown { handed_back: 0 } };
        if tokio::time::timeout(grace, &mut task).await.is_ok() {
            return Shutdown { handed_back: 0 };
        }
        let shutdown = abort_all(&self.active);
        if let Err(error) = task.await {
            tracing::error!("failed to shut the worker down in order: {error}");
        }
        shutdown
    }

    /// How many jobs it is running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.active.lock().len()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stopping.cancel();
        abort_all(&self.active);
    }
}

/// The machine's name as Linux tells it, for people who look at the list of workers.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".into() } else { name.trim().to_owned() }
}
