use clap::Args as ClapArgs;
use longhaul::{Action, JobFilter, Longhaul, State};

use super::find;
use super::list::count;
use crate::Result;

/// The queue to deal with.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The queue's name
    queue: String,
    /// The most jobs to act on [default: all that have failed by now]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Jobs acted on in one call, so that nobody else waits long for the store.
const BATCH: u64 = 1_000;

pub(super) async fn retry(longhaul: &Longhaul, args: Args) -> Result<()> {
    act(longhaul, args, Action::Retry, "will run again").await
}

pub(super) async fn clean(longhaul: &Longhaul, args: Args) -> Result<()> {
    act(longhaul, args, Action::Delete, "removed").await
}

async fn act(longhaul: &Longhaul, args: Args, action: Action, done: &str) -> Result<()> {
    let failed = count(&find(longhaul, &args.queue).await?, State::Failed);
    // Counted once: what is retried may fail again while this goes on, and must not be retried for ever.
    let wanted = args.limit.unwrap_or(failed).min(failed);
    let filter =
        JobFilter { queues: vec![args.queue.clone()], states: vec![State::Failed], ..JobFilter::default() };
    let mut acted = 0;
    while acted < wanted {
        let batch = BATCH.min(wanted - acted);
        let count = longhaul.store().act(&filter, action.clone(), usize::try_from(batch)?).await?.done;
        acted += count;
        if count < batch {
            break;
        }
    }
    println!("{acted} of {failed} failed jobs of {} {done}", args.queue);
    if acted < wanted {
        println!("the others have gone meanwhile, or another job holds their unique key");
    }
    Ok(())
}
