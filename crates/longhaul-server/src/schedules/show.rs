use std::io::{self, Write};

use clap::Args as ClapArgs;
use longhaul::Clock;

use super::{Schedule, find};
use crate::Result;
use crate::client::{Client, indented, one_line};
use crate::terminal::until;

/// Show one schedule: its job, its last ticks and how they ended, its next ticks.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The schedule's name
    schedule: String,
    /// The schedule as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let (schedule, json) = find(client, &args.schedule).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", indented(&json))?;
        return Ok(());
    }
    write(&mut out, &schedule)?;
    Ok(())
}

/// Writes a schedule for people.
pub(super) fn write(out: &mut impl Write, schedule: &Schedule) -> io::Result<()> {
    let name = &schedule.name;
    writeln!(out, "{:<10} {name}{}", "schedule", if schedule.paused { ", paused" } else { "" })?;
    writeln!(out, "{:<10} {}", "fires", one_line(&schedule.description, 200))?;
    let args = one_line(schedule.job.args.get(), 200);
    writeln!(out, "{:<10} {} {args} in queue {}", "job", schedule.job.kind, schedule.job.queue)?;
    writeln!(out, "{:<10} {}, of ticks that nobody was there to fire", "catch up", schedule.catch_up)?;
    if schedule.jitter > 0.0 {
        writeln!(out, "{:<10} up to {} s after the tick", "jitter", schedule.jitter)?;
    }
    if schedule.origin == "file" {
        writeln!(
            out,
            "{:<10} the file that servers are started with: a change here lasts until then",
            "from"
        )?;
    }
    for tick in &schedule.recent {
        writeln!(out, "{:<10} {} {} {}", "fired", tick.at, tick.outcome(), tick.job)?;
    }
    let now = Clock::system().now();
    for next in &schedule.next {
        writeln!(out, "{:<10} {next}{}", "next", until(next, now))?;
    }
    if schedule.paused {
        writeln!(out, "{:<10} nothing, until longhaul schedules resume {name}", "next")?;
    }
    Ok(())
}
