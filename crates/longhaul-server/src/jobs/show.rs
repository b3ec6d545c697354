use std::io::{self, Write};
use std::time::Duration;

use clap::Args as ClapArgs;
use longhaul::{Event, EventBody, JobId, JobRecord, Longhaul, Lookup};
use longhaul_http::JobBody;

use super::time;
use crate::Result;

/// Show one job and what it has logged.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The job's id
    id: String,
    /// The job as the HTTP API has it, without its log
    #[arg(long)]
    json: bool,
}

/// Events read at a time.
const PAGE: usize = 500;

pub(super) async fn run(longhaul: &Longhaul, args: Args) -> Result<()> {
    let id = JobId::new(args.id)?;
    let job = match longhaul.get(&id).await? {
        Lookup::Found(job) => job,
        Lookup::Gone => return Err(format!("job {id} is gone: it was deleted, or pruned by its age").into()),
        Lookup::Unknown => return Err(format!("there is no job {id}").into()),
    };
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&JobBody::from(&*job))?)?;
        return Ok(());
    }
    write_job(&mut out, &job)?;
    let mut after = 0;
    loop {
        let events = longhaul.events(&id, after, PAGE, Duration::ZERO).await?.unwrap_or_default();
        let Some(last) = events.last() else { return Ok(()) };
        after = last.seq;
        for event in &events {
            write_event(&mut out, event)?;
        }
    }
}

fn write_job(out: &mut impl Write, job: &JobRecord) -> io::Result<()> {
    let mut line = |name: &str, text: String| {
        if text.is_empty() { Ok(()) } else { writeln!(out, "{name:<10} {text}") }
    };
    line("id", job.id.to_string())?;
    line("kind", format!("{} (version {})", job.kind, job.version))?;
    line("queue", job.queue.clone())?;
    line("state", job.state.to_string())?;
    line("attempts", format!("{} of {}", job.attempt, job.max_attempts))?;
    if job.crashes + job.interruptions > 0 {
        line("", format!("{} crashes, {} interruptions", job.crashes, job.interruptions))?;
    }
    line("enqueued", time(job.created_at))?;
    line("runs at", if job.started_at.is_none() { time(job.run_at) } else { String::new() })?;
    line("started", job.started_at.map(time).unwrap_or_default())?;
    line("finished", job.finished_at.map(time).unwrap_or_default())?;
    line("parent", job.parent.as_ref().map(ToString::to_string).unwrap_or_default())?;
    for (key, value) in &job.labels {
        line("label", format!("{key}={value}"))?;
    }
    if let Some(progress) = &job.progress {
        line("progress", format!("{:.0} % {}", progress.percent, progress.message))?;
    }
    line("args", job.args.as_str().to_owned())?;
    line("output", job.output.as_ref().map(|output| output.as_str().to_owned()).unwrap_or_default())?;
    for error in &job.errors {
        line("error", format!("attempt {}, {}: {}", error.attempt, time(error.at), error.message))?;
    }
    writeln!(out, "log")
}

fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let text = match &event.body {
        EventBody::State { state, error: None, .. } => format!("is {state}"),
        EventBody::State { state, error: Some(error), .. } => format!("is {state}: {}", error.message),
        EventBody::Progress(progress) => format!("{:.0} % {}", progress.percent, progress.message),
        EventBody::Log { message, .. } => message.clone(),
        EventBody::Chunk { data } => format!("chunk {}", data.as_str()),
        EventBody::Gap => "entries before this one are no longer kept".into(),
        EventBody::Reset => "starts over: what the attempt before had streamed is void".into(),
        EventBody::Output { output } => format!("output {}", output.as_str()),
    };
    writeln!(out, "  {} #{} {text}", time(event.at), event.attempt)
}
