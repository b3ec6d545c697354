//! `longhaul queues`

mod act;
mod list;
pub(crate) mod set;
mod show;

use clap::{Args as ClapArgs, Subcommand};

use crate::client::{Client, Place, Queue, QueuePage};
use crate::{Coded, Result};

/// Look at queues, pause and resume them, and deal with what has failed in them. Works beside a running server, without
/// one, and from afar.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as `longhaul queues list --json` prints
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List queues and how many jobs of each are in which state; this is what `longhaul queues` alone does
    List(list::Args),
    /// Show one queue: its jobs per state, who works on it, how long its history is kept
    Show(show::Args),
    /// Take no more jobs of a queue; what runs goes on
    Pause(set::Paused),
    /// Take jobs of a queue again
    Resume(set::Paused),
    /// Let the limit keys of a queue take turns, or its jobs go by priority and age alone
    Fair(set::Fair),
    /// Bound the jobs that wait in a queue
    Set(set::Limits),
    /// Say how long, and how many of, the finished jobs of a queue are kept
    Retention(set::Retention),
    /// Run all failed jobs of a queue again, with all their attempts
    RetryFailed(act::Args),
    /// Remove all failed jobs of a queue for good
    CleanFailed(act::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul queues                                 what waits, runs and has failed
  longhaul queues show materials
  longhaul queues pause materials                 while its provider is down
  longhaul queues fair imports                    no tenant waits behind the thousand jobs of another
  longhaul queues set imports --slots 20          at most 20 run, however many workers there are
  longhaul queues set imports --max-waiting 10000 one more is refused, so that callers hear of it
  longhaul queues retention mail --completed 7d --failed 30d,10000
  longhaul jobs list queue:materials state:failed           which ones, and why
  longhaul queues retry-failed materials          once the cause is mended
  longhaul queues clean-failed materials          or to be rid of them: there is no way back";

pub(crate) async fn run(args: Args) -> Result<()> {
    let what = args.what.unwrap_or(What::List(list::Args { json: args.json }));
    if args.json && !matches!(what, What::List(_)) {
        return Err(Coded::misplaced_json().into());
    }
    let client = args.place.open().await?;
    let done = match what {
        What::List(list) => list::run(&client, list::Args { json: list.json || args.json }).await,
        What::Show(args) => show::run(&client, args).await,
        What::Pause(args) => set::paused(&client, args, "pause").await,
        What::Resume(args) => set::paused(&client, args, "resume").await,
        What::Fair(args) => set::fair(&client, args).await,
        What::Set(args) => set::set_limits(&client, args).await,
        What::Retention(args) => set::retention(&client, args).await,
        What::RetryFailed(args) => act::retry(&client, args).await,
        What::CleanFailed(args) => act::clean(&client, args).await,
    };
    client.flush().await;
    done
}

/// All queues by name, each with its JSON.
async fn all(client: &Client) -> Result<Vec<(Queue, String)>> {
    let page: QueuePage = client.get("/queues").await?;
    page.queues.iter().map(|queue| Ok((serde_json::from_str(queue.get())?, queue.get().to_owned()))).collect()
}

/// The queue of this name and its JSON, or which ones there are.
async fn find(client: &Client, name: &str) -> Result<(Queue, String)> {
    let queues = all(client).await?;
    let names: Vec<String> = queues.iter().map(|(queue, _)| queue.name.clone()).collect();
    let found = queues.into_iter().find(|(queue, _)| queue.name == name);
    found.ok_or_else(|| match names.as_slice() {
        [] => format!("there is no queue {name}: nothing was ever enqueued here").into(),
        names => format!("there is no queue {name}; there are {}", names.join(", ")).into(),
    })
}
