use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::running::{AbortReason, RunningJob};

/// The jobs whose leases a worker must keep alive, by the number of their run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Active {
    jobs: Arc<Mutex<BTreeMap<u64, Arc<RunningJob>>>>,
    /// Fired when all running jobs were aborted.
    aborted: CancellationToken,
    /// Wakes the heartbeat before its time.
    due: Arc<Notify>,
    /// Wakes the heartbeat of a worker that ran nothing.
    taken: Arc<Notify>,
}

/// The result of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Jobs that did not finish within the grace and were given back to the store, at no cost of an attempt.
    pub handed_back: usize,
}

impl Active {
    pub(crate) fn insert(&self, run: u64, job: Arc<RunningJob>) {
        let mut jobs = self.jobs.lock();
        if jobs.is_empty() {
            self.taken.notify_one();
        }
        jobs.insert(run, job);
    }

    /// Completes when a job was taken while none ran.
    pub(crate) async fn taken(&self) {
        self.taken.notified().await;
    }

    pub(crate) fn remove(&self, runs: &[u64]) {
        let mut jobs = self.jobs.lock();
        for run in runs {
            jobs.remove(run);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.lock().len()
    }

    pub(crate) fn jobs(&self) -> Vec<Arc<RunningJob>> {
        self.jobs.lock().values().cloned().collect()
    }

    /// Removes and returns all.
    pub(crate) fn take(&self) -> BTreeMap<u64, Arc<RunningJob>> {
        std::mem::take(&mut *self.jobs.lock())
    }

    /// Ends everything that runs, now.
    pub(crate) fn abort_all(&self) -> Shutdown {
        let jobs = self.jobs();
        for job in &jobs {
            job.abort(AbortReason::Shutdown);
        }
        self.aborted.cancel();
        Shutdown { handed_back: jobs.len() }
    }

    /// Completes when all running jobs were aborted.
    pub(crate) async fn aborted(&self) {
        self.aborted.cancelled().await;
    }

    /// Has a heartbeat sent at once, for jobs whose leases may be short.
    pub(crate) fn beat_now(&self) {
        self.due.notify_one();
    }

    /// Completes when a heartbeat is to be sent at once.
    pub(crate) async fn beat_due(&self) {
        self.due.notified().await;
    }
}
