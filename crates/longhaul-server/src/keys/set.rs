use axum::http::Method;
use clap::Args as ClapArgs;
use serde_json::{Map, Value};

use super::print;
use crate::client::{Client, encoded};
use crate::queues::set::OnFull;
use crate::run::RateArg;
use crate::{Coded, Result, USAGE, output};

/// All limits of a key: those that are left out are taken away.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul keys set provider:openai --slots 10
  longhaul keys set provider:openai --slots 10 --rate 90000/1m --burst 5000
  longhaul keys set 'tenant:*' --max-waiting 1000    one more is refused: 429 queue_full
  longhaul keys set 'tenant:*' --slots 2            quoted, or the shell looks for files")]
pub(super) struct Args {
    /// The key's name, or a prefix with its `*`
    key: String,
    /// The most that run at a time, over all workers
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// The most that start in a time: 100/1s, 90000/1m, 500/1h
    #[arg(long, value_name = "N/TIME")]
    rate: Option<RateArg>,
    /// Starts at once after a rest [default: a tenth of the rate, rounded up]
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// Its share of the turns of a fair queue beside other keys' [default: 1]
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
    /// The most of its jobs that wait, scheduled or available and in all queues, when another is enqueued
    #[arg(long, value_name = "N")]
    max_waiting: Option<u64>,
    /// The fate of one more [default: reject]
    #[arg(long, value_name = "FATE", requires = "max_waiting")]
    on_full: Option<OnFull>,
    /// The key as the HTTP API has it
    #[arg(long)]
    json: bool,
}

/// The key whose limits are taken away.
#[derive(Debug, ClapArgs)]
pub(super) struct Remove {
    /// The key's name, or a prefix with its `*`
    key: String,
    /// The key as the HTTP API has it, with the limits that it has now
    #[arg(long)]
    json: bool,
}

pub(super) async fn set(client: &Client, args: Args) -> Result<()> {
    let rate = args.rate.map(|rate| rate.to_json(args.burst));
    let named = [
        ("slots", args.slots.map(Value::from)),
        ("rate", rate),
        ("weight", args.weight.map(Value::from)),
        ("max_waiting", args.max_waiting.map(Value::from)),
        ("on_full", args.on_full.map(|fate| Value::from(fate.as_str()))),
    ];
    let body: Map<String, Value> =
        named.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
    if body.is_empty() {
        let message =
            "say --slots, --rate, --weight or --max-waiting; longhaul keys remove takes all limits away";
        return Err(Coded(USAGE, message.into()).into());
    }
    let path = format!("/keys/{}", encoded(&args.key));
    print(&client.text(Method::PUT, &path, Some(&body.into())).await?, args.json)
}

pub(super) async fn remove(client: &Client, args: Remove) -> Result<()> {
    let path = format!("/keys/{}", encoded(&args.key));
    client.text(Method::DELETE, &path, None).await?;
    if args.json {
        return print(&client.text(Method::GET, &path, None).await?, args.json);
    }
    Ok(output::print(format_args!("{} has no limits of its own", args.key))?)
}
