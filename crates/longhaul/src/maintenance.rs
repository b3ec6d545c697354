use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::panics::contain_future;
use crate::runtime::Runtime;
use crate::stats::Recorder;
use crate::store::{Error, Store};

/// Sweeps a store until it is dropped: promotes what is due, rescues what was abandoned, prunes. Every worker brings one; a
/// process that runs none starts one, so that delayed jobs and old history do not depend on a worker being there.
///
/// Those of one store in one process take turns: one sweeps, and the next one takes over when it is dropped. A sweep that
/// found something is followed by the next at once. Else the pause is 1 s while workers of the process run jobs, so that
/// what others abandon is rescued soon, and grows to 4 s while they run none, so that an idle store costs little however many
/// processes share it.
#[derive(Debug)]
pub struct Maintenance {
    _stop: DropGuard,
    activity: Activity,
}

/// Notes that workers of this process run jobs of a store, for the task that sweeps it.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Shared>);

impl Activity {
    pub(crate) fn note(&self) {
        self.0.is_active.store(true, Ordering::Relaxed);
    }
}

/// The part that those who sweep one store in one process share.
#[derive(Debug, Default)]
struct Shared {
    /// The turn to sweep. It saves double work; what several sweep at once is right all the same.
    turn: tokio::sync::Mutex<()>,
    /// True where jobs ran since the last sweep.
    is_active: AtomicBool,
}

/// Jobs of each sort that one sweep takes on.
const SWEEP_LIMIT: usize = 1_000;
/// The pause after a sweep that found nothing. The jitter keeps many processes from sweeping in step.
const IDLE: Backoff =
    Backoff { base: Duration::from_secs(1), factor: 1.5, max: Duration::from_secs(4), jitter: 0.2 };
/// The pause after a sweep that failed. Jobs that a store's absence has cut short wait for the first sweep after it, so none
/// is far off.
const FAILED: Backoff =
    Backoff { base: Duration::from_secs(2), factor: 2.0, max: Duration::from_secs(5), jitter: 0.2 };
/// The pause after a sweep that found something: there may be more, and others want the store in between.
const BUSY: Duration = Duration::from_millis(20);

/// The wait before the first sweep of a store that has come back. Workers that could not keep their jobs' leases alive hand
/// them back meanwhile, which they try every 5 s; a sweep would count a crash of each.
const RETURN: Duration = Duration::from_secs(5);

impl Maintenance {
    /// Starts to sweep.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>) -> Self {
        Self::start_on(store, Runtime::tokio())
    }

    /// Starts to sweep, with time and tasks of `runtime`.
    ///
    /// # Panics
    /// If `runtime` cannot start a task.
    #[must_use]
    pub fn start_on(store: Arc<dyn Store>, runtime: Runtime) -> Self {
        let stop = CancellationToken::new();
        let shared = shared_by(&store);
        let activity = Activity(Arc::clone(&shared));
        runtime.clone().spawn({
            let stop = stop.clone();
            let sweeping = async move {
                let _turn = shared.turn.lock().await;
                sweep(&store, &runtime, &shared).await;
            };
            async move { stop.run_until_cancelled(sweeping).await.unwrap_or_default() }
        });
        Self { _stop: stop.drop_guard(), activity }
    }

    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }
}

fn shared_by(store: &Arc<dyn Store>) -> Arc<Shared> {
    /// By the address of the store. Each entry's owner holds the store, so that the address is not used by another one.
    static ALL: Mutex<BTreeMap<usize, Weak<Shared>>> = Mutex::new(BTreeMap::new());
    let address = Arc::as_ptr(store).cast::<()>().addr();
    let mut all = ALL.lock();
    all.retain(|_, shared| shared.strong_count() > 0);
    if let Some(shared) = all.get(&address).and_then(Weak::upgrade) {
        return shared;
    }
    let shared = Arc::default();
    all.insert(address, Arc::downgrade(&shared));
    shared
}

async fn sweep(store: &Arc<dyn Store>, runtime: &Runtime, shared: &Shared) {
    let (mut failures, mut idle, mut is_away) = (0, 0, false);
    loop {
        if is_away && store.ready().await.is_ok() {
            runtime.clock.sleep(RETURN).await;
        }
        let swept = contain_future(store.sweep(SWEEP_LIMIT)).await;
        is_away = matches!(swept, Ok(Err(Error::Unavailable { .. })));
        let failure = match swept {
            Ok(Ok(swept)) => {
                failures = 0;
                if let Some(recorder) = Recorder::of(store).filter(|_| !swept.is_empty()) {
                    recorder.counters().swept(&swept);
                }
                if swept.rescued + swept.poisoned + swept.fenced > 0 {
                    tracing::warn!(?swept, "took jobs from workers that were not heard of in time");
                }
                idle = match (swept.is_empty(), shared.is_active.swap(false, Ordering::Relaxed)) {
                    (false, _) => 0,
                    (true, true) => 1,
                    (true, false) => idle + 1,
                };
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(format!("the store {panic}")),
        };
        let pause = match (failure, idle) {
            (Some(failure), _) => {
                failures += 1;
                tracing::warn!("failed to sweep: {failure}");
                runtime.delay(&FAILED, failures)
            }
            (None, 0) => BUSY,
            (None, idle) => runtime.delay(&IDLE, idle),
        };
        runtime.clock.sleep(pause).await;
    }
}
