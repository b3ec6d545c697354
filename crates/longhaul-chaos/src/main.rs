//! `longhaul-chaos`: workers and API servers under load, while they and their store are killed, stopped and cut off, and
//! a checker of the history that they write.
//!
//! | file | what |
//! |---|---|
//! | `run` | random faults under load, then the check |
//! | `outage` | a store that is unreachable for a minute |
//! | `partition` | a network that breaks between a worker and its store |
//! | `scale` | throughput by worker processes |
//! | `limits` | slots, rates and turns of limit keys while workers are killed and stopped |
//! | `measure` | bars in time, for `make measure` |
//! | `figure` | what was measured, and how it stands to its bar |
//! | `soak` | hours of steady load with kills, for `make soak` |
//! | `upgrade` | the last release beside this one, there and back |
//! | `zoo` | every kind of bad job beside a thousand good ones |
//! | `cluster` | the processes of a run and the history that they write |
//! | `process` | a process that can be killed, stopped and continued |
//! | `target` | the store's server and the network path to it, both of which can fail |
//! | `proxy` | a network path that can be cut, and that can fall silent |
//! | `load` | clients that repeat a request until their job is acknowledged |
//! | `worker`, `observed` | a worker that notes what it claims and what it finishes |
//! | `history`, `check` | the history, and its check against the promises |

mod check;
mod cluster;
mod figure;
mod history;
mod limits;
mod load;
mod measure;
mod observed;
mod outage;
mod partition;
mod process;
mod proxy;
mod run;
mod scale;
mod soak;
mod target;
mod upgrade;
mod worker;
mod zoo;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Every fault ends the program with its message.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Kills, stops and cuts off workers, servers and stores under load, and checks what became of the jobs.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The promises that a run is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Judge {
    /// Counts and outcomes, which hold on a busy machine too
    Outcomes,
    /// Also bars in seconds, for a machine that does nothing else
    Times,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run on each of the stores
    Run(run::RunArgs),
    /// A network that breaks between a worker and its store; needs root, for network namespaces
    Partition(partition::PartitionArgs),
    /// A store that is unreachable for a minute
    Outage(outage::OutageArgs),
    /// Limits of keys under fire: slots, rates and fair turns
    Limits(limits::LimitsArgs),
    /// Throughput by worker processes: one full queue, drained by 1, 2, 4 and 8
    Scale(scale::ScaleArgs),
    /// Bars in time, each figure beside its bar and whether it holds
    Measure(measure::MeasureArgs),
    /// Hours of steady load with kills each minute: memory, disk and latency stay what they are, and nothing is lost
    Soak(soak::SoakArgs),
    /// The last release and this one on the same store: first the one, then both, then the other, and back
    Upgrade(upgrade::UpgradeArgs),
    /// A worker of a run; started by it
    #[command(hide = true)]
    Worker(worker::WorkerArgs),
}

fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::OFF)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // What a run has started is ended as its future is dropped, so a signal must not end the process before that.
        tokio::select! {
            ran = execute(Cli::parse().command) => ran,
            signal = ended_by_signal() => Err(format!("ended by {}", signal?).into()),
        }
    })
}

async fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run(args) => run::run(args).await,
        Command::Partition(args) => partition::run(args).await,
        Command::Outage(args) => outage::run(args).await,
        Command::Limits(args) => limits::run(args).await,
        Command::Scale(args) => scale::run(args).await,
        Command::Measure(args) => measure::run(args).await,
        Command::Soak(args) => soak::run(args).await,
        Command::Upgrade(args) => upgrade::run(args).await,
        Command::Worker(args) => {
            let store = target::open(&args.store).await?;
            worker::work(args, store).await
        }
    }
}

/// Answers the name of the first signal that asks this process to end.
async fn ended_by_signal() -> std::io::Result<&'static str> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}
