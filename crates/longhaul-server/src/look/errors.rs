use std::io::{self, Write};

use clap::Args as ClapArgs;
use longhaul::Clock;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Window, spark};
use crate::Result;
use crate::client::{Place, one_line};
use crate::terminal::{Table, grouped, since};

/// List failures in groups: those of one kind whose messages differ only in numbers, ids and quoted words.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul errors
  longhaul errors --window 7d --kind materials.process
  longhaul jobs list error:FINGERPRINT            the jobs of a group
  longhaul jobs retry state:failed error:FINGERPRINT")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    window: Window,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct GroupPage {
    groups: Vec<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    fingerprint: String,
    kind: String,
    message: String,
    count: u64,
    last_at: String,
    spark: Vec<u64>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let page: GroupPage = client.get(&format!("/errors{}", args.window.query())).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for group in &page.groups {
            writeln!(out, "{}", group.get())?;
        }
        return Ok(());
    }
    if page.groups.is_empty() {
        writeln!(out, "nothing has failed in this time; --window 7d looks further back")?;
        return Ok(());
    }
    let now = Clock::system().now();
    let mut rows = vec![["COUNT", "LAST", "", "KIND", "FINGERPRINT", "MESSAGE"].map(String::from)];
    for group in &page.groups {
        let Group { fingerprint, kind, message, count, last_at, spark: counts } =
            serde_json::from_str(group.get())?;
        let last = format!("{} ago", since(&last_at, now));
        rows.push([grouped(count), last, spark(&counts), kind, fingerprint, one_line(&message, 120)]);
    }
    Table::<6>::new(&[1, 2, 3, 4, 5]).write(&mut out, &rows)?;
    Ok(())
}
