use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Longhaul, NewJob, State, Worker};

use crate::probe::{Email, Probe, QUEUE};
use crate::report::Run;
use crate::sizes::{Bound, Sizes};
use crate::{Result, Serve, Workload, http, load};

/// Runs one workload on a store that is empty, through the engine's public API.
pub(crate) async fn measure(
    workload: Workload,
    longhaul: &Longhaul,
    sizes: &Sizes,
    serve: Serve,
) -> Result<Run> {
    match workload {
        Workload::Enqueue1 => enqueue(longhaul, 1, sizes.enqueue1()).await,
        Workload::Enqueue64 => enqueue(longhaul, 64, sizes.enqueue64()).await,
        Workload::Bulk => {
            let run = enqueue_many(longhaul, sizes.bulk()).await?;
            check_stored(longhaul, &run).await?;
            Ok(run)
        }
        Workload::Http => {
            let run = http::measure_router(longhaul, sizes.http(), serve).await?;
            check_stored(longhaul, &run).await?;
            Ok(run)
        }
        Workload::Drain => drain(longhaul, sizes).await,
        Workload::Pickup => pickup(longhaul, sizes).await,
        Workload::Upload | Workload::UploadFlood | Workload::ClaimHistory | Workload::Idle => {
            Err(format!("failed to measure {}: it has no run of its own", workload.name()).into())
        }
    }
}

async fn enqueue(longhaul: &Longhaul, callers: usize, bound: Bound) -> Result<Run> {
    let sender = longhaul.clone();
    let run = load::in_flight(callers, bound, move |id| {
        let sender = sender.clone();
        async move {
            sender.enqueue(Email::new(id)).await?;
            Ok(())
        }
    });
    let run = run.await?;
    check_stored(longhaul, &run).await?;
    Ok(run)
}

async fn enqueue_many(longhaul: &Longhaul, bound: Bound) -> Result<Run> {
    load::in_bulk(bound, |ids| enqueue_range(longhaul, ids)).await
}

pub(crate) async fn enqueue_range(longhaul: &Longhaul, ids: Range<u64>) -> Result<()> {
    let jobs: Vec<NewJob> = ids.map(|id| NewJob::of(&Email::new(id))).collect::<longhaul::Result<_>>()?;
    longhaul.enqueue_many(jobs).await?;
    Ok(())
}

/// Fills the queue, starts a worker, and takes the time from its first handler call to its last.
pub(crate) async fn drain(longhaul: &Longhaul, sizes: &Sizes) -> Result<Run> {
    let bound = sizes.drain();
    let fill = Bound { jobs: bound.jobs, time: Duration::MAX };
    enqueue_many(longhaul, fill).await?;
    let probe = Probe::new(bound.jobs);
    let worker = start_worker(longhaul, &probe, sizes.slots());
    probe.all_called(bound.time).await;
    let (jobs, time) = probe.span();
    worker.shutdown(Duration::from_secs(5)).await;
    Ok(Run { jobs, time, latency: None, note: note_of(&probe) })
}

async fn pickup(longhaul: &Longhaul, sizes: &Sizes) -> Result<Run> {
    let probe = load::pickup_probe(sizes.pickup_jobs());
    let worker = start_worker(longhaul, &probe, sizes.slots());
    let run = load::pickup(&probe, sizes.pickup_jobs(), |id| async move {
        longhaul.enqueue(Email::new(id)).await?;
        Ok(())
    });
    let mut run = run.await?;
    worker.shutdown(Duration::from_secs(5)).await;
    if run.note.is_empty() {
        run.note = note_of(&probe);
    }
    Ok(run)
}

pub(crate) fn start_worker(longhaul: &Longhaul, probe: &Arc<Probe>, slots: usize) -> Worker {
    longhaul.worker().register::<Email>(Arc::clone(probe)).queue(QUEUE, slots).start()
}

fn note_of(probe: &Probe) -> String {
    match probe.repeated() {
        0 => String::new(),
        repeated => format!("{repeated} calls were of jobs that had been called before"),
    }
}

/// A rate of acknowledgements counts only if each of them is a job in the store.
async fn check_stored(longhaul: &Longhaul, run: &Run) -> Result<()> {
    let queues = longhaul.store().queues().await?;
    let queue = queues.iter().find(|queue| queue.name == QUEUE);
    let stored = queue.and_then(|queue| queue.counts.get(&State::Available)).copied().unwrap_or(0);
    if stored == run.jobs {
        return Ok(());
    }
    Err(format!("failed to find all jobs: {} were acknowledged, {stored} are stored", run.jobs).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::tests::sizes;
    use crate::target::{Fresh, StoreUrl};

    async fn run(workload: Workload) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().to_owned());
        let fresh = Fresh::open(&url).await.unwrap();
        let sizes = sizes(&["--jobs=300", "--enqueue1-jobs=20", "--pickup-jobs=3"]);
        measure(workload, &fresh.longhaul, &sizes, http::tests::serve).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_to_enqueue_counts_what_is_in_the_store_afterwards() {
        for (workload, jobs) in [
            (Workload::Enqueue1, 20),
            (Workload::Enqueue64, 300),
            (Workload::Bulk, 300),
            (Workload::Http, 300),
        ] {
            let run = run(workload).await;
            assert_eq!((run.jobs, run.note.as_str()), (jobs, ""), "{}", workload.name());
            assert!(run.per_second() > 0.0);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_drain_calls_the_handler_of_every_job_once() {
        let run = run(Workload::Drain).await;
        assert_eq!((run.jobs, run.note.as_str()), (300, ""));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_pickup_tells_how_long_jobs_waited() {
        let run = run(Workload::Pickup).await;
        assert_eq!((run.jobs, run.note.as_str()), (3, ""));
        let latency = run.latency.unwrap();
        assert!(0.0 < latency.p50_ms && latency.p50_ms <= latency.p99_ms);
    }
}
