use std::str::FromStr;

use axum::http::Method;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

use super::print;
use crate::client::{Client, encoded};
use crate::queues::set::OnFull;
use crate::run::seconds;
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
    rate: Option<Rate>,
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
}

/// Starts in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    n: u32,
    /// In seconds.
    per: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text
            .split_once('/')
            .and_then(|(n, per)| Some(Self { n: n.trim().parse().ok()?, per: seconds(per.trim()).ok()? }));
        rate.ok_or_else(|| format!("'{text}' is no rate: use 100/1s, 90000/1m or 500/1h"))
    }
}

pub(super) async fn set(client: &Client, args: Args) -> Result<()> {
    let rate = args.rate.map(|rate| match args.burst {
        Some(burst) => json!({"n": rate.n, "per": rate.per, "burst": burst}),
        None => json!({"n": rate.n, "per": rate.per}),
    });
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
    client.text(Method::DELETE, &format!("/keys/{}", encoded(&args.key)), None).await?;
    Ok(output::print(format_args!("{} has no limits of its own", args.key))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        assert_eq!("100/1s".parse(), Ok(Rate { n: 100, per: 1.0 }));
        assert_eq!("90000 / 1m".parse(), Ok(Rate { n: 90_000, per: 60.0 }));
        for text in ["100", "100/", "/1s", "many/1s", "1.5/1s"] {
            assert!(text.parse::<Rate>().unwrap_err().contains("use 100/1s"), "{text}");
        }
    }
}
