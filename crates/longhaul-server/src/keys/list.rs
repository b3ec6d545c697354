use std::io::{self, Write};

use clap::Args as ClapArgs;

use super::{Key, page, table};
use crate::client::Client;
use crate::{Result, output};

/// List limit keys that have limits of their own, are paused, or of which jobs wait or run.
#[derive(Debug, Default, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul keys list --prefix tenant:             those of the tenants
  longhaul keys list --queue mail                 those that jobs of a queue wait with
  longhaul keys list --json | jq -r 'select(.waiting > 0).key'")]
pub(super) struct Args {
    /// Those whose names begin so
    #[arg(long, value_name = "TEXT")]
    pub(super) prefix: Option<String>,
    /// Those of which jobs wait in this queue
    #[arg(long)]
    pub(super) queue: Option<String>,
    /// One JSON object a line, as the HTTP API has it
    #[arg(long)]
    pub(super) json: bool,
}

/// Keys of a page.
const PAGE: &str = "1000";

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let mut keys: Vec<Key> = Vec::new();
    let mut cursor = None;
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", PAGE);
        let given = [("prefix", &args.prefix), ("queue", &args.queue), ("cursor", &cursor)];
        query.extend_pairs(given.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))));
        let found = page(client, &query.finish()).await?;
        let mut out = io::stdout().lock();
        for key in &found.keys {
            match args.json {
                true => writeln!(out, "{}", key.get())?,
                false => keys.push(serde_json::from_str(key.get())?),
            }
        }
        cursor = found.next;
        if cursor.is_none() {
            break;
        }
    }
    match (args.json, keys.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Ok(output::print(
            "no limit key has limits, or jobs that wait or run; longhaul keys set KEY --slots N sets some",
        )?),
        (false, false) => table(&mut io::stdout().lock(), &keys),
    }
}
