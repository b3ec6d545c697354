//! `longhaul queues`: looks at the store itself, so it works beside a running server and without one.

mod act;
mod list;
mod show;

use clap::{Args as ClapArgs, Subcommand};
use longhaul::{Longhaul, QueueInfo};

use crate::Result;
use crate::stores::StoreArgs;

/// Look at queues, and deal with what has failed in them. Works beside a running server and without one.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List queues and how many jobs of each are in which state
    List(list::Args),
    /// Show one queue: its jobs per state, who works on it, how long its history is kept
    Show(show::Args),
    /// Run all failed jobs of a queue again, with all their attempts
    RetryFailed(act::Args),
    /// Remove all failed jobs of a queue for good
    CleanFailed(act::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul queues list                            what waits, runs and has failed
  longhaul queues show materials
  longhaul jobs list --queue materials --state failed     which ones, and why
  longhaul queues retry-failed materials          once the cause is mended
  longhaul queues clean-failed materials          or to be rid of them: there is no way back";

pub(crate) async fn run(args: Args) -> Result<()> {
    let longhaul = args.stores.open_existing().await?;
    match args.what {
        What::List(args) => list::run(&longhaul, args).await,
        What::Show(args) => show::run(&longhaul, args).await,
        What::RetryFailed(args) => act::retry(&longhaul, args).await,
        What::CleanFailed(args) => act::clean(&longhaul, args).await,
    }
}

/// The queue of this name, or which ones there are.
async fn find(longhaul: &Longhaul, name: &str) -> Result<QueueInfo> {
    let queues = longhaul.store().queues().await?;
    let mut names: Vec<String> = queues.iter().map(|queue| queue.name.clone()).collect();
    names.sort_unstable();
    let found = queues.into_iter().find(|queue| queue.name == name);
    found.ok_or_else(|| match names.as_slice() {
        [] => format!("there is no queue {name}: nothing was ever enqueued here").into(),
        names => format!("there is no queue {name}; there are {}", names.join(", ")).into(),
    })
}
