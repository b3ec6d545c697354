//! `longhaul-chaos`: workers and API servers under load, while they and their store are killed, stopped and cut off;
//! and a checker that reads what they saw.
//!
//! | file | what |
//! |---|---|
//! | `run` | one run: the company, the load, the faults, the end, the report |
//! | `company` | the processes of a run and what they have seen |
//! | `servers` | the stores' own servers, in temporary folders |
//! | `proxy` | a way to them that can be cut, and that can fall silent |
//! | `outage` | a store that is away for a minute |
//! | `partition` | a network that breaks between a worker and its store |
//! | `stage` | the store's server and the way to it, both of which can fail |
//! | `cast` | processes that can be killed, stopped and continued |
//! | `scale` | what more worker processes bring |
//! | `load` | clients that insist until their job is acknowledged |
//! | `worker`, `observed` | a worker that notes what it is given and what it ends |
//! | `history`, `check` | what was seen, and what that proves |

mod cast;
mod check;
mod company;
mod history;
mod load;
mod observed;
mod outage;
mod partition;
mod proxy;
mod run;
mod scale;
mod servers;
mod stage;
mod worker;

use clap::{Parser, Subcommand};

/// What can go wrong here goes to the person who started it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Kills, stops and cuts off workers, servers and stores under load, and checks what became of the jobs.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One run on each of the stores
    Run(run::RunArgs),
    /// A network that breaks between a worker and its store; needs root, for network namespaces
    Partition(partition::PartitionArgs),
    /// A store that is away for a minute
    Outage(outage::OutageArgs),
    /// What more worker processes bring: one full queue, drained by 1, 2, 4 and 8
    Scale(scale::ScaleArgs),
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
        match Cli::parse().command {
            Command::Run(args) => run::run(args).await,
            Command::Partition(args) => partition::run(args).await,
            Command::Outage(args) => outage::run(args).await,
            Command::Scale(args) => scale::run(args).await,
            Command::Worker(args) => {
                let store = stage::open(&args.store).await?;
                worker::work(args, store).await
            }
        }
    })
}
