use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;

use super::list::seconds;
use super::named::named;
use super::tail;
use crate::Result;
use crate::client::{Client, Cost, Job, UniqueKey, encoded, indented, one_line};

/// Show one job and what it has logged.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// The job as the HTTP API has it, without its log
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs show materials-0199c1f2
  longhaul jobs show materials-0199c1f2 --json
  longhaul jobs show mater                        as much of the id as no other has
  longhaul why materials-0199c1f2                 why it does not run";

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let text = text(client, &args.id).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", indented(&text))?;
        return Ok(());
    }
    let job: Job = serde_json::from_str(&text)?;
    write_job(&mut out, &job)?;
    writeln!(out, "log")?;
    // What is there by now, and no more: a job that runs is followed by `tail`.
    tail::past(client, &job, &mut out).await
}

/// A job as it was sent.
pub(super) async fn text(client: &Client, id: &str) -> Result<String> {
    let read = async |id: &str| client.text(Method::GET, &format!("/jobs/{}", encoded(id)), None).await;
    named(client, id, read).await.map(|(_, text)| text)
}

/// The longest line of args, output or an error.
const LONGEST: usize = 2_000;

/// The event that a blocked job waits for, in words.
pub(super) fn in_words(waits_for: &str) -> String {
    match waits_for {
        "dependencies" => "the jobs that it depends on".into(),
        "children" => "its children".into(),
        "person" => "a person, to retry or cancel it".into(),
        other => match other.split_once(':') {
            Some(("signal", name)) => format!("the signal {name}"),
            _ => other.into(),
        },
    }
}

/// A unique key, and who holds it.
fn held(UniqueKey { key, holder }: &UniqueKey, id: &str) -> String {
    let key = one_line(key, LONGEST);
    match holder.as_deref() {
        None => format!("{key} (free)"),
        Some(holder) if holder == id => format!("{key} (held by this job)"),
        Some(holder) => format!("{key} (held by {holder})"),
    }
}

fn write_job(out: &mut impl Write, job: &Job) -> io::Result<()> {
    let mut line = |name: &str, text: String| {
        if text.is_empty() { Ok(()) } else { writeln!(out, "{name:<10} {text}") }
    };
    let moment = |at: &Option<String>| at.as_deref().map(seconds).unwrap_or_default();
    let kept = |text: &Option<Box<serde_json::value::RawValue>>| {
        text.as_ref().map(|text| one_line(text.get(), LONGEST)).unwrap_or_default()
    };
    line("id", job.id.clone())?;
    line("kind", format!("{} (version {})", job.kind, job.version))?;
    line("queue", job.queue.clone())?;
    let asked = if job.cancel_requested && !job.state.is_finished() { ", asked to stop" } else { "" };
    let reason = job.cancel_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    line("state", format!("{}{asked}{reason}", job.state))?;
    line("position", job.position.map(|position| format!("{position} in its queue")).unwrap_or_default())?;
    line("takes", job.eta_seconds.map(|eta| format!("about {eta} s more")).unwrap_or_default())?;
    line("attempts", format!("{} of {}", job.attempt, job.max_attempts))?;
    if job.crashes + job.interruptions > 0 {
        line("", format!("{} crashes, {} interruptions", job.crashes, job.interruptions))?;
    }
    line("priority", if job.priority == 0 { String::new() } else { job.priority.to_string() })?;
    line("waits for", job.waits_for.as_deref().map(in_words).unwrap_or_default())?;
    line("wakes", moment(&job.wakes_at))?;
    for dependency in &job.depends_on {
        let fate = if dependency.on_failure == "run" { ", however it ends" } else { "" };
        line("depends on", format!("{}{fate}", dependency.id))?;
    }
    line("forked", job.forked_from.as_ref().map(|id| format!("from {id}")).unwrap_or_default())?;
    line("exhausted", if job.on_exhausted == "pause" { "waits for a person".into() } else { String::new() })?;
    // A server of an earlier release tells one key at most.
    let keys = if job.limit_keys.is_empty() { job.key.as_slice() } else { &job.limit_keys };
    for key in keys {
        line("key", key.clone())?;
    }
    let Cost { slots, rate } = job.cost;
    let cost = if job.cost == Cost::default() {
        String::new()
    } else {
        format!("{slots} slots, {rate} of the rate")
    };
    line("cost", cost)?;
    let strength = if job.prefer_hard { ", and no other worker" } else { "" };
    let prefer = job.prefer.iter().flatten().map(|(label, value)| format!("{label}={value}"));
    let prefer = prefer.collect::<Vec<_>>().join(", ");
    line("prefers", if prefer.is_empty() { prefer } else { format!("{prefer}{strength}") })?;
    line("unique", job.unique.as_ref().map(|unique| held(unique, &job.id)).unwrap_or_default())?;
    line("enqueued", seconds(&job.created_at))?;
    line("runs at", if job.started_at.is_none() { seconds(&job.run_at) } else { String::new() })?;
    let waits = job.started_at.is_none() && !job.state.is_finished();
    line("expires", if waits { moment(&job.expires_at) } else { String::new() })?;
    line("deadline", moment(&job.deadline))?;
    line("started", moment(&job.started_at))?;
    line("finished", moment(&job.finished_at))?;
    line("worker", job.worker.clone().unwrap_or_default())?;
    line("parent", job.parent.clone().unwrap_or_default())?;
    line("children", job.children.map(|children| children.to_string()).unwrap_or_default())?;
    for (key, value) in &job.labels {
        line("label", format!("{key}={}", one_line(value, LONGEST)))?;
    }
    if let Some(progress) = &job.progress {
        line("progress", format!("{:.0} % {}", progress.percent, one_line(&progress.message, LONGEST)))?;
    }
    line("args", kept(&job.args))?;
    line("output", kept(&job.output))?;
    for error in &job.errors {
        let message = one_line(&error.message, LONGEST);
        line("error", format!("attempt {}, {}: {message}", error.attempt, seconds(&error.at)))?;
    }
    Ok(())
}
