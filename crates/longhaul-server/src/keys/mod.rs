//! `longhaul keys`

mod list;
mod pause;
mod set;
mod show;

use std::io::{self, Write};

use clap::{Args as ClapArgs, Subcommand};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::{Client, Place, Rate};
use crate::terminal::{Table, grouped};
use crate::{Coded, Result};

/// Look at limit keys, set their limits, pause and resume them. A limit key is a name that jobs share, such as a provider or a
/// tenant, with a bound on what runs and starts over all queues and workers.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as `longhaul keys list --json` prints
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List limit keys with their limits, what waits and what runs; this is what `longhaul keys` alone does
    List(list::Args),
    /// Show one limit key, with its limits or those of its prefix
    Show(show::Args),
    /// Set all limits of a key, or of all keys whose names begin alike
    Set(set::Args),
    /// Take the limits of a key away; those of its longest prefix hold then
    Remove(set::Remove),
    /// Take no more jobs of a key; what runs goes on
    Pause(pause::Pause),
    /// Take jobs of a key again
    Resume(pause::Resume),
}

const EXAMPLES: &str = "\
Examples:
  longhaul keys                                   what waits, runs and is closed
  longhaul keys set provider:openai --slots 10 --rate 90000/1m
  longhaul keys set 'tenant:*' --slots 2          each tenant, over all workers
  longhaul keys set tenant:42 --slots 8 --weight 4
  longhaul keys pause provider:openai --for 10m   while it is down
  longhaul keys resume provider:openai
  longhaul jobs list key:tenant:42                the jobs of one";

pub(crate) async fn run(args: Args) -> Result<()> {
    let what = args.what.unwrap_or(What::List(list::Args { json: args.json, ..list::Args::default() }));
    if args.json && !matches!(what, What::List(_)) {
        return Err(Coded::misplaced_json().into());
    }
    let client = args.place.open().await?;
    match what {
        What::List(list) => list::run(&client, list::Args { json: list.json || args.json, ..list }).await,
        What::Show(args) => show::run(&client, args).await,
        What::Set(args) => set::set(&client, args).await,
        What::Remove(args) => set::remove(&client, args).await,
        What::Pause(args) => pause::pause(&client, args).await,
        What::Resume(args) => pause::resume(&client, args).await,
    }
}

#[derive(Debug, Deserialize)]
struct KeyPage {
    keys: Vec<Box<RawValue>>,
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    key: String,
    waiting: u64,
    running: u64,
    slots: Option<u32>,
    rate: Option<Rate>,
    weight: u32,
    max_waiting: Option<u64>,
    own: bool,
    closed_until: Option<String>,
    rate_free_at: Option<String>,
    why: Option<String>,
}

/// Shows one key: as JSON, or as a line below the headings.
fn print(text: &str, json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    table(&mut out, &[serde_json::from_str(text)?])
}

fn table(out: &mut impl Write, keys: &[Key]) -> Result<()> {
    let headings = ["KEY", "WAITING", "RUNNING", "SLOTS", "RATE", "WEIGHT", ""].map(str::to_owned);
    let mut rows = vec![headings];
    for key in keys {
        let none = || "-".to_owned();
        let closed = key.closed_until.as_ref().map(|until| format!("paused until {until}"));
        let full = (key.why.as_deref() == Some("slots_key")).then(|| "when a slot is free".to_owned());
        let note = closed.or(full).or_else(|| key.rate_free_at.as_ref().map(|at| format!("next start {at}")));
        let inherited = (!key.own
            && (key.slots.is_some() || key.rate.is_some() || key.max_waiting.is_some()))
        .then(|| "limits of its prefix".into());
        rows.push([
            key.key.clone(),
            match key.max_waiting {
                Some(most) => format!("{} of {}", grouped(key.waiting), grouped(most)),
                None => grouped(key.waiting),
            },
            grouped(key.running),
            key.slots.map_or_else(none, |slots| grouped(slots.into())),
            key.rate.as_ref().map_or_else(none, Rate::to_string),
            key.weight.to_string(),
            note.or(inherited).unwrap_or_default(),
        ]);
    }
    Table::<7>::new(&[6]).write(out, &rows)?;
    Ok(())
}

async fn page(client: &Client, query: &str) -> Result<KeyPage> {
    client.get(&format!("/keys?{query}")).await
}
