use axum::http::Method;
use clap::Args as ClapArgs;

use super::{Schedule, find, path};
use crate::Result;
use crate::client::{Client, Job};
use crate::output::{print, tell};

/// The schedule that is meant.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The schedule's name
    schedule: String,
    /// As the HTTP API has it: the schedule as it is now, or was, or the job that was enqueued
    #[arg(long)]
    json: bool,
}

pub(super) async fn now(client: &Client, args: Args) -> Result<()> {
    let text = ask(client, &args, Method::POST, "/run").await?;
    let job: Job = serde_json::from_str(&text)?;
    if job.duplicate {
        tell(format!("{} stands for it already", job.id));
    }
    print(if args.json { &text } else { &job.id })?;
    Ok(())
}

pub(super) async fn paused(client: &Client, args: Args, word: &str) -> Result<()> {
    let text = ask(client, &args, Method::POST, &format!("/{word}")).await?;
    if args.json {
        print(text)?;
        return Ok(());
    }
    let Schedule { name, paused, next, .. } = serde_json::from_str(&text)?;
    match (paused, next.first()) {
        (true, _) => print(format!("{name} is paused; longhaul schedules resume {name} goes on"))?,
        (false, Some(next)) => print(format!("{name} is not paused: its next tick is {next}"))?,
        (false, None) => print(format!("{name} is not paused"))?,
    }
    Ok(())
}

pub(super) async fn delete(client: &Client, args: Args) -> Result<()> {
    let (Schedule { name, .. }, json) = find(client, &args.schedule).await?;
    client.text(Method::DELETE, &path(&name, ""), None).await?;
    if args.json {
        print(json)?;
    } else {
        let search = format!("longhaul jobs list label.schedule:{name}");
        print(format!("{name} is deleted; {search} has the jobs that it has enqueued"))?;
    }
    Ok(())
}

/// Acts on a schedule; for an unknown name the error lists the known ones.
async fn ask(client: &Client, args: &Args, method: Method, rest: &str) -> Result<String> {
    find(client, &args.schedule).await?;
    client.text(method, &path(&args.schedule, rest), None).await
}
