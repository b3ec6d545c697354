//! Tokens for one job: to follow it, and to give it a signal.

use axum::http::Method;
use clap::Args as ClapArgs;
use serde::Deserialize;
use serde_json::{Value, json};

use super::named::named;
use crate::Result;
use crate::client::{Client, encoded};
use crate::output::{print, tell};
use crate::run::seconds;

/// Make a token that lets a browser follow a job, and do nothing else.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul jobs token report-0199c1f2 --url http://127.0.0.1:8000
  curl -N \"http://127.0.0.1:8000/api/jobs/report-0199c1f2/events?token=TOKEN\"")]
pub(super) struct Read {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// The token's validity, 24h at most [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<f64>,
    /// The answer as the HTTP API has it
    #[arg(long)]
    json: bool,
}

/// Make a token that gives a job one signal, once, for somebody who may do nothing else.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul jobs signal-token order-17 approve --url http://127.0.0.1:8000
  curl -X POST http://127.0.0.1:8000/api/signals/TOKEN -H 'content-type: application/json' -d '{\"by\": \"ada\"}'")]
pub(super) struct Signal {
    /// The job's id, or a prefix of it that no other has
    id: String,
    /// The signal's name
    name: String,
    /// The token's validity, 365d at most [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<f64>,
    /// The answer as the HTTP API has it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
struct Token {
    token: String,
    expires_at: String,
    /// The path that redeems it.
    #[serde(default)]
    path: Option<String>,
}

pub(super) async fn read(client: &Client, args: Read) -> Result<()> {
    signed(client, &args.id, "token", args.expires_in, args.json).await
}

pub(super) async fn signal(client: &Client, args: Signal) -> Result<()> {
    let rest = format!("signals/{}/token", encoded(&args.name));
    signed(client, &args.id, &rest, args.expires_in, args.json).await
}

async fn signed(client: &Client, id: &str, rest: &str, expires_in: Option<f64>, json: bool) -> Result<()> {
    if !client.is_server() {
        return Err("the server that takes a token signs it: name it with --url".into());
    }
    let body: Value = expires_in.map_or_else(|| json!({}), |time| json!({"expires_in": time}));
    let sign = async |id: &str| {
        client.text(Method::POST, &format!("/jobs/{}/{rest}", encoded(id)), Some(&body)).await
    };
    let (_, text) = named(client, id, sign).await?;
    if json {
        return Ok(print(text)?);
    }
    let Token { token, expires_at, path } = serde_json::from_str(&text)?;
    // Alone, so that a script can read it.
    print(token)?;
    match path {
        Some(path) => {
            tell(format_args!("valid until {expires_at}; a POST of the value to {path} gives the signal"))
        }
        None => tell(format_args!("valid until {expires_at}")),
    }
    Ok(())
}
