use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use serde::Deserialize;

use super::{Times, Window, spark};
use crate::Result;
use crate::client::Place;
use crate::terminal::{Table, grouped};

/// Show how many jobs came, completed and failed in a time, and how long they waited and ran.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul stats
  longhaul stats --window 24h --queue materials
  longhaul stats --json | jq .wait.p99")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    window: Window,
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    series: Vec<Point>,
    wait: Times,
    run: Times,
    queues: Vec<Part>,
    kinds: Vec<Part>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Point {
    enqueued: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    retried: u64,
}

/// The jobs of a queue or of a kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    queue: String,
    kind: String,
    completed: u64,
    failed: u64,
    wait: Times,
    run: Times,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let text = client.text(Method::GET, &format!("/stats{}", args.window.query()), None).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let Stats { series, wait, run, queues, kinds } = serde_json::from_str(&text)?;
    let line = |name: &str, count: fn(&Point) -> u64| {
        let counts: Vec<u64> = series.iter().map(count).collect();
        [name.to_owned(), grouped(counts.iter().sum()), spark(&counts)]
    };
    let lines = [
        line("enqueued", |point| point.enqueued),
        line("completed", |point| point.completed),
        line("failed", |point| point.failed),
        line("cancelled", |point| point.cancelled),
        line("retried", |point| point.retried),
    ];
    Table::<3>::new(&[2]).write(&mut out, &lines)?;
    writeln!(out)?;
    let mut rows = vec![
        ["", "COMPLETED", "FAILED", "WAIT P50", "P90", "P99", "MAX", "RUN P50", "P90", "P99", "MAX"]
            .map(String::from),
    ];
    let sum = |count: fn(&Point) -> u64| series.iter().map(count).sum();
    rows.push(cells("all", sum(|point| point.completed), sum(|point| point.failed), wait, run));
    for Part { queue, kind, completed, failed, wait, run } in queues.into_iter().chain(kinds) {
        let name = if queue.is_empty() { format!("kind {kind}") } else { format!("queue {queue}") };
        rows.push(cells(&name, completed, failed, wait, run));
    }
    Table::<11>::new(&[]).write(&mut out, &rows)?;
    Ok(())
}

fn cells(name: &str, completed: u64, failed: u64, wait: Times, run: Times) -> [String; 11] {
    let [a, b, c, d] = wait.cells();
    let [e, f, g, h] = run.cells();
    [name.to_owned(), grouped(completed), grouped(failed), a, b, c, d, e, f, g, h]
}
