use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::active::Active;
use super::running::{AbortReason, RunningJob, SHORTEST_PAUSE, heartbeat_interval};
use crate::clock::Clock;
use crate::maintenance::Activity;
use crate::model::{LeaseStatus, WorkerInfo};
use crate::panics::contain_future;
use crate::store::{Result, Store};

/// A worker says this often that it lives, even where it runs nothing: twice within the time for which a silent one is listed. All
/// workers of a process say so at once, so that the store writes it in one transaction.
const IDLE_INTERVAL: Duration = Duration::from_secs(25);

/// Keeps a worker's leases alive from a thread of its own, so that a handler that blocks the runtime cannot
/// starve it, and stops jobs whose leases it could not extend before another worker may claim them.
pub(crate) struct Heartbeat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) worker: WorkerInfo,
    pub(crate) active: Active,
    pub(crate) activity: Activity,
    pub(crate) lease_for: Duration,
    pub(crate) stop: CancellationToken,
}

impl Heartbeat {
    pub(crate) async fn run(self) {
        let interval = heartbeat_interval(self.lease_for);
        // The monotonic time at which a heartbeat without leases is due.
        let mut idle_due = Duration::ZERO;
        loop {
            let begun = self.clock.monotonic();
            let jobs = self.active.jobs();
            if !jobs.is_empty() {
                self.activity.note();
            }
            if !jobs.is_empty() || begun >= idle_due {
                // Awaited no longer than the interval, so that a call that hangs leaves time for others within the lease;
                // contained, because a thread that ended here would end every lease with it.
                let beat = contain_future(self.clock.timeout(interval, self.beat(&jobs))).await;
                idle_due = begun + interval.min(IDLE_INTERVAL);
                match beat {
                    Ok(Ok(Ok(()))) => {
                        idle_due = self.clock.monotonic() + self.clock.until_multiple_of(IDLE_INTERVAL);
                    }
                    Ok(Ok(Err(error))) => tracing::warn!("failed to send a heartbeat: {error}"),
                    Ok(Err(_)) => tracing::warn!("failed to send a heartbeat: no answer in {interval:?}"),
                    Err(panic) => tracing::error!("failed to send a heartbeat: the store {panic}"),
                }
            }
            for job in jobs.iter().filter(|job| job.is_lease_unsure() && !job.is_aborted()) {
                tracing::warn!(job = %job.id(), "stopped a job whose lease could not be extended");
                job.abort(AbortReason::LeaseUnsure);
            }
            let pause = async {
                if jobs.is_empty() {
                    // Nothing runs whose lease could end, so there is nothing to look at before a job is taken.
                    let idle = idle_due.saturating_sub(self.clock.monotonic()).max(SHORTEST_PAUSE);
                    if self.clock.timeout(idle, self.active.taken()).await.is_err() {
                        return;
                    }
                    self.clock.sleep(interval.min(IDLE_INTERVAL)).await;
                } else {
                    // From begin to begin: after a call that hung, the next one follows at once.
                    let left = interval.min(IDLE_INTERVAL).saturating_sub(self.clock.since(begun));
                    self.clock.sleep(left.max(SHORTEST_PAUSE)).await;
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.active.beat_due() => {}
                () = pause => {}
            }
        }
    }

    /// Sends one heartbeat for all of `jobs`. An error that is no outage concerns some of them: the jobs are halved
    /// until the heartbeats of the others are accepted.
    fn beat<'a>(&'a self, jobs: &'a [Arc<RunningJob>]) -> BoxFuture<'a, Result<()>> {
        async move {
            match self.beat_once(jobs).await {
                Err(error) if !error.is_outage() && jobs.len() > 1 => {
                    let (left, right) = jobs.split_at(jobs.len() / 2);
                    let (left, right) = futures::join!(self.beat(left), self.beat(right));
                    left.and(right)
                }
                beat => beat,
            }
        }
        .boxed()
    }

    async fn beat_once(&self, jobs: &[Arc<RunningJob>]) -> Result<()> {
        let leases: Vec<_> = jobs.iter().map(|job| job.lease()).collect();
        let sending = self.clock.monotonic();
        let statuses = self.store.heartbeat(&self.worker, &leases, self.lease_for).await?;
        for (job, status) in jobs.iter().zip(statuses) {
            match status {
                LeaseStatus::Held => job.extend_lease(sending, self.lease_for),
                LeaseStatus::CancelRequested => {
                    job.extend_lease(sending, self.lease_for);
                    job.cancelled.cancel();
                }
                // A job that has just finished looks the same; aborting it then does nothing.
                LeaseStatus::Lost => job.abort(AbortReason::LeaseLost),
            }
        }
        Ok(())
    }
}
