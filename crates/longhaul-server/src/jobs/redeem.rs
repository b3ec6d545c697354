use axum::http::Method;
use clap::Args as ClapArgs;

use super::signal::{Signalled, value};
use crate::client::{Client, encoded};
use crate::output::print;
use crate::{Coded, Result, USAGE};

/// Give the signal that a token is for. The token alone does for it, and gives this one signal once.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  TOKEN=$(longhaul jobs signal-token order-17 approve --url http://127.0.0.1:8000)
  longhaul jobs redeem \"$TOKEN\" by=ada --url http://127.0.0.1:8000")]
pub(super) struct Args {
    /// The token, or the path that `longhaul jobs signal-token` tells
    #[arg(value_name = "TOKEN")]
    redeemed: String,
    /// The value: JSON, KEY=VALUE for each field (a VALUE that is JSON is taken as such), or a text [default: null]
    #[arg(value_name = "VALUE", allow_negative_numbers = true)]
    value: Vec<String>,
    /// The answer as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let value = value(&args.value).map_err(|message| Coded(USAGE, message))?;
    if !client.is_server() {
        return Err("the server that has signed a token takes it: name it with --url".into());
    }
    let token = args.redeemed.rsplit('/').next().unwrap_or_default();
    let text = client.give(Method::POST, &format!("/signals/{}", encoded(token)), &value).await?;
    if args.json {
        return Ok(print(text)?);
    }
    let Signalled { accepted } = serde_json::from_str(&text)?;
    Ok(print(match accepted {
        true => "the job has the signal",
        false => "the job had the signal before, which stands; this one changed nothing",
    })?)
}
