use std::io;

use axum::http::Method;
use clap::{ArgGroup, Args as ClapArgs, ValueEnum};
use longhaul::Json;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Schedule, path, show};
use crate::client::{Client, indented};
use crate::output::print;
use crate::run::{
    EndArgs, LimitArgs, PreferArgs, UniqueArgs, WithArgs, by_name, pair, queue_of, read_args, seconds,
};
use crate::{Coded, Result, USAGE};

/// Make a schedule, or put another one in the place of what has its name. A schedule that is paused stays paused.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("timing").args(["cron", "every"]).required(true)))]
pub(super) struct Args {
    /// The schedule's name
    schedule: String,
    /// The job type that runs its jobs
    kind: String,
    /// Their args: one JSON value, or KEY=VALUE for each field (a VALUE that is JSON is taken as such), or - to read JSON from
    /// standard input [default: {}]
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// The pattern by which it fires: minute, hour, day of the month, month, day of the week; with the second before them
    /// where it is to be exact; or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(long, value_name = "PATTERN")]
    cron: Option<String>,
    /// The time zone that the pattern is read in, as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    timezone: Option<String>,
    /// The interval at which it fires, counted from 1970-01-01T00:00:00Z: 15m is at each quarter of an hour
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    every: Option<f64>,
    /// The fate of ticks that nobody was there to fire
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = CatchUp::Once)]
    catch_up: CatchUp,
    /// Starts each job up to this time after its tick, so that many schedules of one moment do not start together
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    jitter: Option<f64>,
    /// The queue that its jobs wait in [default: that of their kind]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// -100 to 100, higher first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Attempts in all
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// The longest that one attempt may take: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    timeout: Option<f64>,
    /// A name and value to find its jobs by; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// The longest that a job may wait for its first start, else it is cancelled: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<f64>,
    /// The time from its tick in which a job must have ended, with all its attempts, else it is cancelled
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    deadline: Option<f64>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    prefer: PreferArgs,
    #[command(flatten)]
    ends: EndArgs,
    /// Leaves its ticks out until it is resumed
    #[arg(long)]
    paused: bool,
    /// The schedule as the HTTP API has it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unique: UniqueArgs,
}

/// Ticks that are made up for; one that is up to a minute late is on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CatchUp {
    /// None of them
    None,
    /// The last of them
    Once,
    /// All of them, the newest thousand at most
    All,
}

const EXAMPLES: &str = "\
Examples:
  longhaul schedules set nightly report what=sales --cron '0 3 * * *' --timezone Europe/Berlin
  longhaul schedules set often sync '{\"full\": false}' --every 15m --unique sync --catch-up none
  longhaul schedules set weekly digest --cron '@weekly' --jitter 10m --queue mail
  longhaul schedules set poll feed n=1 --every 1m --expires-in 1m --unique feed --on-clash replace
  longhaul schedules set close books --cron '0 2 1 * *' --on-exhausted pause --webhook https://example.com/hooks
  longhaul schedules set embed pages --every 1h --prefer gpu=a100 --paused    until longhaul schedules resume embed

Where clocks are set forward, a time of day that is left out fires once, right after the gap; where they are
set back, one that comes twice fires the first time. A pattern with * or a step in the minute or hour follows
the clock.";

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let queue = match &args.queue {
        None if !client.is_server() => Some(queue_of(client, &args.kind).await?),
        queue => queue.clone(),
    };
    let json = args.json;
    let (name, body) = args.body(queue).map_err(|message| Coded(USAGE, message))?;
    let text = client.give(Method::PUT, &path(&name, ""), &body).await?;
    if json {
        print(indented(&text))?;
        return Ok(());
    }
    let schedule: Schedule = serde_json::from_str(&text)?;
    show::write(&mut io::stdout().lock(), &schedule)?;
    Ok(())
}

/// A schedule and its job, as they are sent.
#[derive(Debug, Serialize)]
struct Request {
    #[serde(flatten)]
    timing: Map<String, Value>,
    job: WithArgs,
}

impl Args {
    /// The schedule's name, and the body of the request.
    fn body(self, queue: Option<String>) -> Result<(String, Json), String> {
        let given = |fields: Vec<(&str, Option<Value>)>| -> Map<String, Value> {
            fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect()
        };
        let mut job = given(vec![
            ("kind", Some(self.kind.into())),
            ("queue", queue.map(Value::from)),
            ("priority", self.priority.map(Value::from)),
            ("max_attempts", self.max_attempts.map(Value::from)),
            ("timeout", self.timeout.map(Value::from)),
            ("labels", by_name("--label", &self.labels)?),
            ("unique", self.unique.body()?),
            ("expires_in", self.expires_in.map(Value::from)),
            ("deadline", self.deadline.map(Value::from)),
        ]);
        for fields in [self.limits.fields(), self.prefer.fields()?, self.ends.fields()] {
            job.extend(given(fields));
        }
        let catch_up = match self.catch_up {
            CatchUp::None => "none",
            CatchUp::Once => "once",
            CatchUp::All => "all",
        };
        let timing = given(vec![
            ("cron", self.cron.map(Value::from)),
            ("timezone", self.timezone.map(Value::from)),
            ("every", self.every.map(Value::from)),
            ("jitter", self.jitter.map(Value::from)),
            ("catch_up", Some(catch_up.into())),
            ("paused", self.paused.then(|| true.into())),
        ]);
        let job = WithArgs { fields: job, args: read_args(&self.args)? };
        let body = Json::new(&Request { timing, job }).map_err(|error| error.to_string())?;
        Ok((self.schedule, body))
    }
}
