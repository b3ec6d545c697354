//! Jobs of all sorts that both releases know, and what must become of each, whichever of them runs it.

use longhaul::Job;
use serde_json::{Value, json};

use super::api::Api;
use crate::Result;
use crate::worker::{Behaviour, Probe, QUEUE};

/// A job that was put in, and what must become of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Its id.
    pub(crate) id: String,
    /// Its end.
    pub(crate) end: End,
    act: Act,
}

/// The end that a job must come to.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Completed in an attempt, with this output.
    Completed { attempt: u64, output: Value },
    /// Failed in its only attempt.
    Failed,
    /// Cancelled by a call.
    Cancelled,
    /// Deleted by a call.
    Deleted,
}

/// A call that brings a job to its end, made at another server than the one that has created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// None.
    Nothing,
    /// It is cancelled before it runs.
    CancelAtOnce,
    /// It is cancelled once it runs.
    CancelOnceRunning,
    /// It runs again with other args, once it has failed.
    RetryOnceFailed,
    /// It is deleted once it has completed.
    DeleteOnceCompleted,
}

/// In the ids of jobs that the last release cannot make.
const NEWER: &str = "-newer-";

/// A time that does not come in a run, in seconds.
const FAR: u32 = 86_400;

/// Puts jobs of all sorts in at one server, and repeats of some at another.
pub(crate) async fn put(stage: &str, by: &Api, other: &Api) -> Result<Vec<Sample>> {
    let id = |name: &str| format!("{stage}-{name}");
    let sample = |name: &str, end, act| Sample { id: id(name), end, act };
    let mut samples = Vec::new();
    let once = |behaviour| json!({ "args": probe(behaviour), "max_attempts": 1 });
    let jobs = [
        ("plain", json!({}), completed(), Act::Nothing),
        ("retried", json!({ "args": probe(Behaviour::Fails) }), completed_in(2), Act::Nothing),
        (
            "limited",
            json!({ "args": probe(Behaviour::Limited), "key": "chaos-provider" }),
            completed(),
            Act::Nothing,
        ),
        ("keyed", json!({ "key": format!("tenant:{stage}") }), completed(), Act::Nothing),
        ("delayed", json!({ "delay": 0.2 }), completed(), Act::Nothing),
        ("urgent", json!({ "priority": 50, "timeout": 600 }), completed(), Act::Nothing),
        ("failed", once(Behaviour::Fails), End::Failed, Act::Nothing),
        ("again", once(Behaviour::Fails), completed(), Act::RetryOnceFailed),
        ("scheduled", json!({ "delay": FAR }), End::Cancelled, Act::CancelAtOnce),
        (
            "stopped",
            json!({ "kind": "chaos.watch", "args": { "millis": FAR * 1_000 } }),
            End::Cancelled,
            Act::CancelOnceRunning,
        ),
        ("deleted", json!({}), End::Deleted, Act::DeleteOnceCompleted),
    ];
    for (name, fields, end, act) in jobs {
        let body = body(&id(name), stage, fields);
        by.post("/api/jobs", body.clone()).await?;
        // Its id keeps it from being created twice, at every server.
        told_as_duplicate(name, &id(name), &other.post("/api/jobs", body).await?)?;
        samples.push(sample(name, end, act));
    }

    let unique = json!({ "key": stage, "period": FAR });
    by.post("/api/jobs", body(&id("unique"), stage, json!({ "unique": unique }))).await?;
    let second = body(&id("unique-second"), stage, json!({ "unique": unique }));
    told_as_duplicate("unique", &id("unique"), &other.post("/api/jobs", second).await?)?;
    samples.push(sample("unique", completed(), Act::Nothing));

    let mut request = body("", stage, json!({}));
    if let Some(fields) = request.as_object_mut() {
        fields.remove("id");
    }
    let key = format!("request-{stage}");
    let first = by.post_once("/api/jobs", &key, &request).await?;
    let again = other.post_once("/api/jobs", &key, &request).await?;
    let first = first["id"].as_str().ok_or("a server answers a job without an id")?.to_owned();
    if again["id"] != first {
        return Err(
            format!("two requests of one idempotency key are two jobs: {first} and {}", again["id"]).into()
        );
    }
    samples.push(Sample { id: first, end: completed(), act: Act::Nothing });

    // A batch whose first child keeps it open until another server has added the last.
    let child = |name: &str, mut fields: Value| {
        fields["parent"] = id("batch").into();
        body(&id(name), stage, fields)
    };
    let children = [
        body(&id("batch"), stage, json!({ "after_children": true })),
        child("child-open", json!({ "delay": FAR })),
        child("child-plain", json!({})),
        child("child-failed", once(Behaviour::Fails)),
    ];
    by.post("/api/worker/enqueue", json!({ "jobs": children })).await?;
    other.post("/api/jobs", child("child-added", json!({}))).await?;
    samples.push(sample("child-open", End::Cancelled, Act::CancelAtOnce));
    samples.push(sample("child-plain", completed(), Act::Nothing));
    samples.push(sample("child-failed", End::Failed, Act::Nothing));
    samples.push(sample("child-added", completed(), Act::Nothing));
    samples.push(sample("batch", completed(), Act::Nothing));
    Ok(samples)
}

/// Puts one job in.
pub(crate) async fn put_one(id: &str, stage: &str, by: &Api) -> Result<Sample> {
    by.post("/api/jobs", body(id, stage, json!({}))).await?;
    Ok(Sample { id: id.into(), end: completed(), act: Act::Nothing })
}

/// Puts jobs in that the last release cannot make. Its worker takes them all the same.
pub(crate) async fn put_newer(stage: &str, by: &Api) -> Result<Vec<Sample>> {
    let id = |name: &str| format!("{stage}{NEWER}{name}");
    let of = |name: &str, fields| body(&id(name), stage, fields);
    let jobs = json!([
        of("first", json!({})),
        of("second", json!({ "depends_on": [id("first")] })),
        of("third", json!({ "depends_on": [id("first"), id("second")], "args": probe(Behaviour::Fails) })),
        of(
            "keyed",
            json!({ "limit_keys": [format!("tenant:{stage}"), "region:eu"], "cost": { "slots": 2 } })
        ),
        of("ends", json!({ "expires_in": FAR, "deadline": FAR })),
        of("prefers", json!({ "prefer": { "disk": "large" } })),
        of(
            "on-clash",
            json!({ "unique": { "key": id("on-clash"), "on_clash": "replace", "states": ["available"] } })
        ),
    ]);
    by.post("/api/jobs/batch", jobs).await?;
    let ends = [
        ("first", completed()),
        ("second", completed()),
        ("third", completed_in(2)),
        ("keyed", completed()),
        ("ends", completed()),
        ("prefers", completed()),
        ("on-clash", completed()),
    ];
    Ok(ends.into_iter().map(|(name, end)| Sample { id: id(name), end, act: Act::Nothing }).collect())
}

impl Sample {
    /// Makes the call that brings it to its end.
    pub(crate) async fn act(&self, at: &Api) -> Result<()> {
        let path = format!("/api/jobs/{}", self.id);
        match self.act {
            Act::Nothing => {}
            Act::CancelAtOnce => {
                at.post(&format!("{path}/cancel"), json!(null)).await?;
            }
            Act::CancelOnceRunning => {
                at.wait_for(&self.id, &["running"]).await?;
                at.post(&format!("{path}/cancel"), json!(null)).await?;
            }
            Act::RetryOnceFailed => {
                at.wait_for(&self.id, &["failed"]).await?;
                at.post(&format!("{path}/retry"), json!({ "args": probe(Behaviour::Plain) })).await?;
            }
            Act::DeleteOnceCompleted => {
                at.wait_for(&self.id, &["completed"]).await?;
                at.delete(&path).await?;
            }
        }
        Ok(())
    }

    /// Waits for its end, and answers what of it is not as it should be.
    pub(crate) async fn end(&self, at: &Api) -> Result<Vec<String>> {
        let wrong = |what: &str, told: &Value| {
            vec![format!("the {} release tells of {} {what}: {told}", at.release, self.id)]
        };
        let (state, attempt, output) = match &self.end {
            End::Deleted => {
                let answer = at.get(&format!("/api/jobs/{}", self.id)).await?;
                let is_gone = answer.status.as_u16() == 410;
                return Ok(if is_gone { Vec::new() } else { wrong("not that it was deleted", &answer.body) });
            }
            End::Completed { attempt, output } => ("completed", Some(*attempt), output),
            End::Failed => ("failed", Some(1), &Value::Null),
            End::Cancelled => ("cancelled", None, &Value::Null),
        };
        let job = at.wait_for(&self.id, &["completed", "failed", "cancelled"]).await?;
        let is_right = job["state"] == state
            && attempt.is_none_or(|attempt| job["attempt"] == attempt)
            && job["output"] == *output;
        if !is_right {
            return Ok(wrong(&format!("no {state} with {output} in attempt {attempt:?}"), &job));
        }
        let children = json!({ "total": 4, "completed": 2, "failed": 1, "cancelled": 1 });
        if self.id.ends_with("-batch") && job["children"] != children {
            return Ok(wrong(&format!("not the children {children}"), &job));
        }
        Ok(Vec::new())
    }

    /// True where the last release cannot make it.
    pub(crate) fn is_newer(&self) -> bool {
        self.id.contains(NEWER)
    }

    /// True where it can be read after its end.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.end, End::Deleted)
    }
}

fn completed() -> End {
    completed_in(1)
}

fn completed_in(attempt: u64) -> End {
    End::Completed { attempt, output: format!("half done in attempt {attempt}").into() }
}

fn probe(behaviour: Behaviour) -> Value {
    json!(Probe { millis: 4, behaviour })
}

/// The request for a job of a stage, with these fields and what all have.
fn body(id: &str, stage: &str, fields: Value) -> Value {
    let mut body = json!({
        "id": id, "kind": Probe::KIND, "queue": QUEUE, "args": probe(Behaviour::Plain), "max_attempts": 3,
        "labels": { "stage": stage },
    });
    if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
        body.extend(fields);
    }
    body
}

fn told_as_duplicate(name: &str, first: &str, told: &Value) -> Result<()> {
    if told["id"] == first && told["duplicate"] == true {
        return Ok(());
    }
    Err(format!("a second {name} job is no duplicate of {first}: {told}").into())
}
