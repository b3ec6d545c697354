use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::list::seconds;
use super::named::named;
use crate::Result;
use crate::client::{Client, encoded, one_line};
use crate::terminal::{Table, since};

/// List the steps of a job that are done, in the order in which they were.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// One JSON object a line, as the HTTP API has it, with the outputs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs steps lessons-0199c1f2
  longhaul jobs steps lessons-0199c1f2 --json | jq -r 'select(.name == \"outline\").output'
  longhaul jobs retry lessons-0199c1f2 --from-step outline    that one and those after it, anew";

#[derive(Debug, Deserialize)]
struct Step {
    name: String,
    attempt: u32,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    finished_at: Option<String>,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let read = async |id: &str| client.text(Method::GET, &format!("/jobs/{}/steps", encoded(id)), None).await;
    let (id, text) = named(client, &args.id, read).await?;
    let steps: Vec<Box<RawValue>> = serde_json::from_str(&text)?;
    let mut out = io::stdout().lock();
    if args.json {
        for step in &steps {
            writeln!(out, "{}", step.get())?;
        }
        return Ok(());
    }
    if steps.is_empty() {
        writeln!(out, "no step of {id} is done")?;
        return Ok(());
    }
    let mut rows = vec![["STEP", "ATTEMPT", "DONE", "TOOK"].map(str::to_owned)];
    for step in &steps {
        rows.push(serde_json::from_str::<Step>(step.get())?.row());
    }
    Table::<4>::new(&[2]).write(&mut out, &rows)?;
    Ok(())
}

impl Step {
    fn row(self) -> [String; 4] {
        let done = self.finished_at.as_deref();
        let end = done.and_then(|at| at.parse::<jiff::Timestamp>().ok());
        let took =
            self.started_at.zip(end).map(|(start, end)| since(&start, Timestamp(end.as_millisecond())));
        [
            one_line(&self.name, 200),
            self.attempt.to_string(),
            done.map_or_else(|| "-".to_owned(), seconds),
            took.unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
