//! `longhaul worker`

use clap::Args as ClapArgs;

use crate::services::{self, Selection};
use crate::stores::{DurabilityArgs, StoreArgs};
use crate::work::{self, Work};
use crate::{Result, logging, signals};

/// Run jobs without serving anything: more hands for a server that runs with --no-worker, on the same store.
///
/// With the embedded store all processes share one file, so this is of use on the server's machine only.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    #[command(flatten)]
    durability: DurabilityArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    work: Work,
}

const EXAMPLES: &str = "\
Examples:
  longhaul serve --no-worker &                    answers requests and does nothing else
  nice longhaul worker --slots 4                  reads documents, and yields to everything else";

pub(crate) async fn run(args: Args) -> Result<()> {
    logging::start()?;
    let stop = signals::listen()?;
    let stores = args.stores.open_durable(args.durability.durability).await?;
    let services = services::open(&args.selection, &args.stores, &stores, None, "").await?;
    stores.announce();
    services.announce();
    let worker = args.work.start(&services, crate::stores::redaction()?)?;
    stop.cancelled().await;
    work::stop(worker, args.work.grace()).await;
    tracing::info!("stopped");
    Ok(())
}
