//! Bars in time, measured by hand on a quiet machine with a release build (`make measure`). `make test` asserts nothing of
//! this: a busy machine would decide it.

mod dashboard;
mod graph;
mod idle;
mod limits;
mod poison;
mod readers;
mod served;
mod steps;
mod waiting;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::Result;
use crate::target::{StoreKind, Target};

/// The flags of a measurement.
#[derive(Args, Clone, Debug)]
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
    /// The server that readers and the dashboard read from
    #[arg(long, value_name = "BINARY", default_value = "target/release/longhaul")]
    longhaul: PathBuf,
    /// Seconds for which idle processes are watched
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// A bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bar {
    /// CPU time of idle processes and of the store's server; duration of a sweep
    Idle,
    /// Cost that waiting claims add to an enqueue on another queue
    Waiting,
    /// Time of a thousand good jobs among every kind of bad one
    Poison,
    /// Cost of calls beside very many jobs of a paused key and beside very many keys, and of a key on every job
    Limits,
    /// Time and memory of a graph of very many jobs, and the time in which it is cancelled
    Graph,
    /// Time in which a job with very many finished steps is resumed
    Steps,
    /// Latency and memory of readers of one job and of a job each, by SSE and by WebSocket
    Readers,
    /// Time of each page of the dashboard on millions of jobs, and what the store pays while it is open
    Dashboard,
}

/// A line of the table.
struct Figure {
    name: String,
    value: String,
    bar: &'static str,
}

/// Measures each bar on each store, and prints a table.
///
/// # Errors
/// Where a store or a process fails.
pub(crate) async fn run(args: MeasureArgs) -> Result<()> {
    let bars = if args.bars.is_empty() { Bar::value_variants() } else { &args.bars };
    println!("| store | measured | figure | bar |\n|---|---|--:|--:|");
    for store in StoreKind::chosen(&args.store) {
        for bar in bars {
            let target = Target::start(store).await?;
            let figures = match bar {
                Bar::Idle => idle::measure(&args, &target).await?,
                Bar::Waiting => waiting::measure(&args, &target).await?,
                Bar::Poison => poison::measure(store).await?,
                Bar::Limits => limits::measure(&args, store).await?,
                Bar::Graph => graph::measure(&args, &target).await?,
                Bar::Steps => steps::measure(&args, &target).await?,
                Bar::Readers => readers::measure(&args, &target).await?,
                Bar::Dashboard => dashboard::measure(&args, &target).await?,
            };
            for Figure { name, value, bar } in figures {
                println!("| {store:?} | {name} | {value} | {bar} |");
            }
        }
    }
    Ok(())
}

/// A part of times in order, from 0 for the least to 1 for the most.
fn part(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}
