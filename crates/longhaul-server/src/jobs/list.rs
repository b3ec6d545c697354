use std::io::{self, BufWriter, Write};

use clap::Args as ClapArgs;

use super::search::{Fields, Search, WORDS, word};
use super::show::in_words;
use crate::Result;
use crate::client::{Client, Job, JobPage, State, encoded, one_line};
use crate::terminal::{Table, grouped};

/// List jobs, newest first.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{WORDS}"))]
pub(super) struct Args {
    /// Words of a search
    #[arg(value_name = "SEARCH", value_parser = word)]
    words: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    /// The most jobs to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs list
  longhaul jobs list state:failed queue:materials 'timed out' -label.env:test
  longhaul jobs list --state failed,cancelled --queue materials
  longhaul jobs list --json --limit 100000 > jobs.jsonl";

/// Jobs read at a time: the most that the contract gives.
const PAGE: usize = 100;

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    args.fields.check()?;
    let search = Search::new(args.fields, args.words);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut table = Table::<6>::new(&[1, 2, 4, 5]);
    let (mut left, mut cursor) = (args.limit, None);
    let mut headings = (!args.json).then(|| HEADINGS.map(String::from));
    let (mut looked_at, mut is_complete) = (0, true);
    while left > 0 {
        let page = page(client, &search, left.min(PAGE), cursor.as_deref(), args.json).await?;
        let mut rows: Vec<_> = headings.take().into_iter().collect();
        for job in &page.jobs {
            if args.json {
                writeln!(out, "{}", job.get())?;
            } else {
                rows.push(cells(&serde_json::from_str(job.get())?));
            }
        }
        table.write(&mut out, &rows)?;
        left -= page.jobs.len().min(left);
        cursor = page.next;
        if let Some(searched) = page.searched {
            looked_at += searched.jobs;
            is_complete = searched.complete;
        }
        if cursor.is_none() {
            break;
        }
    }
    if !args.json {
        if cursor.is_some() {
            writeln!(out, "… and more: raise --limit, or narrow the search")?;
        }
        if !is_complete {
            writeln!(out, "searched the newest {} jobs", grouped(looked_at))?;
        }
    }
    out.flush()?;
    Ok(())
}

/// A page of the jobs that fit.
pub(super) async fn page(
    client: &Client,
    search: &Search,
    limit: usize,
    cursor: Option<&str>,
    full: bool,
) -> Result<JobPage> {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={}", encoded(cursor)));
    client.get(&format!("/jobs?limit={limit}&full={full}{}{cursor}", search.query())).await
}

const HEADINGS: [&str; 6] = ["ID", "KIND", "STATE", "ATTEMPT", "ENQUEUED", "WHAT"];

fn cells(job: &Job) -> [String; 6] {
    [
        job.id.clone(),
        one_line(&job.kind, 60),
        job.state.to_string(),
        format!("{}/{}", job.attempt, job.max_attempts),
        seconds(&job.created_at),
        what(job),
    ]
}

/// A moment without what is below its seconds.
pub(crate) fn seconds(at: &str) -> String {
    match at.parse::<jiff::Timestamp>() {
        Ok(at) => format!("{at:.0}"),
        Err(_) => at.to_owned(),
    }
}

/// A job in one line: its progress while it runs, else the reason why it is not done.
pub(crate) fn what(job: &Job) -> String {
    let progress = job.progress.as_ref().map(|p| format!("{:.0} % {}", p.percent, p.message));
    let error = job.errors.last().map(|error| error.message.clone());
    let text = match job.state {
        State::Running => progress,
        State::Completed => None,
        // The reason of a cancel says more than the error of the attempt before; `asked` says nothing.
        State::Cancelled => job.cancel_reason.clone().filter(|reason| reason != "asked").or(error),
        State::Blocked => error.or(job.waits_for.as_deref().map(|on| format!("waits for {}", in_words(on)))),
        State::Available | State::Scheduled | State::Failed => error,
    };
    one_line(&text.unwrap_or_default(), 80)
}
