//! What the servers of both releases tell of the same jobs: all that the last one tells, this one tells, too.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::Api;
use super::samples::Sample;
use crate::Result;
use crate::worker::QUEUE;

/// Compares what both servers tell of jobs: each by its id, its steps, its log once it has ended, and the lists of each stage.
pub(crate) async fn alike(last: &Api, this: &Api, samples: &[Sample], wrong: &mut Vec<String>) -> Result<()> {
    let mut stages = BTreeSet::new();
    for sample in samples.iter().filter(|sample| sample.is_kept()) {
        let path = format!("/api/jobs/{}", sample.id);
        let (mut before, now) = (last.get(&path).await?, this.get(&path).await?);
        if let Some(fields) = before.body.as_object_mut() {
            // Its place among those that wait changes from one request to the next.
            fields.retain(|name, _| !["position", "eta_seconds"].contains(&name.as_str()));
            // The last release shows several limit keys, and what a job prefers, as one key.
            if sample.is_newer() {
                fields.remove("key");
            }
        }
        compare(&path, &before.body, &now.body, wrong);
        stages.extend(now.body["labels"]["stage"].as_str().map(str::to_owned));
        let steps = format!("{path}/steps");
        compare(&steps, &last.get(&steps).await?.body, &this.get(&steps).await?.body, wrong);
        if now.body["finished_at"].is_string() {
            let log = format!("{path}/events");
            compare(&log, &events(&last.get(&log).await?.text), &events(&this.get(&log).await?.text), wrong);
        }
    }
    for stage in stages {
        let path = format!("/api/jobs?limit=100&q=label.stage:{stage}");
        let (before, now) = (ids(&last.get(&path).await?.body), ids(&this.get(&path).await?.body));
        if before != now || before.is_empty() {
            wrong.push(format!("{path}: the last release lists {before:?}, this one {now:?}"));
        }
    }
    Ok(())
}

/// Compares the counts of the queue, once nothing moves.
pub(crate) async fn counts_alike(last: &Api, this: &Api, wrong: &mut Vec<String>) -> Result<()> {
    let path = format!("/api/queues/{QUEUE}");
    let (before, now) = (last.get(&path).await?.body, this.get(&path).await?.body);
    compare(&path, &before, &now, wrong);
    for state in ["blocked", "scheduled", "available", "running"] {
        if now["states"][state] != 0 {
            let listed =
                ids(&this.get(&format!("/api/jobs?limit=100&queue={QUEUE}&state={state}")).await?.body);
            wrong.push(format!(
                "{path}: {} jobs are left {state}, of which {listed:?} are listed",
                now["states"][state]
            ));
        }
    }
    Ok(())
}

/// The events of a stream, each with its id.
fn events(stream: &str) -> Value {
    let frame = |frame: &str| {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let data: Value = serde_json::from_str(field("data:")?).unwrap_or_default();
        Some(json!([field("id:"), field("event:"), data]))
    };
    stream.split("\n\n").filter_map(frame).collect()
}

fn ids(page: &Value) -> BTreeSet<String> {
    let jobs = page["jobs"].as_array().into_iter().flatten();
    jobs.filter_map(|job| job["id"].as_str().map(str::to_owned)).collect()
}

/// Notes each place at which this release does not tell what the last one does.
fn compare(place: &str, last: &Value, this: &Value, wrong: &mut Vec<String>) {
    match (last, this) {
        (Value::Object(last), Value::Object(this)) => {
            for (name, value) in last {
                compare(&format!("{place} {name}"), value, this.get(name).unwrap_or(&Value::Null), wrong);
            }
        }
        (Value::Array(last), Value::Array(this)) if last.len() == this.len() => {
            for (number, (last, this)) in last.iter().zip(this).enumerate() {
                compare(&format!("{place} {number}"), last, this, wrong);
            }
        }
        _ if last == this => {}
        _ => wrong.push(format!("{place}: the last release tells {last}, this one {this}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{compare, events};

    fn wrong(last: &serde_json::Value, this: &serde_json::Value) -> Vec<String> {
        let mut wrong = Vec::new();
        compare("job", last, this, &mut wrong);
        wrong
    }

    #[test]
    fn what_this_release_tells_besides_is_no_difference() {
        let last = json!({ "state": "completed", "errors": [{ "attempt": 1 }] });
        let this = json!({ "state": "completed", "errors": [{ "attempt": 1, "trace": null }], "cost": 1 });
        assert!(wrong(&last, &this).is_empty());
        assert_eq!(wrong(&this, &last), ["job cost: the last release tells 1, this one null"]);
    }

    #[test]
    fn what_it_tells_otherwise_or_not_at_all_is_found() {
        let last = json!({ "state": "completed", "errors": [1] });
        let this = json!({ "state": "failed", "errors": [] });
        assert_eq!(wrong(&last, &this).len(), 2);
    }

    #[test]
    fn events_of_a_stream_are_read_with_their_ids() {
        let stream = ": heartbeat\n\nid: 1\nevent: state\ndata: {\"state\":\"completed\"}\n\n";
        assert_eq!(events(stream), json!([["1", "state", { "state": "completed" }]]));
    }
}
