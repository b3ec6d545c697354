use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use serde::Deserialize;

use crate::Result;
use crate::client::{Place, one_line};

/// Say who the server takes you for, and what you may do there: the role, the name and the scopes of your token.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul whoami --url https://jobs.example      with the token in LONGHAUL_TOKEN
  longhaul whoami --json | jq -r .role")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// As the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Me {
    role: Option<String>,
    name: Option<String>,
    scopes: Option<Vec<String>>,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let client = args.place.open().await?;
    let text = client.text(Method::GET, "/me", None).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{text}")?;
        return Ok(());
    }
    let Me { role, name, scopes } = serde_json::from_str(&text)?;
    writeln!(out, "{:<10} {}", "at", client.described)?;
    writeln!(out, "{:<10} {}", "role", role.as_deref().unwrap_or("none: the scopes of the token decide"))?;
    if let Some(name) = name {
        writeln!(out, "{:<10} {}", "name", one_line(&name, 200))?;
    }
    for scope in scopes.iter().flatten() {
        writeln!(out, "{:<10} {}", "scope", one_line(scope, 300))?;
    }
    Ok(())
}
