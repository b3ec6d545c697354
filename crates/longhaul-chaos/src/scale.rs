//! Throughput by worker processes: the same full queue, drained by one and by several, on one store.

use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, NewJob, State};
use tokio::process::Command;

use crate::Result;
use crate::process::Process;
use crate::target::{self, StoreKind, Target};
use crate::worker::{Nothing, QUEUE};

/// The flags of a measurement.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScaleArgs {
    /// The stores to measure, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// Worker processes, one figure after the other
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    workers: Vec<usize>,
    /// Jobs in the queue
    #[arg(long, default_value_t = 40_000)]
    jobs: usize,
    /// Jobs that each worker runs at once
    #[arg(long, default_value_t = 64)]
    slots: usize,
    /// Runs, of which the median is printed
    #[arg(long, default_value_t = 3)]
    reps: usize,
}

/// The part of a queue that is done before the time is taken: by then every worker is up.
const WARM_UP: f64 = 0.1;
/// Jobs that are enqueued with one call.
const AT_ONCE: usize = 1_000;

/// The result of one run.
#[derive(Clone, Copy, Debug)]
struct Drained {
    jobs_per_s: f64,
    /// Cores that the store's server used; nothing where the store has none.
    store_cores: Option<f64>,
}

/// Measures, and prints a table.
pub(crate) async fn run(args: ScaleArgs) -> Result<()> {
    println!("| store | workers | jobs/s | store's cores |\n|---|--:|--:|--:|");
    let stores = StoreKind::chosen(&args.store);
    for store in stores {
        for workers in &args.workers {
            let mut runs = Vec::new();
            for _ in 0..args.reps.max(1) {
                runs.push(drain(&args, store, *workers).await?);
            }
            runs.sort_by(|a, b| a.jobs_per_s.total_cmp(&b.jobs_per_s));
            let median = runs[runs.len() / 2];
            let cores = median.store_cores.map_or("–".to_owned(), |cores| format!("{cores:.2}"));
            println!("| {store:?} | {workers} | {:.0} | {cores} |", median.jobs_per_s);
        }
    }
    Ok(())
}

async fn drain(args: &ScaleArgs, store: StoreKind, workers: usize) -> Result<Drained> {
    let target = Target::start(store).await?;
    let longhaul = Longhaul::over(target::open(&target.direct).await?);
    for first in (0..args.jobs).step_by(AT_ONCE) {
        let jobs = (first..args.jobs.min(first + AT_ONCE)).map(|_| NewJob::of(&Nothing {}));
        longhaul.enqueue_many(jobs.collect::<longhaul::Result<_>>()?).await?;
    }
    let mut processes = Vec::new();
    for _ in 0..workers {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--plain", "--store", &target.direct, "--slots", &args.slots.to_string()]);
        command.args(["--lease", "30000", "--history", "/dev/null"]);
        processes.push(Process::start(&mut command)?);
    }
    let warm = wait_for(&longhaul, (args.jobs as f64 * WARM_UP) as u64).await?;
    let (since, cpu) = (Stopwatch::start(), target.server_cpu());
    let done = wait_for(&longhaul, args.jobs as u64).await?;
    let took = since.elapsed().as_secs_f64();
    let store_cores = cpu.zip(target.server_cpu()).map(|(from, to)| (to - from) / took);
    for process in &mut processes {
        process.kill().await?;
    }
    Ok(Drained { jobs_per_s: (done - warm) as f64 / took, store_cores })
}

/// Looks until so many jobs have completed, and answers how many had.
async fn wait_for(longhaul: &Longhaul, wanted: u64) -> Result<u64> {
    loop {
        let queues = longhaul.store().queues().await?;
        let queue = queues.iter().find(|queue| queue.name == QUEUE);
        let done = queue.and_then(|queue| queue.counts.get(&State::Completed)).copied().unwrap_or(0);
        if done >= wanted {
            return Ok(done);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
