use std::io::{self, Write};

use clap::Args as ClapArgs;

use super::{Tick, all};
use crate::Result;
use crate::client::{Client, one_line};
use crate::terminal::Table;

/// List schedules with their last and next ticks.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let schedules = all(client).await?;
    let mut out = io::stdout().lock();
    if args.json {
        for (_, json) in schedules {
            writeln!(out, "{json}")?;
        }
        return Ok(());
    }
    if schedules.is_empty() {
        writeln!(out, "there is no schedule: longhaul schedules set --help makes one")?;
        return Ok(());
    }
    let mut rows = vec![["SCHEDULE", "WHEN", "KIND", "LAST", "OUTCOME", "NEXT"].map(String::from)];
    for (schedule, _) in schedules {
        let last = schedule.recent.last();
        rows.push([
            schedule.name,
            one_line(&schedule.description, 60),
            schedule.job.kind,
            last.map_or_else(|| "-".to_owned(), |tick| tick.at.clone()),
            last.map_or("-", Tick::outcome).to_owned(),
            if schedule.paused {
                "paused".into()
            } else {
                schedule.next.into_iter().next().unwrap_or_default()
            },
        ]);
    }
    Table::<6>::new(&[1, 2, 3, 4, 5]).write(&mut out, &rows)?;
    Ok(())
}
