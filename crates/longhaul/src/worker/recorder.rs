use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::mpsc;

use super::running::RunningJob;
use crate::backoff::Backoff;
use crate::runtime::Runtime;
use crate::store::Store;

/// The time for which the first entry waits for others.
const GATHER_FOR: Duration = Duration::from_millis(50);

/// Sends what running jobs have to say in batches, so that a job that reports every page costs the store no more than a
/// few writes a second. Ends when no job has the sender any more.
pub(crate) async fn record(
    store: Arc<dyn Store>,
    runtime: Runtime,
    mut jobs: mpsc::UnboundedReceiver<Arc<RunningJob>>,
) {
    let mut batch = Vec::new();
    let mut failures = 0;
    while jobs.recv_many(&mut batch, 1_024).await > 0 {
        let pause = if failures == 0 { GATHER_FOR } else { runtime.delay(&Backoff::STORE, failures) };
        runtime.clock.sleep(pause).await;
        while let Ok(job) = jobs.try_recv() {
            batch.push(job);
        }
        let sends = batch.drain(..).map(|job| send(store.as_ref(), job));
        let has_failed = join_all(sends).await.contains(&Outcome::Failed);
        failures = if has_failed { failures + 1 } else { 0 };
    }
}

#[derive(PartialEq, Eq)]
enum Outcome {
    Sent,
    /// The job has put its entries back, and asked for them to be sent again.
    Failed,
}

async fn send(store: &dyn Store, job: Arc<RunningJob>) -> Outcome {
    job.note_recorder();
    match job.send(store, None).await {
        Ok(_) => Outcome::Sent,
        Err(error) => {
            tracing::warn!(job = %job.id(), "failed to record what a job reported: {error}");
            Outcome::Failed
        }
    }
}
