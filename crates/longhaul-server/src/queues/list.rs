use std::io::{self, Write};

use clap::Args as ClapArgs;
use longhaul::{Longhaul, QueueInfo, State};
use longhaul_http::QueueBody;

use crate::Result;

/// List queues and how many jobs of each are in which state.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(longhaul: &Longhaul, args: Args) -> Result<()> {
    let mut queues = longhaul.store().queues().await?;
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    let mut out = io::stdout().lock();
    if args.json {
        for queue in queues {
            writeln!(out, "{}", serde_json::to_string(&QueueBody::from(queue))?)?;
        }
        return Ok(());
    }
    let width = queues.iter().map(|queue| queue.name.chars().count()).max().unwrap_or_default().max(5);
    let headings = State::ALL.map(|state| format!("{:>9}", state.as_str().to_uppercase()));
    writeln!(out, "{:<width$}  {}", "QUEUE", headings.join("  "))?;
    for queue in &queues {
        let counts = State::ALL.map(|state| format!("{:>9}", count(queue, state)));
        writeln!(out, "{:<width$}  {}", queue.name, counts.join("  "))?;
    }
    Ok(())
}

/// The number of jobs of a queue that are in a state.
pub(super) fn count(queue: &QueueInfo, state: State) -> u64 {
    queue.counts.get(&state).copied().unwrap_or_default()
}
