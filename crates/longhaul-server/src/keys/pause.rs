use axum::http::Method;
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::print;
use crate::Result;
use crate::client::{Client, encoded};
use crate::run::seconds;

/// The key to pause.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul keys pause provider:openai --for 10m
  longhaul keys pause tenant:42                   until it is resumed")]
pub(super) struct Pause {
    /// The key's name
    key: String,
    /// The length of the pause: 90s, 10m, 12h [default: until it is resumed]
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    pause: Option<f64>,
    /// The key as the HTTP API has it
    #[arg(long)]
    json: bool,
}

/// The key to resume.
#[derive(Debug, ClapArgs)]
pub(super) struct Resume {
    /// The key's name
    key: String,
    /// The key as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn pause(client: &Client, args: Pause) -> Result<()> {
    let body = args.pause.map_or_else(|| json!({}), |pause| json!({"for": pause}));
    post(client, &args.key, "pause", Some(&body), args.json).await
}

pub(super) async fn resume(client: &Client, args: Resume) -> Result<()> {
    post(client, &args.key, "resume", None, args.json).await
}

async fn post(client: &Client, key: &str, word: &str, body: Option<&Value>, json: bool) -> Result<()> {
    let path = format!("/keys/{}/{word}", encoded(key));
    print(&client.text(Method::POST, &path, body).await?, json)
}
