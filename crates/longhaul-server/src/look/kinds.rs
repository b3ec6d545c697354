use std::io::{self, Write};

use clap::Args as ClapArgs;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Times;
use crate::Result;
use crate::client::Place;
use crate::terminal::{Table, grouped};

/// List kinds of jobs: which workers know them, in which versions they wait, and how they went within the last hour. A kind
/// that no worker knows waits for ever.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul kinds
  longhaul kinds --json | jq 'select(.known | not)'        jobs that nobody takes")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct KindPage {
    kinds: Vec<Box<RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: String,
    known: bool,
    workers: u64,
    versions: Vec<Version>,
    newest_supported: Option<u32>,
    completed: u64,
    failed: u64,
    wait: Times,
    run: Times,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Version {
    queue: String,
    version: u32,
    waiting: u64,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let page: KindPage = client.get("/kinds").await?;
    let mut out = io::stdout().lock();
    if args.json {
        for kind in &page.kinds {
            writeln!(out, "{}", kind.get())?;
        }
        return Ok(());
    }
    let headings = [
        "KIND",
        "WORKERS",
        "VERSION",
        "WAITING",
        "COMPLETED",
        "FAILED",
        "WAIT P50",
        "RUN P50",
        "RUN P99",
        "",
    ];
    let mut rows = vec![headings.map(String::from)];
    for kind in &page.kinds {
        let kind: Kind = serde_json::from_str(kind.get())?;
        rows.push(cells(kind));
    }
    Table::<10>::new(&[9]).write(&mut out, &rows)?;
    Ok(())
}

fn cells(kind: Kind) -> [String; 10] {
    let newest = kind.newest_supported;
    let drifted: Vec<String> = kind
        .versions
        .iter()
        .filter(|version| version.waiting > 0 && newest.is_some_and(|newest| version.version > newest))
        .map(|version| {
            format!(
                "{} of version {} wait in {} for newer workers",
                version.waiting, version.version, version.queue
            )
        })
        .collect();
    let waiting: u64 = kind.versions.iter().map(|version| version.waiting).sum();
    let note = if kind.known { drifted.join(", ") } else { "no worker runs it".into() };
    let [wait, ..] = kind.wait.cells();
    let [run, _, slow, _] = kind.run.cells();
    [
        kind.kind,
        kind.workers.to_string(),
        newest.map_or_else(|| "-".into(), |version| version.to_string()),
        grouped(waiting),
        grouped(kind.completed),
        grouped(kind.failed),
        wait,
        run,
        slow,
        note,
    ]
}
