use std::str::FromStr;

use axum::http::Method;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

use super::show::{bound, kept, rate_limit, slot_limit};
use super::{all, find};
use crate::Result;
use crate::client::{Client, Queue, encoded};
use crate::output::{print, tell};
use crate::run::{RateArg, seconds};

/// The queue to pause or resume.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul queues pause materials                 what runs goes on, what waits stays where it is
  longhaul queues resume materials")]
pub(super) struct Paused {
    /// The queue's name
    queue: String,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn paused(client: &Client, args: Paused, word: &str) -> Result<()> {
    let names = names(client).await?;
    let text = client.text(Method::POST, &format!("/queues/{}/{word}", encoded(&args.queue)), None).await?;
    if args.json {
        print(text)?;
        return Ok(());
    }
    let queue: Queue = serde_json::from_str(&text)?;
    let waiting = queue.count(longhaul::State::Available);
    let name = queue.name;
    if queue.paused {
        print(format_args!("{name} is paused: {waiting} jobs wait; longhaul queues resume {name} goes on"))?;
    } else {
        print(format_args!("{name} is not paused: {waiting} jobs wait for a worker"))?;
    }
    tell_if_new(&name, &names);
    Ok(())
}

async fn names(client: &Client) -> Result<Vec<String>> {
    Ok(all(client).await?.into_iter().map(|(queue, _)| queue.name).collect())
}

/// Lists the known queues after a setting of a new one. A queue may be paused or configured before its first job, but
/// the name may also be mistyped.
fn tell_if_new(name: &str, names: &[String]) {
    if names.iter().any(|known| known == name) {
        return;
    }
    let others = if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) };
    tell(format_args!("no job was ever in a queue {name}{others}"));
}

/// The queue whose limit keys take turns.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul queues fair imports
  longhaul queues fair imports --off
  longhaul keys set tenant:42 --weight 4          four turns where others have one")]
pub(super) struct Fair {
    /// The queue's name
    queue: String,
    /// Lets all jobs go by priority and age
    #[arg(long)]
    off: bool,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

pub(super) async fn fair(client: &Client, args: Fair) -> Result<()> {
    let names = names(client).await?;
    let path = format!("/queues/{}", encoded(&args.queue));
    let text = client.text(Method::PATCH, &path, Some(&json!({"fair": !args.off}))).await?;
    print(match (args.json, args.off) {
        (true, _) => text,
        (false, false) => format!("the limit keys of {} take turns", args.queue),
        (false, true) => format!("the jobs of {} go by priority and age", args.queue),
    })?;
    tell_if_new(&args.queue, &names);
    Ok(())
}

/// The limits of a queue, over all workers, and the bound on the jobs that wait in it; what is left out stays as it is.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul queues set imports --slots 20                       at most 20 run, however many workers there are
  longhaul queues set mail --rate 600/1m --burst 10
  longhaul queues set mail --slots none --rate none
  longhaul queues set imports --max-waiting 10000              one more is refused: 429 queue_full
  longhaul queues set frames --max-waiting 100 --on-full drop-oldest
  longhaul queues set imports --max-waiting none")]
#[command(group = clap::ArgGroup::new("limits").required(true).multiple(true))]
pub(super) struct Limits {
    /// The queue's name
    queue: String,
    /// The most of its jobs that run at a time, over all workers; `none` is no limit
    #[arg(long, value_name = "N", group = "limits", value_parser = number_or_none::<u32>)]
    slots: Option<OrNone<u32>>,
    /// The most of its jobs that start in a time: 100/1s, 90000/1m, 500/1h; `none` is no limit
    #[arg(long, value_name = "N/TIME", group = "limits", value_parser = rate_or_none)]
    rate: Option<OrNone<RateArg>>,
    /// Starts at once after a rest [default: a tenth of the rate, rounded up]
    #[arg(long, value_name = "N", requires = "rate")]
    burst: Option<u32>,
    /// The most jobs that wait, scheduled or available, when another is enqueued; `none` is no bound
    #[arg(long, value_name = "N", group = "limits", value_parser = number_or_none::<u64>)]
    max_waiting: Option<OrNone<u64>>,
    /// The fate of one more
    #[arg(long, value_name = "FATE", group = "limits")]
    on_full: Option<OnFull>,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

/// A limit, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OrNone<T>(Option<T>);

impl<T> OrNone<T> {
    fn parse(text: &str, some: impl FnOnce(&str) -> Result<T, String>) -> Result<Self, String> {
        if text == "none" { Ok(Self(None)) } else { some(text).map(|limit| Self(Some(limit))) }
    }
}

fn number_or_none<T: FromStr>(text: &str) -> Result<OrNone<T>, String> {
    OrNone::parse(text, |text| text.parse().map_err(|_| "use a number or none".into()))
}

fn rate_or_none(text: &str) -> Result<OrNone<RateArg>, String> {
    OrNone::parse(text, |text| text.parse().map_err(|error| format!("{error}, or use none")))
}

/// The fate of a job that is enqueued while as many wait as may.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum OnFull {
    /// It is refused
    Reject,
    /// The one that was enqueued first is cancelled
    DropOldest,
    /// It is created and cancelled at once, so that its caller has an answer
    DropNewest,
}

impl OnFull {
    /// The word of the contract.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::DropOldest => "drop_oldest",
            Self::DropNewest => "drop_newest",
        }
    }
}

pub(super) async fn set_limits(client: &Client, args: Limits) -> Result<()> {
    let names = names(client).await?;
    let rate = |OrNone(rate): OrNone<RateArg>| rate.map_or(Value::Null, |rate| rate.to_json(args.burst));
    let named = [
        ("slots", args.slots.map(|OrNone(slots)| Value::from(slots))),
        ("rate", args.rate.map(rate)),
        ("max_waiting", args.max_waiting.map(|OrNone(most)| Value::from(most))),
        ("on_full", args.on_full.map(|fate| Value::from(fate.as_str()))),
    ];
    let body: Map<String, Value> =
        named.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect();
    let path = format!("/queues/{}", encoded(&args.queue));
    let text = client.text(Method::PATCH, &path, Some(&body.into())).await?;
    if args.json {
        return Ok(print(text)?);
    }
    let queue: Queue = serde_json::from_str(&text)?;
    let bound = bound(&queue).unwrap_or_else(|| "any number of jobs may wait".into());
    let limits = [slot_limit(&queue), rate_limit(&queue), Some(bound)];
    print(format_args!("{}: {}", queue.name, limits.into_iter().flatten().collect::<Vec<_>>().join("; ")))?;
    tell_if_new(&queue.name, &names);
    Ok(())
}

/// Bounds of the history of a queue; an outcome that is left out stays as it is.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  longhaul queues retention mail                              as it is
  longhaul queues retention mail --completed 7d --failed 30d,10000
  longhaul queues retention mail --cancelled forever")]
pub(super) struct Retention {
    /// The queue's name
    queue: String,
    /// Of completed jobs: an age (90s, 12h, 7d), a count (10000), both (7d,10000) or `forever`
    #[arg(long, value_name = "BOUNDS")]
    completed: Option<Keep>,
    /// The same of failed jobs
    #[arg(long, value_name = "BOUNDS")]
    failed: Option<Keep>,
    /// The same of cancelled jobs
    #[arg(long, value_name = "BOUNDS")]
    cancelled: Option<Keep>,
    /// The queue as the HTTP API has it
    #[arg(long)]
    json: bool,
}

/// Bounds of one outcome's history; none is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Keep {
    age: Option<f64>,
    count: Option<u64>,
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut keep = Keep::default();
        if text == "forever" {
            return Ok(keep);
        }
        for part in text.split(',').map(str::trim) {
            match part.parse() {
                Ok(count) => keep.count = Some(count),
                Err(_) => {
                    let age = seconds(part).map_err(|_| {
                        format!("'{part}' is no bound: use 12h, 7d, 10000, 7d,10000 or forever")
                    })?;
                    keep.age = Some(age);
                }
            }
        }
        Ok(keep)
    }
}

pub(super) async fn retention(client: &Client, args: Retention) -> Result<()> {
    let names = names(client).await?;
    let outcomes = [("completed", args.completed), ("failed", args.failed), ("cancelled", args.cancelled)];
    let changes: Map<String, Value> = outcomes
        .into_iter()
        .filter_map(|(outcome, keep)| Some((outcome.to_owned(), keep?)))
        .map(|(outcome, Keep { age, count })| (outcome, json!({"age": age, "count": count})))
        .collect();
    let (queue, text) = if changes.is_empty() {
        find(client, &args.queue).await?
    } else {
        let body = json!({"retention": changes});
        let path = format!("/queues/{}", encoded(&args.queue));
        let text = client.text(Method::PATCH, &path, Some(&body)).await?;
        tell_if_new(&args.queue, &names);
        (serde_json::from_str(&text)?, text)
    };
    Ok(print(if args.json { text } else { kept(&queue).join("\n") })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_may_be_none() {
        assert_eq!(number_or_none("20"), Ok(OrNone(Some(20_u32))));
        assert_eq!(number_or_none::<u32>("none"), Ok(OrNone(None)));
        assert_eq!(rate_or_none("1/1m"), Ok(OrNone(Some("1/1m".parse().unwrap()))));
        assert_eq!(number_or_none::<u32>("many"), Err("use a number or none".into()));
        assert!(rate_or_none("100").unwrap_err().ends_with("use 100/1s, 90000/1m or 500/1h, or use none"));
    }

    #[test]
    fn bounds_are_ages_and_counts() {
        let keep = |text: &str| text.parse::<Keep>();
        assert_eq!(keep("7d"), Ok(Keep { age: Some(604_800.0), count: None }));
        assert_eq!(keep("90s, 100"), Ok(Keep { age: Some(90.0), count: Some(100) }));
        assert_eq!(keep("forever"), Ok(Keep::default()));
        assert!(keep("a week").unwrap_err().contains("use 12h, 7d"));
        assert!(keep("").is_err());
    }
}
