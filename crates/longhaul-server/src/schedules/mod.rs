//! `longhaul schedules`

mod act;
mod list;
mod set;
mod show;

use std::fmt::Display;

use clap::{Args as ClapArgs, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Client, Place, State, encoded};
use crate::{Coded, Result};

/// Look at schedules, make and change them, pause and resume them, and run them now. Works beside a running server, without
/// one, and from afar. What fires them is a server: longhaul serve, or longhaul worker.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as `longhaul schedules list --json` prints
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List schedules with their last and next ticks; this is what `longhaul schedules` alone does
    List(list::Args),
    /// Show one schedule: its job, its last ticks and how they ended, its next ticks
    Show(show::Args),
    /// Make a schedule, or put another one in the place of what has its name
    Set(Box<set::Args>),
    /// Enqueue a schedule's job now, beside its ticks
    Run(act::Args),
    /// Leave ticks out until the schedule is resumed
    Pause(act::Args),
    /// Fire ticks again, from now on
    Resume(act::Args),
    /// Delete a schedule; jobs that it has enqueued stay
    Delete(act::Args),
}

const EXAMPLES: &str = "\
Examples:
  longhaul schedules                              what runs when, and what ran last
  longhaul schedules set nightly report what=sales --cron '0 3 * * *' --timezone Europe/Berlin
  longhaul schedules set often sync --every 15m --queue sync
  longhaul schedules run nightly                  now, beside its ticks
  longhaul schedules pause nightly                on every server, and through restarts
  longhaul jobs list label.schedule:nightly state:failed     which of its jobs failed, and why";

pub(crate) async fn run(args: Args) -> Result<()> {
    let what = args.what.unwrap_or(What::List(list::Args { json: args.json }));
    if args.json && !matches!(what, What::List(_)) {
        return Err(Coded::misplaced_json().into());
    }
    let client = args.place.open().await?;
    match what {
        What::List(list) => list::run(&client, list::Args { json: list.json || args.json }).await?,
        What::Show(args) => show::run(&client, args).await?,
        What::Set(args) => set::run(&client, *args).await?,
        What::Run(args) => act::now(&client, args).await?,
        What::Pause(args) => act::paused(&client, args, "pause").await?,
        What::Resume(args) => act::paused(&client, args, "resume").await?,
        What::Delete(args) => act::delete(&client, args).await?,
    }
    client.flush().await;
    Ok(())
}

/// A schedule, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Schedule {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    catch_up: String,
    #[serde(default)]
    jitter: f64,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    origin: String,
    job: ScheduledJob,
    #[serde(default)]
    recent: Vec<Tick>,
    #[serde(default)]
    next: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct ScheduledJob {
    kind: String,
    args: Box<RawValue>,
    #[serde(default)]
    queue: String,
}

#[derive(Debug, Deserialize)]
struct Tick {
    at: String,
    job: String,
    #[serde(default)]
    state: Option<State>,
}

impl Tick {
    fn outcome(&self) -> &'static str {
        self.state.map_or("gone", State::as_str)
    }
}

#[derive(Debug, Deserialize)]
struct SchedulePage {
    schedules: Vec<Box<RawValue>>,
}

/// All schedules by name, each with its JSON.
async fn all(client: &Client) -> Result<Vec<(Schedule, String)>> {
    let page: SchedulePage = client.get("/schedules").await?;
    page.schedules.iter().map(|one| Ok((serde_json::from_str(one.get())?, one.get().to_owned()))).collect()
}

/// The schedule of this name and its JSON, or which ones there are.
async fn find(client: &Client, name: &str) -> Result<(Schedule, String)> {
    let schedules = all(client).await?;
    let names: Vec<String> = schedules.iter().map(|(schedule, _)| schedule.name.clone()).collect();
    let found = schedules.into_iter().find(|(schedule, _)| schedule.name == name);
    found.ok_or_else(|| match names.as_slice() {
        [] => format!("there is no schedule {name}, nor any other: longhaul schedules set --help makes one")
            .into(),
        names => format!("there is no schedule {name}; there are {}", names.join(", ")).into(),
    })
}

fn path(name: &str, rest: impl Display) -> String {
    format!("/schedules/{}{rest}", encoded(name))
}
