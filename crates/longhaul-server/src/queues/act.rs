use clap::Args as ClapArgs;
use serde_json::json;

use super::find;
use crate::Result;
use crate::client::{Client, State};
use crate::jobs::act::{self, Bounds, Deed, Look, Yes};
use crate::jobs::search::{Fields, Search};
use crate::output::print;

/// The queue to deal with.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The queue's name
    queue: String,
    /// The most jobs to act on [default: all that have failed by now]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The result as JSON: {"matched", "done", "complete"}
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(client: &Client, args: Args) -> Result<()> {
    act(client, args, Deed::Retry, "will run again").await
}

pub(super) async fn clean(client: &Client, args: Args) -> Result<()> {
    act(client, args, Deed::Delete, "removed").await
}

async fn act(client: &Client, args: Args, deed: Deed, done: &str) -> Result<()> {
    let failed = find(client, &args.queue).await?.0.count(State::Failed);
    // Counted once: what is retried may fail again while this goes on, and must not be retried for ever.
    let wanted = args.limit.unwrap_or(failed).min(failed);
    let search = Search::new(Fields::failed_of(&args.queue), Vec::new());
    let bounds = Bounds { limit: Some(wanted), yes: Yes::Given, look: Look::ThenAct };
    let acted = if wanted == 0 { 0 } else { act::all(client, &search, &deed, &bounds).await?.done };
    if args.json {
        return Ok(print(json!({"matched": failed, "done": acted, "complete": acted == failed}))?);
    }
    print(format_args!("{acted} of {failed} failed jobs of {} {done}", args.queue))?;
    if acted < wanted {
        print("the others have gone meanwhile, or another job holds their unique key")?;
    }
    Ok(())
}
