//! What `serve` and `worker` share: the flags of a worker, its start and its end.

use std::time::Duration;

use clap::Args;
use longhaul::{QueueSlots, Worker};

use crate::services::Services;

/// How jobs are run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Work {
    /// How many heavy jobs (reading a document) run at once [default: the number of cores]
    #[arg(long, env = "LONGHAUL_SLOTS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    slots: Option<u16>,
    /// Seconds that running jobs and requests get to finish after SIGTERM; the rest is handed back, at no cost
    /// of an attempt
    #[arg(long, env = "LONGHAUL_GRACE", value_name = "SECONDS", default_value_t = 25)]
    grace: u32,
}

impl Work {
    /// How long running jobs get to finish after SIGTERM.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace.into())
    }

    /// Starts to run the services' jobs.
    pub(crate) fn start(&self, services: &Services) -> Worker {
        let queues = services.queues(self.slots());
        let described: Vec<String> = queues.iter().map(|q| format!("{}={}", q.queue, q.slots)).collect();
        tracing::info!(slots = described.join(" "), "running jobs");
        let worker = services.longhaul.worker().registry(services.registry());
        queues
            .into_iter()
            .fold(worker, |worker, QueueSlots { queue, slots }| worker.queue(queue, slots))
            .start()
    }

    fn slots(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.slots.map_or_else(cores, usize::from)
    }
}

/// Stops a worker and says what that came to.
pub(crate) async fn stop(worker: Worker, grace: Duration) {
    let running = worker.running();
    if running > 0 {
        tracing::info!("waiting at most {} s for {running} running jobs", grace.as_secs());
    }
    let shutdown = worker.shutdown(grace).await;
    if shutdown.handed_back > 0 {
        tracing::info!("handed {} unfinished jobs back", shutdown.handed_back);
    }
}
