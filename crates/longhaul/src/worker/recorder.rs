use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::mpsc;

use super::dispatch::STORE_BACKOFF;
use super::running::RunningJob;
use crate::store::Store;

/// Sends what running jobs have to say in batches, so that a job that reports every page costs the store no
/// more than a few writes a second.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(mpsc::UnboundedSender<Arc<RunningJob>>);

/// How long the first entry waits for company.
const GATHER_FOR: Duration = Duration::from_millis(50);

impl Recorder {
    pub(crate) fn start(store: Arc<dyn Store>) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        tokio::spawn(record(store, jobs));
        Self(sender)
    }

    /// Asks for a job's entries to be sent. Called once for each batch, by its first entry.
    pub(crate) fn wake(&self, job: &Arc<RunningJob>) {
        // The receiver is gone only while the runtime shuts down; the entries then go with the finish.
        let _ = self.0.send(Arc::clone(job));
    }
}

async fn record(store: Arc<dyn Store>, mut jobs: mpsc::UnboundedReceiver<Arc<RunningJob>>) {
    let mut batch = Vec::new();
    let mut failures = 0;
    // Jobs whose entries the store did not take stay in the batch: nobody would wake the recorder for them.
    while !batch.is_empty() || jobs.recv_many(&mut batch, 1_024).await > 0 {
        let pause = if failures == 0 { GATHER_FOR } else { STORE_BACKOFF.delay(failures) };
        tokio::time::sleep(pause).await;
        while let Ok(job) = jobs.try_recv() {
            batch.push(job);
        }
        let sends = batch.drain(..).map(|job| send(store.as_ref(), job));
        batch = join_all(sends).await.into_iter().flatten().collect();
        failures = if batch.is_empty() { 0 } else { failures + 1 };
    }
}

/// Sends what a job has to say, and returns the job where that must be tried again.
async fn send(store: &dyn Store, job: Arc<RunningJob>) -> Option<Arc<RunningJob>> {
    let error = job.send(store, None).await.err()?;
    tracing::warn!(job = %job.id(), "failed to record what a job reported: {error}");
    (!job.is_aborted()).then_some(job)
}
