use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::kept;
use super::schedules::Schedules;
use super::ticker;
use super::{KIND, QUEUE};
use crate::backoff::Backoff;
use crate::handle::Longhaul;
use crate::model::{Claim, QueueSlots, SupportedKind, WorkerInfo, process_id};
use crate::panics::contain_future;
use crate::runtime::Runtime;
use crate::store::Result;

/// Fires the schedules of a store until it is dropped. Any number of processes may do so at once: each tick is fired
/// once. A server runs one, and so does a worker with [`run_schedules`](crate::WorkerBuilder::run_schedules).
#[derive(Debug)]
pub struct Scheduler {
    _stop: DropGuard,
}

/// The time that a ticker may take, which reads one series and writes one finish.
const LEASE: Duration = Duration::from_secs(30);
/// The time between two looks for schedules whose change was cut short.
const LOOK_EVERY: Duration = Duration::from_secs(120);
/// The tickers that one claim takes.
const AT_ONCE: usize = 100;

impl Scheduler {
    /// Starts to fire.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(longhaul: Longhaul) -> Self {
        Self::start_on(longhaul, Runtime::tokio())
    }

    /// Starts to fire, with time and tasks of `runtime`.
    ///
    /// # Panics
    /// If `runtime` cannot start a task.
    #[must_use]
    pub fn start_on(longhaul: Longhaul, runtime: Runtime) -> Self {
        let stop = CancellationToken::new();
        let firing = Firing::new(longhaul, runtime.clone());
        runtime.spawn(firing.run(stop.clone()));
        Self { _stop: stop.drop_guard() }
    }
}

struct Firing {
    schedules: Schedules,
    runtime: Runtime,
    claim: Claim,
    /// The monotonic time of the next look at all schedules.
    next_look: Duration,
}

impl Firing {
    fn new(longhaul: Longhaul, runtime: Runtime) -> Self {
        let queues = vec![QueueSlots { queue: QUEUE.into(), slots: AT_ONCE }];
        let kinds = vec![SupportedKind { kind: KIND.into(), version: 1 }];
        // It sends no heartbeat, so that it is not listed among the workers that run the application's jobs.
        let id = format!("schedules-{:016x}", (runtime.random)());
        let worker = WorkerInfo { id, process: process_id().into(), ..WorkerInfo::default() };
        let claim = Claim { worker, queues, kinds, lease_for: LEASE, wait: LOOK_EVERY };
        let schedules = Schedules::new(longhaul).clock(runtime.clock.clone());
        Self { schedules, runtime, claim, next_look: Duration::ZERO }
    }

    async fn run(mut self, stop: CancellationToken) {
        let (clock, mut failures) = (self.runtime.clock.clone(), 0);
        while !stop.is_cancelled() {
            let failure = match contain_future(self.fire(&stop)).await {
                Ok(Ok(())) => {
                    failures = 0;
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("the scheduler {panic}"),
            };
            failures += 1;
            let delay = self.runtime.delay(&Backoff::STORE, failures);
            tracing::warn!("failed to fire schedules: {failure}; trying again in {delay:?}");
            stop.run_until_cancelled(clock.sleep(delay)).await;
        }
    }

    /// Waits for tickers that are due, and runs them. Claimed tickers are finished even when `stop` fires meanwhile.
    async fn fire(&mut self, stop: &CancellationToken) -> Result<()> {
        let clock = &self.runtime.clock;
        if clock.monotonic() >= self.next_look {
            self.schedules.settle_all().await?;
            self.next_look = clock.monotonic() + LOOK_EVERY;
        }
        let wait = self.next_look.saturating_sub(clock.monotonic());
        let store = Arc::clone(self.schedules.longhaul.store());
        let claim = store.claim(Claim { wait, ..self.claim.clone() });
        let Some(claimed) = stop.run_until_cancelled(claim).await.transpose()? else { return Ok(()) };
        if claimed.is_empty() {
            return Ok(());
        }
        // Read after the claim, so that a definition which was there before it is heeded.
        let all = kept::read(store.as_ref()).await?;
        let now = clock.now();
        let finishes =
            claimed.into_iter().map(|job| ticker::run(job, |name| all.get(name).cloned(), now)).collect();
        store.finish(finishes).await.map(drop)
    }
}
