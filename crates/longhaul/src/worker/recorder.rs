use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::mpsc;

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
    while jobs.recv_many(&mut batch, 1_024).await > 0 {
        tokio::time::sleep(GATHER_FOR).await;
        while let Ok(job) = jobs.try_recv() {
            batch.push(job);
        }
        let sends = batch.drain(..).map(|job| {
            let store = Arc::clone(&store);
            async move {
                if let Err(error) = job.send(store.as_ref(), None).await {
                    tracing::warn!(job = %job.id(), "failed to record what a job reported: {error}");
                }
            }
        });
        join_all(sends).await;
    }
}
