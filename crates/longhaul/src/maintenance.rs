use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::store::Store;

/// Sweeps a store once a second until it is dropped: promotes what is due, rescues what was abandoned, prunes.
/// Every worker brings its own; a process that runs none starts one, so that delayed jobs and old history do
/// not depend on a worker being there.
#[derive(Debug)]
pub struct Maintenance {
    _stop: DropGuard,
}

/// Jobs of each sort that one sweep takes on.
const SWEEP_LIMIT: usize = 1_000;

impl Maintenance {
    /// Starts to sweep.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn({
            let stop = stop.clone();
            async move { stop.run_until_cancelled(sweep(store)).await }
        });
        Self { _stop: stop.drop_guard() }
    }
}

async fn sweep(store: Arc<dyn Store>) {
    // The jitter keeps many nodes from sweeping in step. Jobs that a store's absence has cut short wait for the first sweep
    // after it, so none is far off.
    let pause =
        Backoff { base: Duration::from_secs(1), factor: 2.0, max: Duration::from_secs(5), jitter: 0.2 };
    let mut failures = 0;
    loop {
        match store.sweep(SWEEP_LIMIT).await {
            Ok(swept) => {
                failures = 0;
                if swept.rescued + swept.poisoned + swept.fenced > 0 {
                    tracing::warn!(?swept, "took jobs from workers that were not heard of in time");
                }
                if !swept.is_empty() {
                    // There may be more; let others have the store for a moment in between.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
            Err(error) => {
                failures += 1;
                tracing::warn!("failed to sweep: {error}");
            }
        }
        tokio::time::sleep(pause.delay(failures + 1)).await;
    }
}
