//! The poison zoo: a worker runs a thousand good jobs, and meets every kind of bad job, output, panic, row and
//! configuration at once. All good jobs complete, each bad one ends with its reason, and no heartbeat is late.

mod cage;
mod jobs;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{JobId, JobRecord, Longhaul, NewJob, QueueSlots, State, Store, WorkerInfo, process_id};
use tokio::sync::oneshot;

pub(crate) use self::cage::Cage;
use self::jobs::{Bad, Good, PanicsInArgs, PanicsInBackoff, QUEUE, RefusesArgs, TIMEOUT};
use crate::Result;

/// Good jobs of a visit.
pub(crate) const GOOD: usize = 1_000;
/// Jobs at once.
const SLOTS: usize = 16;
/// A lease that a busy machine does not end; a heartbeat may take a third of it.
const LEASE: Duration = Duration::from_secs(60);
/// The bound on a whole visit.
const PATIENCE: Duration = Duration::from_secs(300);

/// The animals of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Animals {
    /// Good jobs alone, for comparison
    Tame,
    /// Bad ones among them
    All,
}

/// The results of a visit.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The time from the worker's start to the end of the last good job.
    pub(crate) took: Duration,
    /// Heartbeats that were answered meanwhile.
    pub(crate) heartbeats: usize,
    /// Bad jobs that ended.
    pub(crate) bad: usize,
    /// The promises that were broken.
    pub(crate) broken: Vec<String>,
}

/// A bad job, and words of the reason that it must end with.
struct Expected {
    id: JobId,
    reason: &'static str,
}

/// Runs the jobs on a worker and checks what became of each.
pub(crate) async fn visit(cage: &Cage, animals: Animals) -> Result<Visit> {
    let longhaul = Longhaul::over(cage.store());
    let mut visit = Visit::default();
    let mut bad =
        if animals == Animals::All { enqueue_bad(&longhaul, &mut visit).await? } else { Vec::new() };
    let good = enqueue_good(&longhaul).await?;
    if animals == Animals::All {
        bad.extend(enqueue_damaged(&longhaul, cage).await?);
    }
    let (stop, stopped) = oneshot::channel();
    let beating = tokio::spawn(beat(cage.store(), stopped));
    let running = Stopwatch::start();
    let worker = longhaul
        .worker()
        .register::<Good>(())
        .register::<Bad>(())
        .register::<PanicsInArgs>(())
        .register::<RefusesArgs>(())
        .register::<PanicsInBackoff>(())
        .queue(QUEUE, SLOTS)
        .lease(LEASE)
        .start();
    for id in &good {
        let job = ended(&longhaul, id, &running).await?;
        // A job that was claimed ahead may have been given back, which counts as an interruption.
        if (job.state, job.attempt, job.crashes) != (State::Completed, 1, 0) {
            visit.broken.push(format!("good job {id} was to complete at the first attempt: {job:?}"));
        }
    }
    visit.took = running.elapsed();
    for Expected { id, reason } in &bad {
        let job = ended(&longhaul, id, &running).await?;
        let said = job.errors.last().map_or("", |error| error.message.as_str());
        if job.state != State::Failed || !said.contains(reason) || said.contains('\0') || job.crashes != 0 {
            let shown: String = format!("{job:?}").chars().take(1_000).collect();
            visit.broken.push(format!("job {id} was to fail because of '{reason}': {shown}"));
        }
    }
    visit.bad = bad.len();
    let _ = stop.send(());
    let (heartbeats, slowest) = beating.await??;
    visit.heartbeats = heartbeats;
    if slowest > LEASE / 3 {
        visit.broken.push(format!("a heartbeat took {slowest:?}"));
    }
    if worker.running() != 0 {
        visit.broken.push(format!("{} runs never left the worker", worker.running()));
    }
    worker.shutdown(PATIENCE).await;
    Ok(visit)
}

async fn ended(longhaul: &Longhaul, id: &JobId, running: &Stopwatch) -> Result<JobRecord> {
    let job = longhaul.wait(id, PATIENCE.saturating_sub(running.elapsed())).await?.found();
    job.ok_or_else(|| format!("job {id} is gone").into())
}

/// One call for each fault, and calls that are refused in between.
async fn enqueue_bad(longhaul: &Longhaul, visit: &mut Visit) -> Result<Vec<Expected>> {
    let mut bad = Vec::new();
    for (fault, reason) in Bad::ALL {
        let mut job = NewJob::of(&fault)?;
        job.policy.timeout = (fault == Bad::Hangs).then_some(TIMEOUT);
        bad.push((format!("{fault:?}"), job, reason));
    }
    bad.push(("args-panic".into(), NewJob::of(&PanicsInArgs {})?, "panicked: a fault in Deserialize"));
    bad.push(("args-refused".into(), NewJob::of(&RefusesArgs {})?, "written by another program"));
    bad.push(("backoff-panics".into(), NewJob::of(&PanicsInBackoff {})?, "it did not work"));
    let mut expected = Vec::new();
    for (name, job, reason) in bad {
        let id = JobId::new(name)?;
        longhaul.enqueue_one(NewJob { id: Some(id.clone()), ..job }).await?;
        expected.push(Expected { id, reason });
    }
    for (job, field) in jobs::refused() {
        match longhaul.enqueue_one(job).await {
            Err(error) if jobs::names(&error, field) => {}
            other => visit.broken.push(format!("a job with a bad {field} was to be refused: {other:?}")),
        }
    }
    Ok(expected)
}

async fn enqueue_good(longhaul: &Longhaul) -> Result<Vec<JobId>> {
    let jobs = (0..GOOD).map(|number| NewJob::of(&Good { number })).collect::<longhaul::Result<_>>()?;
    Ok(longhaul.enqueue_many(jobs).await?.into_iter().map(|job| job.id).collect())
}

/// Good jobs whose rows are then damaged.
async fn enqueue_damaged(longhaul: &Longhaul, cage: &Cage) -> Result<Vec<Expected>> {
    let mut rows = Vec::new();
    for number in 0..cage.damages() {
        let id = JobId::new(format!("damaged-{number}"))?;
        longhaul.enqueue_one(NewJob { id: Some(id.clone()), ..NewJob::of(&Good { number })? }).await?;
        rows.push(id);
    }
    cage.damage(&rows).await?;
    Ok(rows.into_iter().map(|id| Expected { id, reason: "read" }).collect())
}

/// Sends heartbeats of a worker that does nothing else, one after the other, until it is stopped. Returns their number,
/// and the time of the slowest; a refused one is an error.
async fn beat(store: Arc<dyn Store>, mut stop: oneshot::Receiver<()>) -> Result<(usize, Duration)> {
    let worker = WorkerInfo {
        id: "watches".into(),
        process: process_id().into(),
        host: String::new(),
        queues: vec![QueueSlots { queue: QUEUE.into(), slots: 0 }],
        ..WorkerInfo::default()
    };
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while stop.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
        let beating = Stopwatch::start();
        store.heartbeat(&worker, &[], LEASE).await?;
        (count, slowest) = (count + 1, slowest.max(beating.elapsed()));
        tokio::time::sleep(PAUSE).await;
    }
    Ok((count, slowest))
}

/// The pause between two heartbeats.
const PAUSE: Duration = Duration::from_millis(50);
