use std::io::{self, Write};

use clap::Args as ClapArgs;
use longhaul::{Keep, Longhaul, State};
use longhaul_http::QueueBody;

use super::find;
use super::list::count;
use crate::Result;

/// Show one queue: its jobs per state, who works on it, how long its history is kept.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The queue's name
    queue: String,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(longhaul: &Longhaul, args: Args) -> Result<()> {
    let queue = find(longhaul, &args.queue).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&QueueBody::from(queue))?)?;
        return Ok(());
    }
    writeln!(out, "{:<10} {}", "queue", queue.name)?;
    for state in State::ALL {
        writeln!(out, "{:<10} {}", state.as_str(), count(&queue, state))?;
    }
    let workers = longhaul.store().workers().await?;
    let slots: Vec<usize> = workers
        .iter()
        .filter_map(|worker| worker.queues.iter().find(|served| served.queue == queue.name))
        .map(|served| served.slots)
        .collect();
    let total: usize = slots.iter().sum();
    writeln!(out, "{:<10} {} with {total} slots, heard of within the last minute", "workers", slots.len())?;
    let retention = &queue.config.retention;
    for (outcome, keep) in [
        ("completed", &retention.completed),
        ("failed", &retention.failed),
        ("cancelled", &retention.cancelled),
    ] {
        writeln!(out, "{:<10} {outcome} {}", "keeps", in_words(keep))?;
    }
    Ok(())
}

fn in_words(keep: &Keep) -> String {
    let age = keep.age.map(|age| {
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
