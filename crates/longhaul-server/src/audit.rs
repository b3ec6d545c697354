//! `longhaul audit`

use std::io::{self, Write};

use clap::Args as ClapArgs;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Result;
use crate::client::{Place, encoded};
use crate::terminal::Table;

/// Show who has changed what, or was refused to, and when: newest first. An entry is kept for 90 days.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The most entries
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul audit                                what was done last
  longhaul audit --limit 10000 --json           all of a while, for other tools";

/// The most entries of a page of the API.
const PAGE: u32 = 500;

#[derive(Debug, Deserialize)]
struct Page {
    entries: Vec<Box<RawValue>>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    at: String,
    who: String,
    role: Option<String>,
    action: String,
    object: String,
    count: Option<u64>,
    reason: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let mut out = io::stdout().lock();
    let mut table = Table::<7>::new(&[1, 2, 3, 4, 6]);
    let (mut left, mut cursor) = (args.limit, None::<String>);
    let headings = ["AT", "WHO", "ROLE", "ACTION", "OBJECT", "COUNT", "REFUSED"].map(str::to_owned);
    let mut rows = vec![headings];
    loop {
        let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={}", encoded(&cursor)));
        let page: Page = client.get(&format!("/audit?limit={}{from}", left.min(PAGE))).await?;
        left = left.saturating_sub(u32::try_from(page.entries.len()).unwrap_or(u32::MAX));
        for entry in &page.entries {
            if args.json {
                writeln!(out, "{}", entry.get())?;
            } else {
                rows.push(row(serde_json::from_str(entry.get())?));
            }
        }
        if !args.json {
            if page.entries.is_empty() && rows.len() == 1 {
                writeln!(out, "nothing was changed in the last 90 days")?;
                return Ok(());
            }
            table.write(&mut out, &rows)?;
            rows = Vec::new();
        }
        cursor = page.next;
        if cursor.is_none() || left == 0 {
            return Ok(());
        }
    }
}

fn row(Entry { at, who, role, action, object, count, reason }: Entry) -> [String; 7] {
    let count = count.map_or_else(String::new, |count| count.to_string());
    [at, who, role.unwrap_or_default(), action, object, count, reason.unwrap_or_default()]
}
