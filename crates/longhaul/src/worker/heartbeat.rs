use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::running::{AbortReason, RunningJob};
use crate::clock::Stopwatch;
use crate::model::{Lease, LeaseStatus, WorkerInfo};
use crate::store::Store;

/// The jobs whose leases a worker must keep alive, by the number of their run.
pub(crate) type Active = Arc<Mutex<HashMap<u64, Arc<RunningJob>>>>;

/// A worker that runs nothing says so this often.
const IDLE_INTERVAL: Duration = Duration::from_secs(15);

/// Keeps a worker's leases alive from a thread of its own, so that a handler that blocks the runtime cannot
/// starve it, and stops jobs whose leases it could not extend before another worker may claim them.
pub(crate) struct Heartbeat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) worker: WorkerInfo,
    pub(crate) active: Active,
    pub(crate) lease_for: Duration,
    pub(crate) stop: CancellationToken,
}

impl Heartbeat {
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("longhaul-heartbeat".into())
            .spawn(move || runtime.block_on(self.run()))
    }

    async fn run(self) {
        let interval = interval(self.lease_for);
        let mut idle_since: Option<Stopwatch> = None;
        loop {
            let jobs: Vec<Arc<RunningJob>> = self.active.lock().values().cloned().collect();
            if !jobs.is_empty() || idle_since.is_none_or(|idle| idle.elapsed() >= IDLE_INTERVAL) {
                self.beat(&jobs, interval).await;
                idle_since = Some(Stopwatch::start());
            }
            // A heartbeat takes at most one interval and the pause another: a lease with less than that left
            // might end before it is looked at again. The third interval is for threads that come late.
            for job in jobs.iter().filter(|job| job.lease_left() <= 3 * interval) {
                tracing::warn!(job = %job.id(), "stopped a job whose lease could not be extended");
                job.abort(AbortReason::LeaseLost);
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn beat(&self, jobs: &[Arc<RunningJob>], patience: Duration) {
        let leases: Vec<Lease> = jobs.iter().map(|job| job.claimed.lease.clone()).collect();
        let sending = Stopwatch::start();
        let beat = self.store.heartbeat(&self.worker, &leases, self.lease_for);
        let statuses = match tokio::time::timeout(patience, beat).await {
            Ok(Ok(statuses)) => statuses,
            Ok(Err(error)) => return tracing::warn!("failed to send a heartbeat: {error}"),
            Err(_) => return tracing::warn!("failed to send a heartbeat: no answer in {patience:?}"),
        };
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
    }
}

/// The pause between two heartbeats: a tenth of the lease.
pub(crate) fn interval(lease_for: Duration) -> Duration {
    (lease_for / 10).max(Duration::from_millis(10))
}
