//! The cost of a long history: the same work on a table with a million finished jobs and on an empty one.

use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{
    Claim, Claimed, Finish, Job, Json, Longhaul, Outcome, QueueSlots, SupportedKind, WorkerInfo, process_id,
};

use crate::engine;
use crate::load;
use crate::probe::{Email, Probe, QUEUE};
use crate::report::{Line, Run, middle_of, round};
use crate::sizes::{Bound, Sizes};
use crate::target::{Fresh, StoreUrl};
use crate::{Result, tell};

/// A store with a history, and what was found on it so far.
pub(crate) struct History {
    filled: Fresh,
    jobs: u64,
    found: Vec<Found>,
}

/// One comparison: what it takes with the history over what it takes without.
#[derive(Clone, Copy, Debug)]
struct Found {
    claim_ratio: f64,
    drain_ratio: f64,
    drain_without: f64,
}

/// Jobs of one claim call.
const SLOTS: usize = 64;
/// Many slots, because filling is not what is measured.
const FILLING_SLOTS: usize = 1_024;
const LEASE: Duration = Duration::from_secs(60);

impl History {
    /// Runs so many jobs to their end, by a real worker, so that the table is as a long life leaves it.
    pub(crate) async fn fill(url: &StoreUrl, sizes: &Sizes) -> Result<Self> {
        let (filled, jobs) = (Fresh::open(url).await?, sizes.history_jobs());
        let filling = Stopwatch::start();
        let probe = Probe::new(jobs);
        let worker = engine::start_worker(&filled.longhaul, &probe, FILLING_SLOTS);
        let all = Bound { jobs, time: Duration::MAX };
        load::in_bulk(all, |ids| engine::enqueue_range(&filled.longhaul, ids)).await?;
        if jobs > 0 {
            probe.all_called(Duration::MAX).await;
        }
        worker.shutdown(Duration::from_secs(60)).await;
        tell(format_args!("{jobs} jobs were run in {:.1} s", filling.elapsed().as_secs_f64()));
        Ok(Self { filled, jobs, found: Vec::new() })
    }

    /// Claims and drains on both tables, right after each other. Answers the drain on the filled one.
    pub(crate) async fn measure(&mut self, url: &StoreUrl, sizes: &Sizes) -> Result<Run> {
        let empty = Fresh::open(url).await?;
        let claims_without = claim_all(&empty.longhaul, sizes.drain().jobs).await?;
        let claims_with = claim_all(&self.filled.longhaul, sizes.drain().jobs).await?;
        let empty = Fresh::open(url).await?;
        let without = engine::drain(&empty.longhaul, sizes).await?;
        let with = engine::drain(&self.filled.longhaul, sizes).await?;
        self.found.push(Found {
            claim_ratio: claims_with.as_secs_f64() / claims_without.as_secs_f64(),
            drain_ratio: without.per_second() / with.per_second(),
            drain_without: without.per_second(),
        });
        Ok(with)
    }

    /// Puts what was found beside the rate.
    pub(crate) fn describe(&self, line: &mut Line) {
        let median =
            |of: fn(&Found) -> f64, digits| middle_of(self.found.iter().map(of)).map(|n| round(n, digits));
        line.note = format!(
            "with {} finished jobs in the table; ratios are of time per job, to an empty one",
            self.jobs
        );
        for (name, figure) in [
            ("claim_ratio", median(|found| found.claim_ratio, 3)),
            ("drain_ratio", median(|found| found.drain_ratio, 3)),
            ("jobs_per_s_without", median(|found| found.drain_without, 1)),
        ] {
            line.figures.insert(name.into(), figure.into());
        }
    }
}

/// Fills the queue and takes the time of claiming all of it, 64 jobs a call. Then ends the jobs, so that they are
/// history like the rest.
async fn claim_all(longhaul: &Longhaul, jobs: u64) -> Result<Duration> {
    let all = Bound { jobs, time: Duration::MAX };
    load::in_bulk(all, |ids| engine::enqueue_range(longhaul, ids)).await?;
    let store = Arc::clone(longhaul.store());
    let mut claimed: Vec<Claimed> = Vec::new();
    let claiming = Stopwatch::start();
    loop {
        let jobs = store.claim(claim()).await?;
        if jobs.is_empty() {
            break;
        }
        claimed.extend(jobs);
    }
    let time = claiming.elapsed();
    if claimed.len() as u64 != jobs {
        return Err(
            format!("failed to claim all jobs: {jobs} were enqueued, {} claimed", claimed.len()).into()
        );
    }
    let finishes: Vec<Finish> = claimed.into_iter().map(completion).collect();
    for some in finishes.chunks(1_000) {
        store.finish(some.to_vec()).await?;
    }
    Ok(time)
}

fn claim() -> Claim {
    let queues = vec![QueueSlots { queue: QUEUE.into(), slots: SLOTS }];
    Claim {
        worker: WorkerInfo {
            id: "bench".into(),
            process: process_id().into(),
            host: "bench".into(),
            queues: queues.clone(),
            ..WorkerInfo::default()
        },
        queues,
        kinds: vec![SupportedKind { kind: Email::KIND.into(), version: Email::VERSION }],
        lease_for: LEASE,
        wait: Duration::ZERO,
    }
}

fn completion(job: Claimed) -> Finish {
    Finish {
        lease: job.lease,
        outcome: Outcome::Completed { output: Json::null() },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use longhaul::State;

    use super::*;
    use crate::report::Contender;
    use crate::sizes::tests::sizes;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_history_is_made_of_jobs_that_ran_and_both_tables_do_the_same_work() {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(folder.path().to_owned());
        let sizes = sizes(&["--jobs=200", "--history-jobs=500"]);
        let mut history = History::fill(&url, &sizes).await.unwrap();
        let run = history.measure(&url, &sizes).await.unwrap();
        assert_eq!((run.jobs, run.note.as_str()), (200, ""));
        let queues = history.filled.longhaul.store().queues().await.unwrap();
        assert_eq!(queues[0].counts[&State::Completed], 500 + 200 + 200);
        let mut line = Contender::longhaul(&url).line("claim-history");
        history.describe(&mut line);
        for ratio in ["claim_ratio", "drain_ratio", "jobs_per_s_without"] {
            assert!(line.figures[ratio].as_f64().unwrap() > 0.0, "{ratio}: {:?}", line.figures);
        }
    }
}
