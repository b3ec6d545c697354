//! `longhaul jobs`: looks at the store itself, so it works beside a running server and without one.

mod act;
mod filter;
mod list;
mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::Result;
use crate::stores::StoreArgs;

/// Look at jobs, retry and cancel them. Works beside a running server and without one.
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
    /// List jobs, newest first
    List(list::Args),
    /// Show one job and what it has logged
    Show(show::Args),
    /// Run finished jobs again, with all their attempts
    Retry(act::Args),
    /// End waiting jobs, and ask running ones to stop
    Cancel(act::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs list --state failed
  longhaul jobs list --label course=17 --json | head -1
  longhaul jobs list --parent github-batch-0199c1f2
  longhaul jobs show materials-0199c1f2
  longhaul jobs retry --state failed --kind materials.process
  longhaul jobs cancel materials-0199c1f2 --data /var/lib/longhaul";

pub(crate) async fn run(args: Args) -> Result<()> {
    let longhaul = args.stores.open_existing().await?;
    match args.what {
        What::List(args) => list::run(&longhaul, args).await,
        What::Show(args) => show::run(&longhaul, args).await,
        What::Retry(args) => act::retry(&longhaul, args).await,
        What::Cancel(args) => act::cancel(&longhaul, args).await,
    }
}

/// A moment as people and programs read it.
fn time(at: longhaul::Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => "?".into(),
    }
}
