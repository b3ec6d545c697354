use std::io::{self, Write};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::find;
use crate::Result;
use crate::client::{Client, Keep, Queue, State, Worker, WorkerPage, indented};

/// Show one queue: its jobs per state, who works on it, how long its history is kept.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The queue's name
    queue: String,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let (queue, json) = find(client, &args.queue).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", indented(&json))?;
        return Ok(());
    }
    writeln!(out, "{:<10} {}{}", "queue", queue.name, if queue.paused { ", paused" } else { "" })?;
    for state in State::ALL {
        writeln!(out, "{:<10} {}", state.as_str(), queue.count(state))?;
    }
    let page: WorkerPage = client.get("/workers").await?;
    let mut slots = Vec::new();
    for worker in &page.workers {
        let worker: Worker = serde_json::from_str(worker.get())?;
        slots.extend(
            worker.queues.into_iter().filter(|served| served.queue == queue.name).map(|served| served.slots),
        );
    }
    let total: u64 = slots.iter().sum();
    writeln!(out, "{:<10} {} with {total} slots, heard of within the last minute", "workers", slots.len())?;
    for (what, limit) in [("slots", slot_limit(&queue)), ("rate", rate_limit(&queue))] {
        if let Some(limit) = limit {
            writeln!(out, "{what:<10} {limit}")?;
        }
    }
    if let Some(bound) = bound(&queue) {
        writeln!(out, "{:<10} {bound}", "bound")?;
    }
    for line in kept(&queue) {
        writeln!(out, "{:<10} {line}", "keeps")?;
    }
    Ok(())
}

/// The most slots that jobs of a queue take over all workers, where there is a limit, and how many are taken.
pub(super) fn slot_limit(queue: &Queue) -> Option<String> {
    let most = queue.config.slots?;
    Some(format!("{} of {most} taken, over all workers", queue.used.unwrap_or_default()))
}

/// The rate at which jobs of a queue start, where there is a limit, and how many may now.
pub(super) fn rate_limit(queue: &Queue) -> Option<String> {
    let rate = queue.config.rate?;
    Some(format!("{rate}; {} may start now", queue.rate_left.unwrap_or(rate.burst.into())))
}

/// The most jobs that may wait in a queue, where there is a bound, and what becomes of one more.
pub(super) fn bound(queue: &Queue) -> Option<String> {
    let most = queue.config.max_waiting?;
    let fate = match queue.config.on_full.as_str() {
        "drop_oldest" => "one more cancels the oldest of them",
        "drop_newest" => "one more is cancelled at once",
        _ => "one more is refused",
    };
    Some(format!("at most {most} wait; {fate}"))
}

/// The history of a queue that is kept, an outcome a line.
pub(super) fn kept(queue: &Queue) -> Vec<String> {
    let outcomes = ["completed", "failed", "cancelled"].into_iter();
    let keep = |outcome: &str| queue.config.retention.get(outcome).copied().unwrap_or_default();
    outcomes.map(|outcome| format!("{outcome} {}", in_words(keep(outcome)))).collect()
}

fn in_words(keep: Keep) -> String {
    let age = keep.age.and_then(|age| Duration::try_from_secs_f64(age).ok()).map(|age| {
        let seconds = age.as_secs();
        match seconds {
            86_400.. if seconds % 86_400 == 0 => format!("for {} days", seconds / 86_400),
            3_600.. if seconds % 3_600 == 0 => format!("for {} hours", seconds / 3_600),
            _ => format!("for {seconds} s"),
        }
    });
    let count = keep.count.map(|count| format!("at most {count}"));
    let bounds: Vec<String> = age.into_iter().chain(count).collect();
    if bounds.is_empty() { "for ever".into() } else { bounds.join(", ") }
}
