use std::fs;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{
    CancelReason, Claim, Claimed, Dependency, Finish, JobId, Longhaul, NewJob, Outcome, Start, State, Store,
};

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure};
use crate::limits::{claim, completed};
use crate::target::{self, Target};
use crate::worker::Nothing;

/// Jobs of one call, and slots of a claim.
const AT_ONCE: usize = 1_000;
const SLOTS: usize = 64;
/// The bar of a cancel, in seconds.
const LONGEST_CANCEL: f64 = 5.0;
/// The longest wait of a claim for what is being settled.
const PATIENCE: Duration = Duration::from_secs(60);

/// A graph of one job, very many that depend on it, and one that closes them: its run, and its two ways to be cancelled.
pub(super) async fn measure(args: &MeasureArgs, target: &Target) -> Result<Vec<Figure>> {
    let store = target::open(&target.direct).await?;
    let (store, jobs) = (store.as_ref(), args.graph);
    let shape = format!("a graph of {} jobs (1 → {jobs} → 1)", jobs + 2);
    // What a process takes at its first calls is no part of it.
    run(store, Graph::new("warm", jobs / 10)).await?;
    let small = run(store, Graph::new("small", jobs / 10)).await?;
    let large = run(store, Graph::new("large", jobs)).await?;
    let cancelled = cancel(target, Graph::new("cancelled", jobs)).await?;
    let failed = lose_first(store, Graph::new("failed", jobs)).await?;
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let in_seconds = |name, time: Duration| {
        Figure::held(name, seconds(time), Bar::at_most(time.as_secs_f64(), LONGEST_CANCEL, "s"))
    };
    let most = cancelled.memory.max(large.memory);
    Ok(vec![
        Figure::without_bar(format!("{shape} is enqueued"), seconds(large.enqueued)),
        Figure::without_bar(
            format!("{shape} is run by one claim after the other, its last job once"),
            seconds(large.ran),
        ),
        Figure::held(
            format!("memory that the process takes for a tenth of it → for {shape}, while it is cancelled"),
            format!(
                "{} → {}, {}",
                mebibytes(small.memory),
                mebibytes(large.memory),
                mebibytes(cancelled.memory)
            ),
            Bar::at_most(most as f64 / f64::from(1 << 20), 64.0, "MiB"),
        ),
        in_seconds(format!("{shape} is cancelled in mid-run"), cancelled.took),
        in_seconds(format!("the first job of {shape} is cancelled, until its last one runs"), failed),
    ])
}

/// The names of a graph's jobs.
struct Graph {
    queue: &'static str,
    jobs: usize,
}

impl Graph {
    fn new(queue: &'static str, jobs: usize) -> Self {
        Self { queue, jobs }
    }

    fn job(&self, name: &str) -> Result<NewJob> {
        let id = Some(JobId::new(format!("{}-{name}", self.queue))?);
        Ok(NewJob { id, queue: self.queue.into(), ..NewJob::of(&Nothing {})? })
    }

    fn last(&self) -> Result<JobId> {
        Ok(JobId::new(format!("{}-last", self.queue))?)
    }

    /// Enqueues all, some at a time. The last one comes with the first children, or it would not wait for them.
    async fn enqueue(&self, store: &dyn Store) -> Result<()> {
        let first = self.job("first")?;
        let depends_on = Vec::from_iter(first.id.clone().map(Dependency::on));
        let last = NewJob { start: Start::AfterChildren, ..self.job("last")? };
        let parent = last.id.clone();
        let mut jobs = vec![first, last];
        for child in 0..self.jobs {
            let depends_on = depends_on.clone();
            jobs.push(NewJob { depends_on, parent: parent.clone(), ..self.job(&child.to_string())? });
            if jobs.len() >= AT_ONCE || child + 1 == self.jobs {
                store.enqueue(std::mem::take(&mut jobs)).await?;
            }
        }
        Ok(())
    }

    fn claim(&self, slots: usize) -> Claim {
        Claim { wait: PATIENCE, ..claim(self.queue, slots) }
    }

    /// Takes the job that is next, which must be this one.
    async fn take(&self, store: &dyn Store, name: &str) -> Result<Claimed> {
        let job = store.claim(self.claim(1)).await?.pop();
        match job.filter(|job| job.lease.id.as_str() == format!("{}-{name}", self.queue)) {
            Some(job) => Ok(job),
            None => Err(format!("the job '{name}' of the graph was not the next").into()),
        }
    }
}

/// The times and the memory of a run.
struct Taken {
    enqueued: Duration,
    ran: Duration,
    /// Bytes.
    memory: u64,
}

async fn run(store: &dyn Store, graph: Graph) -> Result<Taken> {
    let memory = Peak::begin()?;
    let enqueuing = Stopwatch::start();
    graph.enqueue(store).await?;
    let (enqueued, running) = (enqueuing.elapsed(), Stopwatch::start());
    let (last, mut runs, mut last_runs, mut finishes) = (graph.last()?, 0, 0, Vec::new());
    while last_runs == 0 || !finishes.is_empty() {
        let mut turn = store.finish_and_claim(finishes, graph.claim(SLOTS)).await?;
        if turn.claimed.is_empty() && last_runs == 0 {
            turn.claimed = store.claim(graph.claim(SLOTS)).await?;
        }
        if turn.claimed.is_empty() && last_runs == 0 {
            return Err(format!("{runs} jobs of the graph have run, and no other comes").into());
        }
        runs += turn.claimed.len();
        last_runs += turn.claimed.iter().filter(|job| job.lease.id == last).count();
        finishes = turn.claimed.into_iter().map(completed).collect();
    }
    let (ran, memory) = (running.elapsed(), memory.end()?);
    if (runs, last_runs) != (graph.jobs + 2, 1) {
        return Err(format!("{runs} runs, and {last_runs} of the last job").into());
    }
    Ok(Taken { enqueued, ran, memory })
}

/// The time and the memory of a cancel.
struct Cancelled {
    took: Duration,
    /// Bytes.
    memory: u64,
}

/// The time in which a graph ends that is cancelled while some of its jobs have run and some run.
async fn cancel(target: &Target, graph: Graph) -> Result<Cancelled> {
    let store = target::open(&target.direct).await?;
    let longhaul = Longhaul::over(store);
    let store = longhaul.store().as_ref();
    graph.enqueue(store).await?;
    store.finish(vec![completed(graph.take(store, "first").await?)]).await?;
    let mut running = store.claim(graph.claim(SLOTS)).await?;
    for _ in 0..graph.jobs / SLOTS / 10 {
        let finishes = running.into_iter().map(completed).collect();
        running = store.finish_and_claim(finishes, graph.claim(SLOTS)).await?.claimed;
    }
    if running.is_empty() {
        return Err("no job of the graph runs".into());
    }
    let (memory, cancelling) = (Peak::begin()?, Stopwatch::start());
    longhaul.cancel(&graph.last()?).await?;
    store.finish(running.into_iter().map(cancelled).collect()).await?;
    let (took, memory) = (cancelling.elapsed(), memory.end()?);
    let queues = store.queues().await?;
    let queue =
        queues.into_iter().find(|queue| queue.name == graph.queue).ok_or("the graph's queue is gone")?;
    let unfinished = State::ALL.into_iter().filter(|state| !state.is_finished());
    match unfinished.map(|state| queue.counts.get(&state).copied().unwrap_or_default()).sum::<u64>() {
        0 => Ok(Cancelled { took, memory }),
        left => Err(format!("{left} jobs of the graph are left").into()),
    }
}

/// The time from the end of the first job, which is cancelled, until the last one runs: all between are cancelled as well.
async fn lose_first(store: &dyn Store, graph: Graph) -> Result<Duration> {
    graph.enqueue(store).await?;
    let first = graph.take(store, "first").await?;
    let losing = Stopwatch::start();
    store.finish(vec![cancelled(first)]).await?;
    let last = graph.take(store, "last").await?;
    let took = losing.elapsed();
    store.finish(vec![completed(last)]).await?;
    Ok(took)
}

/// The end of a run that was asked to stop.
fn cancelled(job: Claimed) -> Finish {
    let outcome = Outcome::Cancelled { reason: "asked to stop".into(), cancel_reason: CancelReason::Asked };
    Finish { outcome, ..completed(job) }
}

/// The most memory that this process holds from now on, beside what it holds now.
struct Peak {
    before: u64,
}

impl Peak {
    fn begin() -> Result<Self> {
        // Sets the peak back to what is held now.
        fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self { before: peak()? })
    }

    fn end(self) -> Result<u64> {
        Ok(peak()?.saturating_sub(self.before))
    }
}

fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
