use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::list::seconds;
use crate::Result;
use crate::client::{Client, Event, Flow, Job, Said, one_line};
use crate::output::reader_gone;
use crate::run::exit_code;

/// Follow what a job says until it has ended: its states, progress, log and output, as they come.
///
/// A stream that breaks off is resumed where it was. The exit code is that of `longhaul run`: 0 completed, 1 failed,
/// 3 cancelled.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// Only events after this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// End with what is there by now, and do not wait for more
    #[arg(long)]
    no_follow: bool,
    /// One JSON object a line: {"id", "event", "data"}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs tail lessons-0199c1f2
  longhaul jobs tail lessons-0199c1f2 --json | jq -r 'select(.event == \"chunk\").data.data'
  longhaul jobs tail lessons-0199c1f2 --after 120         what came after event 120";

pub(super) async fn run(client: &Client, args: Args) -> Result<ExitCode> {
    let job: Job = serde_json::from_str(&super::show::text(client, &args.id).await?)?;
    let mut out = io::stdout().lock();
    let mut ended = None;
    let mut last = args.after;
    let standing = job.state;
    let following = client.follow(&job.id, args.after, |event| {
        if event.seq <= last && event.seq > 0 {
            return Ok(Flow::GoOn);
        }
        last = event.seq;
        if args.json {
            let Event { seq, name, data, .. } = event;
            writeln!(out, "{{\"id\":{seq},\"event\":\"{name}\",\"data\":{data}}}")?;
        } else {
            write_event(&mut out, event)?;
        }
        out.flush()?;
        let Said::State { state, .. } = event.said else { return Ok(Flow::GoOn) };
        ended = state.is_finished().then_some(state);
        // The present state is the last of what is there.
        Ok(if args.no_follow { Flow::Stop } else { Flow::GoOn })
    });
    tokio::select! {
        followed = following => {
            followed?;
        }
        () = reader_gone() => return Ok(ExitCode::SUCCESS),
    }
    let state = ended.unwrap_or(standing);
    Ok(if args.no_follow { ExitCode::SUCCESS } else { exit_code(state) })
}

/// Writes what a job has said by now.
pub(super) async fn past(client: &Client, job: &Job, out: &mut impl Write) -> Result<()> {
    let tell = |event: &Event| {
        write_event(out, event)?;
        let is_state = matches!(event.said, Said::State { .. });
        Ok(if is_state { Flow::Stop } else { Flow::GoOn })
    };
    client.follow(&job.id, 0, tell).await.map(drop)
}

/// The longest line of an event.
const LONGEST: usize = 4_000;

fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let text = match &event.said {
        Said::State { state, error: Some(error), .. } => format!("is {state}: {error}"),
        Said::State { state, children: Some(children), .. } => format!("is {state}: {children}"),
        Said::State { state, stopping: Some(reason), .. } => format!("is {state}, asked to stop ({reason})"),
        Said::State { state, .. } => format!("is {state}"),
        Said::Progress { percent, message } => format!("{percent:.0} % {message}"),
        Said::Log { level, message } if level == "info" => message.clone(),
        Said::Log { level, message } => format!("{level}: {message}"),
        Said::Chunk(data) => format!("chunk {}", data.get()),
        Said::Gap => "entries before this one are no longer kept".into(),
        Said::Reset => "starts over: what the attempt before had streamed is void".into(),
        Said::Output(output) => format!("output {}", output.get()),
        Said::Other => format!("{} {}", event.name, event.data),
    };
    writeln!(out, "  {} #{} {}", seconds(&event.at), event.attempt, one_line(&text, LONGEST))
}
