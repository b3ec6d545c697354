use longhaul::clock::millis;
use longhaul::lifecycle;
use longhaul::lifecycle::unique::Hold;
use longhaul::moving::ExportedJob;
use longhaul::{CancelReason, Children, JobId, Json, Policy, Result, WaitsFor, joined_keys};
use serde_json::{Value, json};

use crate::limits::BEHIND_OTHERS;
use crate::row::{hold_text, signed};

/// A job as an object of the columns of `jobs`.
pub(super) fn columns(seq: i64, exported: &ExportedJob, batch: Option<i64>) -> Result<Value> {
    let job = &exported.job;
    let text = |json: Json| json.as_str().to_owned();
    let keys = joined_keys(&job.limit_keys, job.prefer.as_ref());
    let rank = lifecycle::rank(job.run_at, job.priority);
    let rank = if keys.is_some() { rank + BEHIND_OTHERS } else { rank };
    let policy = (job.policy != Policy::default()).then(|| Json::new(&job.policy)).transpose()?.map(text);
    let backoff = job.policy.backoff.map(|backoff| Json::new(&backoff)).transpose()?.map(text);
    let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels)).transpose()?.map(text);
    let errors = (!job.errors.is_empty()).then(|| Json::new(&job.errors)).transpose()?.map(text);
    let progress = job.progress.as_ref().map(Json::new).transpose()?.map(text);
    let depends_on = (!job.depends_on.is_empty()).then(|| Json::new(&job.depends_on)).transpose()?.map(text);
    let hold = if job.unique.is_some() { exported.hold.clone() } else { Hold::default() };
    let child = |count: fn(&Children) -> u64| job.children.as_ref().map(|children| signed(count(children)));
    let mut log_bytes = 0;
    for event in &exported.log {
        log_bytes += Json::new(&event.body)?.as_str().len() as u64;
    }
    let mut columns = json!({
        "seq": seq,
        "token": 0,
        "version": job.version,
        "priority": job.priority,
        "rank": rank,
        "run_at": job.run_at.0,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "crashes": job.crashes,
        "max_crashes": job.max_crashes,
        "interruptions": job.interruptions,
        "last_event": signed(job.last_event),
        "state_event": signed(exported.state_event),
        "state_at": exported.state_at.0,
        "log_event": signed(exported.log_event()),
        "log_rows": exported.log.len(),
        "log_bytes": log_bytes,
        "log_gap": signed(exported.log_gap),
        "steps": exported.steps.len(),
        "created_at": job.created_at.0,
        "started_at": job.started_at.map(|at| at.0),
        "finished_at": job.finished_at.map(|at| at.0),
        "kept_from": exported.kept_from().map(|at| at.0),
        "timeout": job.policy.timeout.map(millis),
        "unique_period": hold.period.map(millis),
        "batch": batch,
    });
    let more = json!({
        "children_total": child(|children| children.total),
        "children_completed": child(|children| children.completed),
        "children_failed": child(|children| children.failed),
        "children_cancelled": child(|children| children.cancelled),
        "id": job.id.as_str(),
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state.as_str(),
        "worker": job.worker,
        "unique_key": job.unique.as_ref().map(|unique| unique.key.as_str()),
        "limit_key": keys,
        "parent": job.parent.as_ref().map(JobId::as_str),
        "backoff": backoff,
        "labels": labels,
        "errors": errors,
        "last_error": job.errors.last().map(|error| error.message.as_str()),
        "progress": progress,
        "output": job.output.as_ref().map(Json::as_str),
        "args": job.args.as_str(),
        "policy": policy,
        "hold": hold_text(&hold)?,
        "cancel_reason": job.cancel_reason.map(CancelReason::as_str),
        "expires_at": job.expires_at.map(|at| at.0),
        "deadline": job.deadline.map(|at| at.0),
        "waits_for": job.waits_for.as_ref().map(WaitsFor::to_string),
        "wakes_at": job.wakes_at.map(|at| at.0),
        "dependencies_left": exported.dependencies_left(),
        "depends_on": depends_on,
        "forked_from": job.forked_from.as_ref().map(JobId::as_str),
    });
    if let (Some(columns), Value::Object(more)) = (columns.as_object_mut(), more) {
        columns.extend(more);
    }
    Ok(columns)
}
