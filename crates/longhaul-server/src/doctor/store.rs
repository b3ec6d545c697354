//! The store of jobs, and who works on it.

use std::collections::BTreeSet;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, State};
use longhaul_http::Redaction;

use super::Check;
use crate::client::{Client, Place, Queue, QueuePage, Worker, WorkerPage};
use crate::terminal::grouped;

/// The longest that a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn look(place: &Place) -> Vec<Check> {
    // No payload is read here, so that an error in the redaction is reported on its own, apart from the store.
    let opening = tokio::time::timeout(PATIENCE, place.stores.open_shown(Redaction::default()));
    let (longhaul, described) = match opening.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) if error.to_string().starts_with("there is no store at") => {
            let advice = "start one with longhaul serve, or name another with --data or --store";
            return vec![Check::warn("store", error.to_string(), advice)];
        }
        Ok(Err(error)) => {
            let advice = "is it running, and are its address and password right? See --store and docs/configuration.md";
            return vec![Check::fail("store", error.to_string(), advice)];
        }
        Err(_) => {
            let detail = format!("it did not answer within {} s", PATIENCE.as_secs());
            return vec![Check::fail("store", detail, "is a firewall between? See --store")];
        }
    };
    let mut checks = vec![Check::ok("store", format!("{described}; its schema is that of this version"))];
    checks.push(writable(&longhaul).await);
    checks.extend(work(&Client::over(longhaul, described)).await);
    checks
}

async fn writable(longhaul: &Longhaul) -> Check {
    let watch = Stopwatch::start();
    match tokio::time::timeout(PATIENCE, longhaul.store().ready()).await {
        Ok(Ok(())) => Check::ok(
            "store writable",
            format!("yes, and it answers in {:.1} ms", watch.elapsed().as_secs_f64() * 1e3),
        ),
        Ok(Err(error)) => Check::fail(
            "store writable",
            error.to_string(),
            "free space on its disk, or see its own log; jobs wait meanwhile",
        ),
        Err(_) => Check::fail(
            "store writable",
            "it did not answer in time",
            "is another process holding it? See its own log",
        ),
    }
}

/// Queues without a worker, and jobs that need a person.
pub(super) async fn work(client: &Client) -> Vec<Check> {
    match waiting(client).await {
        Ok(checks) => checks,
        Err(error) => vec![Check::fail("queues", error.to_string(), "look at the server's log")],
    }
}

async fn waiting(client: &Client) -> crate::Result<Vec<Check>> {
    let workers: WorkerPage = client.get("/workers").await?;
    let mut served = BTreeSet::new();
    for worker in &workers.workers {
        let worker: Worker = serde_json::from_str(worker.get())?;
        served.extend(worker.queues.into_iter().map(|slots| slots.queue));
    }
    let mut checks = vec![match workers.workers.len() {
        0 => {
            let advice =
                "nothing, if no server is meant to run now; else: longhaul serve, or longhaul worker";
            Check::warn("workers", "none was heard of within the last minute", advice)
        }
        count => Check::ok("workers", format!("{count} at work")),
    }];
    let page: QueuePage = client.get("/queues").await?;
    let (mut jobs, mut failed) = (0, 0);
    for queue in &page.queues {
        let queue: Queue = serde_json::from_str(queue.get())?;
        let (name, available) = (&queue.name, queue.count(State::Available));
        jobs += queue.states.values().sum::<u64>();
        failed += queue.count(State::Failed);
        if queue.paused {
            let detail = format!("{name} is paused, and {} jobs wait in it", grouped(available));
            checks.push(Check::warn("queues", detail, format!("longhaul queues resume {name}")));
        } else if available > 0 && !served.contains(name) {
            let detail = format!("{} jobs wait in {name}, which no worker serves", grouped(available));
            checks.push(Check::warn(
                "queues",
                detail,
                format!("start a worker of its jobs, with the queue {name}"),
            ));
        }
    }
    checks.push(Check::ok("queues", format!("{} with {} jobs", page.queues.len(), grouped(jobs))));
    if failed > 0 {
        let advice =
            "longhaul jobs list state:failed tells why; longhaul jobs retry state:failed runs them again";
        checks.push(Check::warn("failed jobs", grouped(failed), advice));
    }
    Ok(checks)
}
