//! `longhaul run`

mod args;
mod ends;
mod limits;
mod prefer;
mod unique;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::State;
use serde_json::{Map, Value, json};

pub(crate) use self::args::{RateArg, WithArgs, by_name, json_or_text, object, read_args, seconds};
pub(crate) use self::ends::EndArgs;
pub(crate) use self::limits::LimitArgs;
pub(crate) use self::prefer::PreferArgs;
pub(crate) use self::unique::UniqueArgs;
use self::unique::deadline;
use self::watch::{Ended, Interrupts, Voice, Watch};
use crate::client::{Client, Job, JobPage, Place, Refusal, encoded, indented};
use crate::look::why::cancelled;
use crate::output::{is_closed_pipe, print, tell};
use crate::{Coded, Result, USAGE};

/// Enqueue a job, and with --wait follow it to its end: progress, log and what it streams go to standard error, its output
/// to standard output.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The job type that runs it
    kind: String,
    /// Its args: one JSON value, or KEY=VALUE for each field (a VALUE that is JSON is taken as such), or - to read JSON
    /// from standard input [default: {}]
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    args: Vec<String>,
    /// Wait until it has ended
    #[arg(long, short)]
    wait: bool,
    /// Stop waiting after this time (30s, 10m, 2h), with exit code 4; the job goes on
    #[arg(long, value_name = "DURATION", value_parser = seconds, requires = "wait")]
    give_up_after: Option<f64>,
    /// Cancel the job at the first Ctrl-C. Without it, Ctrl-C ends the waiting and leaves the job alone
    #[arg(long, requires = "wait")]
    cancel_on_interrupt: bool,
    /// Nothing on standard error but faults
    #[arg(long, short)]
    quiet: bool,
    /// The whole job as JSON in place of its id, or of its output
    #[arg(long)]
    json: bool,
    /// The queue that it waits in [default: that of its kind]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// -100 to 100, higher first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// The delay before it may first run: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = seconds, conflicts_with = "at")]
    delay: Option<f64>,
    /// The earliest time of its first run, in RFC 3339
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Attempts in all
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// The longest that one attempt may take: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    timeout: Option<f64>,
    /// A name and value to find it by; may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Its id; a job of this id that exists is told and not made anew
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The longest that it may wait for its first start, else it is cancelled: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<f64>,
    /// When it must have ended, with all its attempts, else it is cancelled: 2h, or a time in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = deadline)]
    deadline: Option<Value>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    prefer: PreferArgs,
    /// The job that it belongs to
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// The jobs that must end before it may run; ID:run where a failure of that one is to be no more than an end
    #[arg(long, value_name = "ID[:run]", value_delimiter = ',', value_parser = dependency)]
    depends_on: Vec<Value>,
    #[command(flatten)]
    ends: EndArgs,
    #[command(flatten)]
    unique: UniqueArgs,
}

const EXAMPLES: &str = "\
Examples:
  longhaul run welcome email=ada@example.com --url http://127.0.0.1:8000
  longhaul run lessons.generate '{\"subject\": \"Botany\"}' --queue lessons --wait
  echo '[1, 2, 3]' | longhaul run sum - --queue default --wait --quiet
  longhaul run report year=2026 --label team=sales --delay 10m --max-attempts 3
  longhaul run sync account=42 --unique-on account --on-clash debounce:10s,1m   the last of a burst
  longhaul run render page=7 --unique page-7 --on-clash supersede   the one before is stopped
  longhaul run alert host=db1 --unique db1 --on-clash throttle --period 1h   one in an hour
  longhaul run publish book=7 --depends-on render-7,index-7:run     once both have ended
  longhaul run embed page=7 --prefer gpu=a100 --prefer-hard         by a worker of --label gpu=a100 alone
  longhaul run report year=2026 --webhook https://example.com/hooks --webhook-events failed   only where it fails
  longhaul run http.request url=https://example.com/ping method=POST   a request with retries, as a job
  longhaul run ask page=7 --key provider:openai --key tenant:42 --cost-rate 1200   of a budget of tokens
  longhaul run quote item=3 --expires-in 30s --deadline 5m          nobody waits for it longer

Exit codes with --wait:
  0  the job completed                3  it was cancelled
  1  it failed                        4  it had not ended when --give-up-after was over
  2  the command line was wrong       5  the server or the store could not be asked, or refused
  130  Ctrl-C ended the waiting. The job goes on; a second Ctrl-C within two seconds cancels it

Without --url the job is put into the store itself, which does not know the queues of kinds: name one with --queue, or a
job of the same kind must be there already.";

/// The exit code for the state in which a job ended.
pub(crate) fn exit_code(state: State) -> ExitCode {
    ExitCode::from(match state {
        State::Completed => 0,
        State::Failed => 1,
        State::Cancelled => 3,
        State::Blocked | State::Scheduled | State::Available | State::Running => TIMED_OUT,
    })
}

const TIMED_OUT: u8 = 4;
const NOT_ASKED: u8 = 5;
const INTERRUPTED: u8 = 130;

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let request = args.request().map_err(|message| Coded(USAGE, message))?;
    run_request(args, request).await.map_err(|error| match error.downcast::<Coded>() {
        // Unboxed, else it would be boxed twice, and its code not found.
        Ok(coded) => (*coded).into(),
        // A reader that went away is no failure.
        Err(error) if is_closed_pipe(&*error) => error,
        Err(error) => {
            let is_wrong = error.downcast_ref::<Refusal>().is_some_and(Refusal::is_for_the_words);
            Coded(if is_wrong { USAGE } else { NOT_ASKED }, error.to_string()).into()
        }
    })
}

async fn run_request(args: Args, request: WithArgs) -> Result<ExitCode> {
    let client = args.place.open().await?;
    let ended = enqueue(&client, args, request).await;
    client.flush().await;
    ended
}

async fn enqueue(client: &Client, args: Args, mut request: WithArgs) -> Result<ExitCode> {
    let voice = if args.quiet { Voice::Silent } else { Voice::Aloud };
    if args.queue.is_none() && !client.is_server() {
        request.fields.insert("queue".into(), queue_of(client, &args.kind).await?.into());
    }
    let request = request.to_json()?;
    // Before the job is enqueued, so that Ctrl-C never leaves a job behind without a message.
    let interrupts = Interrupts::listen()?;
    let text = client.give(Method::POST, "/jobs", &request).await?;
    let job: Job = serde_json::from_str(&text)?;
    if job.duplicate && voice == Voice::Aloud {
        tell(format_args!("{} stands for it already", job.id));
    }
    if job.replaced && voice == Voice::Aloud {
        tell(format_args!("{} waits already, and has taken on these args and this time", job.id));
    }
    if !args.wait {
        // Its id alone would read as if it were to run.
        if let Some(reason) = job.cancel_reason.as_deref().filter(|_| voice == Voice::Aloud) {
            tell(format_args!("{}: {}", job.id, cancelled(job.state, reason)));
        }
        print(if args.json { &text } else { &job.id })?;
        return Ok(ExitCode::SUCCESS);
    }
    let give_up = args.give_up_after.map(Duration::from_secs_f64);
    let watch = Watch::new(client, &job, voice);
    let ended = watch.follow(interrupts, give_up, args.cancel_on_interrupt.into()).await?;
    match ended {
        Ended::Job { state, output } => {
            if state == State::Cancelled && voice == Voice::Aloud {
                tell_reason(client, &job.id).await;
            }
            print_result(client, &job.id, &args, output).await?;
            Ok(exit_code(state))
        }
        Ended::TimedOut => Ok(ExitCode::from(TIMED_OUT)),
        Ended::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// Prints the reason of a job's cancellation, unless the job was pruned at its end.
async fn tell_reason(client: &Client, id: &str) {
    let Ok(job) = client.get::<Job>(&format!("/jobs/{}", encoded(id))).await else { return };
    if let Some(reason) = &job.cancel_reason {
        tell(cancelled(job.state, reason));
    }
}

/// Prints the job or its output. For a job that was pruned at its end, the output of its last event.
async fn print_result(client: &Client, id: &str, args: &Args, output: Option<String>) -> Result<()> {
    if args.json {
        let text = client.text(Method::GET, &format!("/jobs/{}", encoded(id)), None).await?;
        print(indented(&text))?;
    } else if let Some(output) = output {
        print(output)?;
    }
    Ok(())
}

/// The queue of the newest job of the kind: the store itself does not know the queues of kinds.
pub(crate) async fn queue_of(client: &Client, kind: &str) -> Result<String> {
    let page: JobPage = client.get(&format!("/jobs?limit=1&kind={}", encoded(kind))).await?;
    let Some(newest) = page.jobs.first() else {
        return Err(format!(
            "no job of kind {kind} is in {}, so its queue is not known: name it with --queue, or ask the server with --url",
            client.described
        )
        .into());
    };
    let newest: Job = serde_json::from_str(newest.get())?;
    Ok(newest.queue)
}

impl Args {
    /// The body of the request.
    fn request(&self) -> Result<WithArgs, String> {
        let mut fields = Map::new();
        fields.insert("kind".into(), json!(self.kind));
        let optional = [
            ("queue", self.queue.as_ref().map(|queue| json!(queue))),
            ("priority", self.priority.map(Value::from)),
            ("delay", self.delay.map(Value::from)),
            ("run_at", self.at.as_ref().map(|at| json!(at))),
            ("max_attempts", self.max_attempts.map(Value::from)),
            ("timeout", self.timeout.map(Value::from)),
            ("id", self.id.as_ref().map(|id| json!(id))),
            ("unique", self.unique.body()?),
            ("expires_in", self.expires_in.map(Value::from)),
            ("deadline", self.deadline.clone()),
            ("depends_on", (!self.depends_on.is_empty()).then(|| json!(self.depends_on))),
            ("parent", self.parent.as_ref().map(|parent| json!(parent))),
            ("labels", by_name("--label", &self.labels)?),
        ];
        let shared = [self.limits.fields(), self.prefer.fields()?, self.ends.fields()];
        for (name, value) in optional.into_iter().chain(shared.into_iter().flatten()) {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        }
        Ok(WithArgs { fields, args: read_args(&self.args)? })
    }
}

pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("use KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A job to depend on. An id that ends in `:run` itself is written with `:cancel` behind it.
fn dependency(text: &str) -> Result<Value, String> {
    let (id, on_failure) = match text.rsplit_once(':') {
        Some((id, fate @ ("run" | "cancel"))) => (id, fate),
        _ => (text, "cancel"),
    };
    match id {
        "" => Err("use the id of a job, or ID:run".into()),
        id => Ok(json!({"id": id, "on_failure": on_failure})),
    }
}
