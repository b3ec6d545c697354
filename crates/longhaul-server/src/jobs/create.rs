//! Many jobs in one call.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use axum::http::Method;
use clap::Args as ClapArgs;
use longhaul::{Json, State};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::look::why::cancelled;
use crate::output::{print, tell};
use crate::run::queue_of;
use crate::{Coded, Result, USAGE};

/// Enqueue many jobs in one call, all of them or none, and print their ids in their order.
///
/// They are read as JSON: an object a line, or one array of objects, each with the fields of `POST /api/jobs`. A job whose unique key
/// is held, or that finds its queue full, is refused by itself, and told on standard error; the exit code is 1 then.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The file that has them, or - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// The queue of those that name none [default: that of their kind]
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// One JSON object a line, as the HTTP API has it, in place of the ids
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  longhaul jobs create jobs.jsonl --url http://127.0.0.1:8000
  jq -c '.[] | {kind: \"mail.send\", args: .}' people.json | longhaul jobs create --queue mail
  split -l 10000 all.jsonl part- && for part in part-*; do longhaul jobs create $part; done   10,000 a call at most";

/// The most jobs of a call, as the contract has it.
const MOST: usize = 10_000;

/// The answer for one job.
#[derive(Debug, Deserialize)]
struct Batched {
    id: String,
    #[serde(default)]
    duplicate: bool,
    #[serde(default)]
    replaced: bool,
    #[serde(default)]
    cancel_reason: Option<String>,
    #[serde(default)]
    refused: Option<String>,
}

pub(super) async fn run(client: &Client, args: Args) -> Result<()> {
    let jobs = read(&args.file).map_err(|message| Coded(USAGE, message))?;
    let jobs = with_queues(client, jobs, args.queue.as_deref()).await?;
    let answer = client.give(Method::POST, "/jobs/batch", &Json::new(&jobs)?).await?;
    let batched: Vec<Box<RawValue>> = serde_json::from_str(&answer)?;
    let mut refused = 0;
    for (place, job) in batched.iter().enumerate() {
        let created: Batched = serde_json::from_str(job.get())?;
        refused += u64::from(created.refused.is_some());
        if args.json {
            print(job.get())?;
            continue;
        }
        if let Some(note) = created.note() {
            tell(format_args!("job {}: {note}", place + 1));
        }
        if created.refused.is_none() {
            print(&created.id)?;
        }
    }
    match refused {
        0 => Ok(()),
        refused => Err(format!("{refused} of {} jobs were refused", batched.len()).into()),
    }
}

impl Batched {
    /// What became of the job, where it was not simply created.
    fn note(&self) -> Option<String> {
        let Self { id, duplicate, replaced, cancel_reason, refused } = self;
        Some(match (refused.as_deref(), cancel_reason.as_deref()) {
            (Some("duplicate"), _) => format!("was not created: {id} holds its unique key"),
            (Some("queue_full"), _) => "was not created: as many jobs wait as may".into(),
            (Some(other), _) => format!("was not created: {other}"),
            (None, Some(reason)) => format!("{id}: {}", cancelled(State::Cancelled, reason)),
            (None, None) if *duplicate => format!("{id} stands for it already"),
            (None, None) if *replaced => {
                format!("{id} waits already, and has taken on these args and this time")
            }
            (None, None) => return None,
        })
    }
}

fn read(file: &Path) -> Result<Vec<Json>, String> {
    let mut text = String::new();
    let (name, read) = match file.to_str() {
        Some("-") => ("standard input".into(), std::io::stdin().read_to_string(&mut text)),
        _ => {
            let open = std::fs::File::open(file);
            (file.display().to_string(), open.and_then(|mut file| file.read_to_string(&mut text)))
        }
    };
    read.map_err(|error| format!("failed to read {name}: {error}"))?;
    let jobs = jobs(&text)
        .map_err(|error| format!("{name} has no JSON objects, one a line or in an array: {error}"))?;
    match jobs.len() {
        0 => Err(format!("{name} has no job")),
        count if count > MOST => Err(format!(
            "{name} has {count} jobs, and a call has at most {MOST}: split -l {MOST} makes files of that size"
        )),
        _ => Ok(jobs),
    }
}

/// The values of an array, or those that stand one behind the other. Each stays as it is written.
fn jobs(text: &str) -> serde_json::Result<Vec<Json>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

/// Gives those jobs a queue that name none: the one that is given, or that of their kind, which a store itself does not know.
async fn with_queues(client: &Client, mut jobs: Vec<Json>, given: Option<&str>) -> Result<Vec<Json>> {
    if given.is_none() && client.is_server() {
        return Ok(jobs);
    }
    let mut queues = HashMap::new();
    for job in &mut jobs {
        // What is no object, or has no kind, is refused by whoever reads the request, with its place.
        let Ok(fields) = job.to::<BTreeMap<String, Value>>() else { continue };
        let Some(kind) = fields.get("kind").and_then(Value::as_str) else { continue };
        if fields.contains_key("queue") {
            continue;
        }
        let queue = match (given, queues.get(kind)) {
            (Some(queue), _) => queue.to_owned(),
            (None, Some(queue)) => String::clone(queue),
            (None, None) => {
                let queue = queue_of(client, kind).await?;
                queues.insert(kind.to_owned(), queue.clone());
                queue
            }
        };
        *job = in_queue(job, &queue)?;
    }
    Ok(jobs)
}

/// The same object, which has a member, with another before its own.
fn in_queue(job: &Json, queue: &str) -> Result<Json> {
    let members = job.as_str().trim_start().trim_start_matches('{');
    Ok(Json::parse(format!("{{\"queue\":{},{members}", Value::from(queue)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_lines_or_an_array_and_stay_as_they_are_written() {
        let texts = |text: &str| {
            let read = jobs(text).map_err(|error| error.to_string());
            read.map(|jobs| jobs.iter().map(|job| job.as_str().to_owned()).collect::<Vec<_>>())
        };
        let expected = vec![
            r#"{"kind":"a","args":12345678901234567890123}"#.to_owned(),
            r#"{ "kind": "b" }"#.to_owned(),
        ];
        assert_eq!(texts(&expected.join("\n")).as_ref(), Ok(&expected));
        assert_eq!(texts(&format!("\n {}\r\n\r\n{}\n", expected[0], expected[1])).as_ref(), Ok(&expected));
        assert_eq!(texts(&format!(" [{}]\n", expected.join(" ,\n"))).as_ref(), Ok(&expected));
        assert_eq!(texts(" \n"), Ok(Vec::new()));
        assert!(texts("{\"kind\":\"a\"}\n{\"kind\"").unwrap_err().contains("line 2"));
        assert!(texts("[1] 2").is_err() && texts("kind=a").is_err());
    }

    #[test]
    fn a_queue_is_put_before_the_members_of_a_job() {
        let job = serde_json::from_str::<Json>("{ \"kind\": \"a\", \"args\": 1.0 }").expect("JSON");
        let queued = in_queue(&job, "q").map(|job| job.as_str().to_owned());
        assert_eq!(queued.ok().as_deref(), Some("{\"queue\":\"q\", \"kind\": \"a\", \"args\": 1.0 }"));
    }
}
