use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use super::{Exported, ExportedJob};
use crate::admit;
use crate::lifecycle::{self, Run};
use crate::model::{Outcome, State, check_name};
use crate::store::{Error, Result};

/// Checks records that are to be imported, so that a hand in a file can bring no store what it could not keep, and gives
/// running jobs back: as a worker that shuts down does, so that the run costs no attempt. One that was asked to stop is to be
/// cancelled instead.
///
/// # Errors
/// [`Error::Invalid`] with the field that breaks its bound, and of which record.
pub fn admit(mut records: Vec<Exported>) -> Result<Vec<Exported>> {
    for record in &mut records {
        match record {
            Exported::Queue(queue) => admit::queue_config(&queue.queue, &queue.config)?,
            Exported::Key(key) => admit::key(&key.key, key.config.as_ref())?,
            Exported::Job(job) => {
                check(job).map_err(|error| of_job(error, job.job.id.as_str()))?;
                give_back(job);
            }
            Exported::IdempotencyKey(key) => {
                check_text("idempotency_key", &key.key)?;
                check_text("fingerprint", &key.fingerprint)?;
                check_name("id", key.id.as_str())?;
            }
            Exported::Removed(removal) => check_name("id", removal.id.as_str())?,
            Exported::Sample(sample) => admit::samples(std::slice::from_ref(&sample.sample))?,
        }
    }
    Ok(records)
}

fn of_job(error: Error, id: &str) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: format!("{field} of job {id}"), reason },
        error => error,
    }
}

fn check(exported: &ExportedJob) -> Result<()> {
    let job = &exported.job;
    check_name("id", job.id.as_str())?;
    check_name("kind", &job.kind)?;
    check_name("queue", &job.queue)?;
    for id in job.parent.iter().chain(&job.forked_from).chain(job.depends_on.iter().map(|other| &other.id)) {
        check_name("id", id.as_str())?;
    }
    job.limit_keys.iter().try_for_each(|key| check_name("limit_keys", key))?;
    check_once("limit_keys", &job.limit_keys)?;
    check_once("depends_on", job.depends_on.iter().map(|other| &other.id))?;
    check_once("dependencies", exported.dependencies.iter().map(|other| &other.id))?;
    check_once("steps", exported.steps.iter().map(|step| &step.name))?;
    job.prefer.as_ref().map_or(Ok(()), crate::model::Prefer::validate)?;
    job.labels.iter().try_for_each(|(label, value)| {
        check_name("labels", label)?;
        check_text("labels", value)
    })?;
    job.args.check("args", usize::MAX)?;
    job.output.iter().try_for_each(|output| output.check("output", usize::MAX))?;
    job.unique.iter().try_for_each(|unique| check_text("unique", &unique.key))?;
    for step in &exported.steps {
        check_text("steps", &step.name)?;
        step.output.iter().try_for_each(|output| output.check("steps", usize::MAX))?;
    }
    let agrees = [
        ("finished_at", job.state.is_finished() == job.finished_at.is_some()),
        ("waits_for", (job.state == State::Blocked) == job.waits_for.is_some()),
        ("output", job.output.is_none() || job.state == State::Completed),
        ("state_event", exported.state_event <= job.last_event),
        ("log", exported.log.is_sorted_by(|a, b| a.seq < b.seq)),
    ];
    match agrees.iter().find(|(_, agrees)| !agrees) {
        None => Ok(()),
        Some((field, _)) => Err(Error::Invalid {
            field: (*field).to_owned(),
            reason: format!("does not go with the state {}: the line was changed by hand", job.state),
        }),
    }
}

/// Checks that a list names nothing twice: stores would count it twice, and find it once.
fn check_once<N: Display + Eq + Hash>(field: &str, names: impl IntoIterator<Item = N>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if seen.contains(&name) {
            let reason = format!("must not name {name} twice");
            return Err(Error::Invalid { field: field.to_owned(), reason });
        }
        seen.insert(name);
    }
    Ok(())
}

fn check_text(field: &str, text: &str) -> Result<()> {
    if !text.contains('\0') {
        return Ok(());
    }
    Err(Error::Invalid { field: field.to_owned(), reason: "must not hold a NUL character".to_owned() })
}

/// Gives a run back that another store has begun.
fn give_back(exported: &mut ExportedJob) {
    let job = &mut exported.job;
    // The holder is found anew, and places are counted where the job is.
    job.position = None;
    job.unique.iter_mut().for_each(|unique| unique.holder = None);
    if job.state != State::Running {
        return;
    }
    let run = Run {
        attempt: job.attempt,
        crashes: job.crashes,
        max_crashes: job.max_crashes,
        interruptions: job.interruptions,
        cancel_requested: false,
        cancel_reason: None,
        run_at: job.run_at,
    };
    let next = lifecycle::finish(&run, &Outcome::Released, exported.state_at);
    job.state = next.state;
    (job.attempt, job.interruptions, job.run_at) = (next.attempt, next.interruptions, next.run_at);
    job.last_event += lifecycle::events_of(next.state);
    exported.state_event = job.last_event;
    exported.cancel = job.cancel_requested.then(|| job.cancel_reason.unwrap_or_default());
    (job.cancel_requested, job.cancel_reason) = (false, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CancelReason;

    fn exported(job: serde_json::Value) -> ExportedJob {
        let mut record = serde_json::json!({
            "id": "a", "kind": "k", "version": 1, "queue": "q", "args": null, "state": "running", "priority": 0, "attempt": 2,
            "max_attempts": 3, "crashes": 0, "max_crashes": 5, "interruptions": 1, "progress": null, "output": null, "errors": [],
            "cancel_requested": false, "worker": "w", "position": null, "created_at": 1, "run_at": 2, "started_at": 3,
            "finished_at": null, "last_event": 7, "parent": null, "children": null, "labels": {},
        });
        let serde_json::Value::Object(job) = job else { unreachable!("fields are given") };
        record.as_object_mut().unwrap().extend(job);
        let text = serde_json::json!({ "job": record, "state_event": 7, "state_at": 9 }).to_string();
        serde_json::from_str(&text).unwrap()
    }

    fn admitted(job: serde_json::Value) -> Result<ExportedJob> {
        match admit(vec![Exported::Job(Box::new(exported(job)))])?.pop() {
            Some(Exported::Job(job)) => Ok(*job),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_run_is_given_back_and_costs_no_attempt() {
        let job = admitted(serde_json::json!({})).unwrap();
        assert_eq!((job.job.state, job.job.attempt, job.job.interruptions), (State::Available, 1, 2));
        assert_eq!((job.job.last_event, job.state_event, job.cancel), (8, 8, None));
    }

    #[test]
    fn a_run_that_was_asked_to_stop_is_to_be_cancelled_for_its_reason() {
        let job = admitted(serde_json::json!({ "cancel_requested": true, "cancel_reason": "superseded" }));
        let job = job.unwrap();
        assert_eq!((job.job.state, job.job.cancel_requested), (State::Available, false));
        assert_eq!(job.cancel, Some(CancelReason::Superseded));
    }

    #[test]
    fn what_no_store_could_keep_is_refused_with_its_job() {
        for (change, field) in [
            (serde_json::json!({ "id": "a|b" }), "id of job a|b"),
            (serde_json::json!({ "queue": "" }), "queue of job a"),
            (serde_json::json!({ "finished_at": 5 }), "finished_at of job a"),
            (serde_json::json!({ "state": "blocked" }), "waits_for of job a"),
            (serde_json::json!({ "last_event": 6 }), "state_event of job a"),
            (serde_json::json!({ "limit_keys": ["k", "l", "k"] }), "limit_keys of job a"),
            (serde_json::json!({ "depends_on": [{ "id": "b" }, { "id": "b" }] }), "depends_on of job a"),
        ] {
            match admitted(change) {
                Err(Error::Invalid { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_would_be_counted_twice_is_refused() {
        let mut twice = exported(serde_json::json!({}));
        let step = serde_json::json!({ "name": "s", "attempt": 1, "started_at": 1, "finished_at": 2, "output": null });
        let step: crate::model::StepRecord = serde_json::from_value(step).unwrap();
        twice.steps = vec![step.clone(), step];
        let refused = |job: ExportedJob| match admit(vec![Exported::Job(Box::new(job))]) {
            Err(Error::Invalid { field, reason }) => format!("{field} {reason}"),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(twice), "steps of job a must not name s twice");
        let mut twice = exported(serde_json::json!({}));
        let id = crate::model::JobId::from_store("b".into());
        let dependency = crate::moving::ExportedDependency { id, settled: false };
        twice.dependencies = vec![dependency.clone(), dependency];
        assert_eq!(refused(twice), "dependencies of job a must not name b twice");
    }
}
