use std::io::{self, BufWriter, Write};

use clap::Args as ClapArgs;
use longhaul::{JobRecord, Longhaul, Page, State};
use longhaul_http::JobBody;

use super::filter::Filter;
use super::time;
use crate::Result;

/// List jobs, newest first.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// The most jobs to list
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs list
  longhaul jobs list --state failed,cancelled --queue materials
  longhaul jobs list --json --limit 100000 > jobs.jsonl";

/// Jobs read at a time.
const PAGE: usize = 500;

pub(super) async fn run(longhaul: &Longhaul, args: Args) -> Result<()> {
    let filter = args.filter.job_filter();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut table = Table { widths: HEADINGS.map(str::len) };
    let (mut left, mut cursor) = (args.limit, None);
    let mut headings = (!args.json).then(|| HEADINGS.map(String::from));
    while left > 0 {
        let page =
            longhaul.store().list(&filter, Page { cursor, limit: left.min(PAGE), ..Page::default() }).await?;
        if args.json {
            for job in &page.jobs {
                serde_json::to_writer(&mut out, &JobBody::from(job))?;
                writeln!(out)?;
            }
        } else {
            let rows: Vec<_> = headings.take().into_iter().chain(page.jobs.iter().map(cells)).collect();
            table.write(&mut out, &rows)?;
        }
        left -= page.jobs.len().min(left);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() && !args.json {
        writeln!(out, "… and more: raise --limit, or narrow the filter")?;
    }
    out.flush()?;
    Ok(())
}

const HEADINGS: [&str; 6] = ["ID", "KIND", "STATE", "ATTEMPT", "ENQUEUED", "WHAT"];

fn cells(job: &JobRecord) -> [String; 6] {
    [
        job.id.to_string(),
        job.kind.clone(),
        job.state.to_string(),
        format!("{}/{}", job.attempt, job.max_attempts),
        time(job.created_at),
        what(job),
    ]
}

/// A job in one line: its progress while it runs, else the reason why it is not done.
fn what(job: &JobRecord) -> String {
    let progress = job.progress.as_ref().map(|p| format!("{:.0} % {}", p.percent, p.message));
    let error = job.errors.last().map(|error| error.message.clone());
    let text = match job.state {
        State::Running => progress,
        State::Completed => None,
        State::Available | State::Blocked | State::Scheduled | State::Failed | State::Cancelled => error,
    };
    let text = text.unwrap_or_default().replace(['\n', '\r', '\t'], " ");
    text.chars().take(80).collect::<String>().trim_end().to_owned()
}

/// Columns as wide as they have had to be so far.
struct Table {
    widths: [usize; 6],
}

impl Table {
    fn write(&mut self, out: &mut impl Write, rows: &[[String; 6]]) -> io::Result<()> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(self.widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}
