//! Bars in time, measured by hand on a quiet machine with a release build (`make measure`). `make test` asserts nothing of
//! this: a busy machine would decide it.

mod dashboard;
mod graph;
mod idle;
mod keyed;
mod plain;
mod poison;
mod readers;
mod served;
mod steps;
mod waiting;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Result;
use crate::figure;
use crate::limits::{self, Fire};
use crate::target::{StoreKind, Target};

const BARS: &str = "\
Each figure is printed beside its bar and whether it holds. The program fails where one is missed.

What a job can do is held by `fire fair limits graph steps plain`. The others are of the engine at
rest, and of what people see. What is promised besides is no bar in time, and is held elsewhere:
  the contract, on every store     make test
  histories beside the model       PROPTEST_CASES=1000 in each store's tests
  the simulation, planted faults   make simulate
  a year of schedules in zones     cargo test -p longhaul --test it -- schedules::year

Examples:
  make measure ARGS=\"--store sqlite fire fair limits graph steps\"
  make measure ARGS=\"plain --before /before/target/release/longhaul\"";

/// The flags of a measurement.
#[derive(Args, Clone, Debug)]
#[command(after_help = BARS)]
pub(crate) struct MeasureArgs {
    /// The stores to measure, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// The bars to measure [default: all of them]
    #[arg(value_enum)]
    bars: Vec<Bar>,
    /// Queues with history while the store is idle
    #[arg(long, default_value_t = 10_000)]
    queues: usize,
    /// Workers that wait for jobs, in all processes together
    #[arg(long, default_value_t = 1_000)]
    workers: usize,
    /// Processes of workers
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Claims that wait for jobs of other queues while jobs are enqueued
    #[arg(long, default_value_t = 5_000)]
    waiting: usize,
    /// Readers of jobs' events
    #[arg(long, default_value_t = 2_000)]
    readers: usize,
    /// Jobs of the store that the dashboard shows
    #[arg(long, default_value_t = 5_000_000)]
    jobs: usize,
    /// Jobs that wait behind a paused key, and keys of a job each
    #[arg(long, default_value_t = 100_000)]
    keyed: usize,
    /// Jobs of a graph between its first and its last one
    #[arg(long, default_value_t = 99_998)]
    graph: usize,
    /// Finished steps of a job that is resumed
    #[arg(long, default_value_t = 10_000)]
    steps: usize,
    /// Jobs a second that are enqueued and run while the dashboard is open
    #[arg(long, default_value_t = 100)]
    load: usize,
    /// Workers that are killed while keys' slots are taken
    #[arg(long, default_value_t = Fire::USUAL.kills)]
    kills: u64,
    /// Jobs that are cancelled meanwhile
    #[arg(long, default_value_t = Fire::USUAL.cancels)]
    cancels: u64,
    /// A `longhaul` of before, with a `bench` of its own, that `plain` is held against
    #[arg(long, value_name = "BINARY")]
    before: Option<PathBuf>,
    /// Runs of each workload by each build, in turn
    #[arg(long, default_value_t = 5)]
    reps: usize,
    /// The `longhaul` that readers and the dashboard read from, and that `plain` measures [default: the one beside this program]
    #[arg(long, value_name = "BINARY", default_value_os_t = beside_this(), hide_default_value = true)]
    longhaul: PathBuf,
    /// Seconds for which idle processes are watched
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

fn beside_this() -> PathBuf {
    std::env::current_exe().map_or_else(|_| "longhaul".into(), |this| this.with_file_name("longhaul"))
}

impl MeasureArgs {
    fn fire(&self) -> Fire {
        Fire { kills: self.kills, cancels: self.cancels, ..Fire::USUAL }
    }
}

/// A bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bar {
    /// Keys' slots and rates while workers are killed and stopped and jobs are cancelled: no overlap, no slot lost, no window over
    /// its bound, at least 95 % used
    Fire,
    /// Small keys beside a large one in a fair queue, and shares by weight
    Fair,
    /// Cost of calls beside very many jobs of a paused key and beside very many keys, and of a key on every job
    Limits,
    /// Time and memory of a graph of very many jobs, and the time in which it is cancelled
    Graph,
    /// Time in which a job with very many finished steps is resumed
    Steps,
    /// The bench without any of what a job can do, beside a build of before (needs --before)
    Plain,
    /// CPU time of idle processes and of the store's server; duration of a sweep
    Idle,
    /// Cost that waiting claims add to an enqueue on another queue
    Waiting,
    /// Time of a thousand good jobs among every kind of bad one
    Poison,
    /// Latency and memory of readers of one job and of a job each, by SSE and by WebSocket
    Readers,
    /// Time of each page of the dashboard on millions of jobs, and what the store pays while it is open
    Dashboard,
}

/// Measures each bar on each store, and prints a table.
///
/// # Errors
/// A store or a process fails, or a bar is missed.
pub(crate) async fn run(args: MeasureArgs) -> Result<()> {
    let bars = if args.bars.is_empty() { Bar::value_variants() } else { &args.bars };
    let mut missed = Vec::new();
    println!("{}", figure::HEAD);
    for store in StoreKind::chosen(&args.store) {
        for bar in bars {
            let target = Target::start(store).await?;
            let figures = match bar {
                Bar::Fire => limits::under_fire(&args.fire(), store, rand::random()).await?,
                Bar::Fair => limits::fairness(&args.fire(), store).await?,
                Bar::Limits => keyed::measure(&args, store).await?,
                Bar::Graph => graph::measure(&args, &target).await?,
                Bar::Steps => steps::measure(&args, &target).await?,
                Bar::Plain => plain::measure(&args, store).await?,
                Bar::Idle => idle::measure(&args, &target).await?,
                Bar::Waiting => waiting::measure(&args, &target).await?,
                Bar::Poison => poison::measure(store).await?,
                Bar::Readers => readers::measure(&args, &target).await?,
                Bar::Dashboard => dashboard::measure(&args, &target).await?,
            };
            figure::print(store, figures, &mut missed);
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(format!("{} bars are missed: {}", missed.len(), missed.join("; ")).into())
}
