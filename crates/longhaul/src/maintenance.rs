use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::panics::contain_future;
use crate::runtime::Runtime;
use crate::store::{Error, Store};

/// Sweeps a store until it is dropped: promotes what is due, rescues what was abandoned, prunes. Every worker brings one; a
/// process that runs none starts one, so that delayed jobs and old history do not depend on a worker being there.
///
/// Those of one store in one process take turns: one sweeps, and the next one takes over when it is dropped. A sweep that
/// found something is followed by the next at once; else the pause grows from 1 s to 4 s, so that an idle store costs
/// little however many processes share it.
#[derive(Debug)]
pub struct Maintenance {
    _stop: DropGuard,
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
        let turn = turn_of(&store);
        runtime.clone().spawn({
            let stop = stop.clone();
            let sweeping = async move {
                let _turn = turn.lock().await;
                sweep(store.as_ref(), &runtime).await;
            };
            async move { stop.run_until_cancelled(sweeping).await.unwrap_or_default() }
        });
        Self { _stop: stop.drop_guard() }
    }
}

/// The turn to sweep a store, which all of a process share that sweep it. It saves double work; what several sweep at once
/// is right all the same.
fn turn_of(store: &Arc<dyn Store>) -> Arc<tokio::sync::Mutex<()>> {
    /// By the address of the store, which whoever has the turn, or waits for it, keeps from being used again.
    static TURNS: Mutex<BTreeMap<usize, Weak<tokio::sync::Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let address = Arc::as_ptr(store).cast::<()>().addr();
    let mut turns = TURNS.lock();
    turns.retain(|_, turn| turn.strong_count() > 0);
    if let Some(turn) = turns.get(&address).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Arc::default();
    turns.insert(address, Arc::downgrade(&turn));
    turn
}

async fn sweep(store: &dyn Store, runtime: &Runtime) {
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
                if swept.rescued + swept.poisoned + swept.fenced > 0 {
                    tracing::warn!(?swept, "took jobs from workers that were not heard of in time");
                }
                idle = if swept.is_empty() { idle + 1 } else { 0 };
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
