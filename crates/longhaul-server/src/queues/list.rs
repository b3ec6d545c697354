use std::io::{self, Write};

use clap::Args as ClapArgs;

use super::all;
use super::show::{rate_limit, slot_limit};
use crate::Result;
use crate::client::{Client, State};
use crate::terminal::Table;

/// List queues and how many jobs of each are in which state.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let queues = all(client).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for (_, json) in queues {
            writeln!(out, "{json}")?;
        }
        return Ok(());
    }
    let headings =
        ["QUEUE".to_owned()].into_iter().chain(State::ALL.map(|state| state.as_str().to_uppercase()));
    let mut rows: Vec<[String; 9]> = vec![row(headings.chain([String::new()]))];
    for (queue, _) in &queues {
        let counts = State::ALL.map(|state| queue.count(state).to_string());
        let limit = slot_limit(queue).or_else(|| rate_limit(queue)).unwrap_or_default();
        let note = if queue.paused { "paused".to_owned() } else { limit };
        rows.push(row([queue.name.clone()].into_iter().chain(counts).chain([note])));
    }
    Table::<9>::new(&[8]).write(&mut out, &rows)?;
    Ok(())
}

fn row(cells: impl Iterator<Item = String>) -> [String; 9] {
    let mut row: [String; 9] = Default::default();
    row.iter_mut().zip(cells).for_each(|(place, cell)| *place = cell);
    row
}
