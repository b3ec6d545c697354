//! `longhaul migrate`

use clap::Args as ClapArgs;

use crate::Result;
use crate::output::print;
use crate::services::{self, Selection};
use crate::stores::StoreArgs;

/// Create or update the tables, and exit. `serve` and `worker` do this themselves when they start; the command is
/// for those who want to do it apart. Doing it twice does nothing.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    stores: StoreArgs,
    #[command(flatten)]
    selection: Selection,
}

const EXAMPLES: &str = "\
Examples:
  longhaul migrate --data /var/lib/longhaul && systemctl restart longhaul";

pub(crate) async fn run(args: Args) -> Result<()> {
    let stores = args.stores.open().await?;
    services::open(&args.selection, &args.stores, &stores, None, "").await?;
    print(format_args!("{} is up to date", stores.described()))?;
    Ok(())
}
