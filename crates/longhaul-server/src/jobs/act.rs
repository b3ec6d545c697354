use std::io::{self, Write};

use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::named::{NoOneJob, named};
use super::search::{Fields, Search, WORDS, is_search, word};
use crate::client::{Client, Refusal, encoded};
use crate::output::{print, tell};
use crate::terminal::{Answer, ask, bar, grouped};
use crate::{Coded, Result, USAGE};

/// The jobs to act on: some by id, or all that fit a search.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{WORDS}"))]
pub(super) struct Args {
    /// The ids of jobs (a prefix does that no other id has), or the words of a search
    #[arg(value_name = "ID|SEARCH", value_parser = word)]
    words: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    /// The most jobs to act on [default: all that fit]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Do not ask; without a terminal nothing is deleted by a search unless this is given
    #[arg(long, short)]
    yes: bool,
    /// Only count the jobs that fit
    #[arg(long)]
    dry_run: bool,
    /// The result as JSON: each named job, or {"matched", "done", "complete"} of a search
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs retry 0199c1f2-7a31-7c10-b7a5-0b8a3c1d9e55
  longhaul jobs retry state:failed 'provider is down'
  longhaul jobs cancel --state available,scheduled --kind materials.process --yes
  longhaul jobs delete state:failed kind:import --dry-run";

/// The jobs to run again, and how.
#[derive(Debug, ClapArgs)]
pub(super) struct Again {
    #[command(flatten)]
    which: Args,
    /// New args for jobs that are named by id: JSON. Without --from-step the outputs of their steps are forgotten
    #[arg(long, value_name = "JSON", value_parser = json)]
    args: Option<Json>,
    /// The first step that jobs named by id do anew; the outputs of those before it are kept
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
}

/// The jobs to move, and where to.
#[derive(Debug, ClapArgs)]
pub(super) struct Moved {
    #[command(flatten)]
    which: Args,
    /// -100 to 100, higher first
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    priority: i32,
}

/// An action on jobs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    Retry,
    /// With other args, or from a step: the body of the request.
    RetryWith(Json),
    Cancel,
    Delete,
    SetPriority(i32),
}

impl Deed {
    fn word(&self) -> &'static str {
        match self {
            Deed::Retry | Deed::RetryWith(_) => "retry",
            Deed::Cancel => "cancel",
            Deed::Delete => "delete",
            Deed::SetPriority(_) => "set_priority",
        }
    }

    /// The question before it is done to many.
    fn question(&self, jobs: &str) -> String {
        match self {
            Deed::Retry | Deed::RetryWith(_) => format!("Run {jobs} jobs again?"),
            Deed::Cancel => format!("Cancel {jobs} jobs?"),
            Deed::Delete => format!("Delete {jobs} jobs for good?"),
            Deed::SetPriority(priority) => format!("Give {jobs} jobs the priority {priority}?"),
        }
    }

    /// The effect, for people.
    fn done(&self) -> &'static str {
        match self {
            Deed::Retry | Deed::RetryWith(_) => "will run again",
            Deed::Cancel => "cancelled, or asked to stop",
            Deed::Delete => "deleted",
            Deed::SetPriority(_) => "moved",
        }
    }
}

pub(super) async fn again(client: &Client, Again { which, args, from_step }: Again) -> Result<()> {
    if args.is_none() && from_step.is_none() {
        return run(client, which, Deed::Retry).await;
    }
    if which.words.is_empty() || which.words.iter().any(|word| is_search(word)) {
        let message = "--args and --from-step are for jobs that are named by id: jobs that are searched for \
                       have args and steps of their own";
        return Err(Coded(USAGE, message.into()).into());
    }
    run(client, which, Deed::RetryWith(again_body(from_step, args)?)).await
}

/// The body of a retry or a fork.
pub(super) fn again_body(from_step: Option<String>, args: Option<Json>) -> Result<Json> {
    #[derive(Serialize)]
    struct Body {
        #[serde(skip_serializing_if = "Option::is_none")]
        from_step: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        args: Option<Json>,
    }
    Ok(Json::new(&Body { from_step, args })?)
}

pub(super) async fn moved(client: &Client, Moved { which, priority }: Moved) -> Result<()> {
    run(client, which, Deed::SetPriority(priority)).await
}

pub(super) fn json(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON ({error}): quote it for the shell"))
}

pub(super) async fn run(client: &Client, args: Args, deed: Deed) -> Result<()> {
    let is_by_id = !args.words.is_empty() && !args.words.iter().any(|word| is_search(word));
    args.fields.check()?;
    let has_fields = args.fields != Fields::default();
    if is_by_id {
        if has_fields {
            return Err(Coded(USAGE, "name jobs by id or by a search, not by both".into()).into());
        }
        return each(client, &args, deed).await;
    }
    let search = Search::new(args.fields, args.words);
    if search.is_everything() {
        let message = "name jobs by id, or say which ones: state:failed, kind:NAME, queue:NAME, label.NAME:VALUE, 'some \
                       text', or --state, --kind, --queue, --parent, --label, --text, --created-by";
        return Err(Coded(USAGE, message.into()).into());
    }
    let bounds = Bounds { limit: args.limit, yes: Yes::from(args.yes), look: Look::from(args.dry_run) };
    let acted = all(client, &search, &deed, &bounds).await?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(
            out,
            "{}",
            json!({"matched": acted.matched, "done": acted.done, "complete": acted.complete})
        )?;
    } else if args.dry_run {
        let more = if acted.complete { "" } else { " or more" };
        writeln!(
            out,
            "{}{more} fit, and {} of them it would change",
            grouped(acted.matched),
            grouped(acted.done)
        )?;
    } else {
        writeln!(out, "{} {}", acted.done, deed.done())?;
        if !acted.complete {
            writeln!(out, "there may be more: raise --limit, or run this again")?;
        }
    }
    Ok(())
}

/// There is no route for the priority of one job: it is the action, for one id.
async fn set_priority(client: &Client, id: &str, priority: i32) -> Result<String> {
    let path = format!("/jobs/{}", encoded(id));
    let body = json!({"action": "set_priority", "priority": priority, "filter": {"ids": id}});
    let acted: Acted = client.post("/jobs/actions", &body).await?;
    let text = client.text(Method::GET, &path, None).await?;
    if acted.done == 0 {
        return Err(format!("{id} is {}: only waiting jobs are moved", state(&text)).into());
    }
    Ok(text)
}

/// Acts on jobs by their ids, one after the other.
async fn each(client: &Client, args: &Args, deed: Deed) -> Result<()> {
    // A closed output does not keep the action from the remaining jobs.
    let (mut refused, mut reported) = (0, Ok(()));
    for given in args.words.iter().take(args.limit.map_or(usize::MAX, |limit| limit as usize)) {
        let done = named(client, given, async |id: &str| one(client, id, args.dry_run, &deed).await).await;
        let (id, text) = match done {
            Ok(done) => done,
            Err(error) => {
                tell(why_not(error, given)?);
                refused += 1;
                continue;
            }
        };
        reported = reported.and(if args.json && (args.dry_run || deed != Deed::Delete) {
            print(text)
        } else if args.json {
            print(json!({"id": id, "deleted": true}))
        } else if args.dry_run {
            print(format_args!("{id} is there; nothing was done"))
        } else if deed == Deed::Cancel && !was_stopped(&text) {
            tell(format_args!("{id} has ended by itself: {}", state(&text)));
            refused += 1;
            Ok(())
        } else {
            print(format_args!("{id} {}", deed.done()))
        });
    }
    if refused > 0 {
        return Err(format!("{refused} of the jobs named were left alone").into());
    }
    Ok(reported?)
}

/// Acts on the job of this id, or only looks at it.
async fn one(client: &Client, id: &str, dry_run: bool, deed: &Deed) -> Result<String> {
    let path = format!("/jobs/{}", encoded(id));
    if dry_run {
        return client.text(Method::GET, &path, None).await;
    }
    match deed {
        Deed::Delete => client.text(Method::DELETE, &path, None).await,
        Deed::Retry | Deed::Cancel => {
            client.text(Method::POST, &format!("{path}/{}", deed.word()), None).await
        }
        Deed::RetryWith(body) => client.give(Method::POST, &format!("{path}/retry"), body).await,
        Deed::SetPriority(priority) => set_priority(client, id, *priority).await,
    }
}

/// The reason for which one job is left alone; an error where the others would meet it, too.
fn why_not(error: Box<dyn std::error::Error + Send + Sync>, given: &str) -> Result<String> {
    if error.downcast_ref::<NoOneJob>().is_some() {
        return Ok(error.to_string());
    }
    match error.downcast_ref::<Refusal>() {
        Some(refusal) if !refusal.code.is_empty() && !refusal.status.is_server_error() => {
            Ok(format!("{given}: {refusal}"))
        }
        _ => Err(error),
    }
}

fn state(text: &str) -> String {
    let job: Value = serde_json::from_str(text).unwrap_or_default();
    job["state"].as_str().unwrap_or_default().to_owned()
}

/// True where a cancel had an effect.
fn was_stopped(text: &str) -> bool {
    !matches!(state(text).as_str(), "completed" | "failed")
}

/// The count of an action.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Acted {
    pub(crate) matched: u64,
    pub(crate) done: u64,
    pub(crate) complete: bool,
}

/// The bounds of an action on all that fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) limit: Option<u64>,
    pub(crate) yes: Yes,
    pub(crate) look: Look,
}

/// Consent that was given beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yes {
    Given,
    Ask,
}

impl From<bool> for Yes {
    fn from(given: bool) -> Self {
        if given { Yes::Given } else { Yes::Ask }
    }
}

/// Whether jobs are counted or acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Only,
    ThenAct,
}

impl From<bool> for Look {
    fn from(dry_run: bool) -> Self {
        if dry_run { Look::Only } else { Look::ThenAct }
    }
}

/// The jobs of one call, few enough that other calls do not wait long for the store.
const BATCH: u64 = 1_000;
/// The most jobs that the contract counts at once.
const COUNTED: u64 = 10_000;

/// Acts on all jobs that match: counts them, asks on a terminal, and goes on in batches with a progress bar.
pub(crate) async fn all(client: &Client, search: &Search, deed: &Deed, bounds: &Bounds) -> Result<Acted> {
    let filter = search.filter();
    let call = async |limit: u64, dry_run: bool| -> Result<Acted> {
        let mut body = json!({"action": deed.word(), "filter": filter, "limit": limit, "dry_run": dry_run});
        if let Deed::SetPriority(priority) = deed {
            body["priority"] = (*priority).into();
        }
        client.post("/jobs/actions", &body).await
    };
    let most = bounds.limit.unwrap_or(u64::MAX);
    let counted = call(COUNTED, true).await?;
    let wanted = counted.done.min(most);
    if bounds.look == Look::Only {
        return Ok(Acted { done: wanted, ..counted });
    }
    let more = if counted.complete || most <= counted.done { "" } else { " or more" };
    if bounds.yes == Yes::Ask && wanted > 0 {
        match ask(&deed.question(&format!("{}{more}", grouped(wanted))))? {
            Answer::Yes => {}
            Answer::No => return Err("nothing was done".into()),
            // What is deleted does not come back; the other two have always been done without a word.
            Answer::Nobody if *deed == Deed::Delete => {
                return Err(format!("{} jobs would be deleted: add --yes", grouped(wanted)).into());
            }
            Answer::Nobody => {}
        }
    }
    // A job that is retried may fail again while this goes on, and must not be retried for ever. One that is moved goes on
    // fitting, so that a second step would move the same ones.
    let batch = if matches!(deed, Deed::SetPriority(_)) { COUNTED } else { BATCH };
    let most = match (deed, bounds.limit) {
        (Deed::Retry, Some(limit)) if !counted.complete => limit,
        (Deed::Retry, _) => most.min(counted.done.max(1)),
        _ => most,
    };
    let bar = bar(wanted, "{bar:30} {pos} of {len} {msg}");
    bar.set_message(deed.done());
    let mut acted = Acted { complete: wanted == 0 && counted.complete, ..counted };
    acted.done = 0;
    while acted.done < most && !acted.complete {
        let step = call(batch.min(most - acted.done), false).await?;
        acted.done += step.done;
        acted.complete = step.complete;
        bar.set_length(bar.length().unwrap_or(0).max(acted.done));
        bar.set_position(acted.done);
        if step.done == 0 || batch == COUNTED {
            break;
        }
    }
    bar.finish_and_clear();
    acted.complete |= acted.done >= counted.done && counted.complete;
    Ok(acted)
}
