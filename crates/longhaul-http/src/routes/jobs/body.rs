use std::collections::BTreeMap;

use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::access::CREATED_BY;
use longhaul::lifecycle::{self, Times};
use longhaul::{
    AttemptError, CancelReason, Children, Cost, Dependency, ErrorKind, JobId, JobRecord, Json, NewJob,
    OnExhausted, Progress, State, Timestamp, TraceParent, UniqueKey, WaitsFor,
};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::state::estimates::Estimate;
use crate::time::{Rfc3339, in_seconds};
use crate::wire::{DependencyBody, is_hard};

/// A job as the contract shows it, whatever its kind. Fields that have no value yet are null.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobBody<'a> {
    /// Its id.
    pub id: &'a str,
    /// The job type that runs it.
    pub kind: &'a str,
    /// The version of `args`, from 1.
    pub version: u32,
    /// The queue that it waits in.
    pub queue: &'a str,
    /// The input of the job type.
    #[schema(value_type = serde_json::Value)]
    pub args: &'a Json,
    /// Its state.
    pub state: State,
    /// Its progress.
    #[schema(required)]
    pub progress: Option<ProgressBody<'a>>,
    /// Attempts begun that count; while running, the number of the present one.
    pub attempt: u32,
    /// Attempts in all.
    pub max_attempts: u32,
    /// The number of workers that died under it.
    pub crashes: u32,
    /// The number of workers that gave it back because they shut down.
    pub interruptions: u32,
    /// −100 to 100, higher first.
    pub priority: i32,
    /// The longest that one attempt may take, in seconds.
    #[schema(required)]
    pub timeout: Option<f64>,
    /// Its place among the available jobs of its queue, from 1; at most 1,000 is counted. Null while it is not
    /// available, in lists, and in the answer that accepts it.
    #[schema(required)]
    pub position: Option<u64>,
    /// About how many seconds it still takes, where that can be told from jobs of its kind that have completed.
    #[schema(required)]
    pub eta_seconds: Option<u64>,
    /// The time at which it was enqueued. In the answer that accepts a job this and `run_at` are this server's time; what the
    /// store keeps may be later by as long as the job took to become durable.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Rfc3339,
    /// The earliest time of its next run.
    #[schema(value_type = String, format = DateTime)]
    pub run_at: Rfc3339,
    /// The start of its present or last attempt.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub started_at: Option<Rfc3339>,
    /// The time at which it ended.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub finished_at: Option<Rfc3339>,
    /// Its result.
    #[schema(value_type = serde_json::Value, required)]
    pub output: Option<&'a Json>,
    /// The failed attempts, oldest first; the last 20 are kept.
    pub errors: Vec<ErrorBody<'a>>,
    /// When it is cancelled unless it was started by then.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub expires_at: Option<Rfc3339>,
    /// When it must have ended: it is cancelled then, and cut off where it runs.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub deadline: Option<Rfc3339>,
    /// True where it was asked to stop while it was running.
    pub cancel_requested: bool,
    /// The reason why it was cancelled, or is to stop.
    #[schema(required)]
    pub cancel_reason: Option<CancelReason>,
    /// The worker that runs it, or ran it last.
    #[schema(required)]
    pub worker: Option<&'a str>,
    /// The job that it belongs to.
    #[schema(required)]
    pub parent: Option<&'a str>,
    /// The counts of its children: of a job that closes a batch, and of one that has had children since it began.
    #[schema(required)]
    pub children: Option<ChildrenBody>,
    /// The jobs that it waits, or waited, for, as it was enqueued with them.
    #[schema(value_type = Vec<DependencyBody>)]
    pub depends_on: &'a [Dependency],
    /// The event that it waits for while it is blocked: `dependencies`, `children`, `signal:NAME`, or `person` where its attempts are used
    /// up and somebody is to retry or cancel it.
    #[schema(value_type = Option<String>, required, example = "signal:approve")]
    pub waits_for: Option<&'a WaitsFor>,
    /// When it goes on though what it waits for has not come.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub wakes_at: Option<Rfc3339>,
    /// Its fate when its last attempt fails.
    pub on_exhausted: OnExhausted,
    /// The place in a trace that it was enqueued at, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub traceparent: Option<TraceParent>,
    /// The job that it is a fork of.
    #[schema(required)]
    pub forked_from: Option<&'a str>,
    /// Its unique key.
    #[schema(required)]
    pub unique: Option<UniqueKeyBody<'a>>,
    /// The names of limits that it shares with others.
    pub limit_keys: &'a [String],
    /// The first of them.
    #[schema(required)]
    pub key: Option<&'a str>,
    /// The units of their limits, and of its queue's, that a run takes.
    pub cost: Cost,
    /// The labels of the workers that it prefers; null where it prefers none.
    #[schema(required)]
    pub prefer: Option<&'a BTreeMap<String, String>>,
    /// True where no other worker is given it.
    pub prefer_hard: bool,
    /// Names and values to find it by.
    #[serde(serialize_with = "without_creator")]
    pub labels: &'a BTreeMap<String, String>,
    /// The id of the token that it was enqueued with, where that is one of `POST /tokens`. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<&'a str>,
    /// True in a list that left out `args` because they are larger than 1 KiB. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub args_cut: bool,
    /// The size of `args` in bytes, where they were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_bytes: Option<u64>,
    /// True in a list that left out `output` because it is larger than 1 KiB. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub output_cut: bool,
    /// The size of `output` in bytes, where it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// True in an answer to a request that created nothing, because this job stands for it. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub duplicate: bool,
    /// True in an answer to a request that created nothing, because this job has taken on its args and its time. Absent
    /// otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub replaced: bool,
}

/// The labels that are the caller's own.
fn without_creator<S: Serializer>(
    labels: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().filter(|(name, _)| *name != CREATED_BY))
}

/// A job's unique key, and the job that holds it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = JobUniqueKey)]
pub struct UniqueKeyBody<'a> {
    /// The key, behind the kind and a colon where it was given over HTTP; of a job that was unique by its args, their digest.
    pub key: &'a str,
    /// The job that holds the key now: this one, or one that was given it since, which is what a duplicate would join. Absent
    /// where the key is free, and in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<&'a str>,
}

impl<'a> From<&'a UniqueKey> for UniqueKeyBody<'a> {
    fn from(unique: &'a UniqueKey) -> Self {
        Self { key: &unique.key, holder: unique.holder.as_ref().map(JobId::as_str) }
    }
}

/// The jobs of a batch, counted by outcome.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Children)]
pub struct ChildrenBody {
    /// All of them.
    pub total: u64,
    /// Those that have completed.
    pub completed: u64,
    /// Those that have failed.
    pub failed: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
}

impl From<Children> for ChildrenBody {
    fn from(children: Children) -> Self {
        let Children { total, completed, failed, cancelled } = children;
        Self { total, completed, failed, cancelled }
    }
}

/// The progress of a job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressBody<'a> {
    /// 0 to 100.
    pub percent: f64,
    /// For people.
    pub message: &'a str,
    /// For programs.
    #[schema(value_type = serde_json::Value)]
    pub data: Option<&'a Json>,
}

impl<'a> From<&'a Progress> for ProgressBody<'a> {
    fn from(progress: &'a Progress) -> Self {
        Self { percent: progress.percent, message: &progress.message, data: progress.data.as_ref() }
    }
}

/// One failed attempt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AttemptError)]
pub struct ErrorBody<'a> {
    /// The attempt, from 1.
    pub attempt: u32,
    /// The time of the failure.
    #[schema(value_type = String, format = DateTime)]
    pub at: Rfc3339,
    /// The error of the job.
    pub message: &'a str,
    /// The sort of failure.
    pub kind: ErrorKind,
}

impl<'a> From<&'a AttemptError> for ErrorBody<'a> {
    fn from(error: &'a AttemptError) -> Self {
        Self { attempt: error.attempt, at: Rfc3339(error.at), message: &error.message, kind: error.kind }
    }
}

impl<'a> From<&'a JobRecord> for JobBody<'a> {
    /// The job as the store has it; `eta_seconds` is not the store's to tell.
    fn from(job: &'a JobRecord) -> Self {
        Self {
            id: job.id.as_str(),
            kind: &job.kind,
            version: job.version,
            queue: &job.queue,
            args: &job.args,
            state: job.state,
            progress: job.progress.as_ref().map(ProgressBody::from),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            crashes: job.crashes,
            interruptions: job.interruptions,
            priority: job.priority,
            timeout: job.policy.timeout.map(in_seconds),
            position: job.position,
            eta_seconds: None,
            created_at: Rfc3339(job.created_at),
            run_at: Rfc3339(job.run_at),
            started_at: job.started_at.map(Rfc3339),
            finished_at: job.finished_at.map(Rfc3339),
            output: job.output.as_ref(),
            errors: job.errors.iter().map(ErrorBody::from).collect(),
            expires_at: job.expires_at.map(Rfc3339),
            deadline: job.deadline.map(Rfc3339),
            cancel_requested: job.cancel_requested,
            cancel_reason: job.cancel_reason,
            worker: job.worker.as_deref(),
            parent: job.parent.as_ref().map(JobId::as_str),
            children: job.children.map(ChildrenBody::from),
            depends_on: &job.depends_on,
            waits_for: job.waits_for.as_ref(),
            wakes_at: job.wakes_at.map(Rfc3339),
            on_exhausted: job.policy.on_exhausted,
            traceparent: job.policy.traceparent,
            forked_from: job.forked_from.as_ref().map(JobId::as_str),
            unique: job.unique.as_ref().map(UniqueKeyBody::from),
            limit_keys: &job.limit_keys,
            key: job.limit_keys.first().map(String::as_str),
            cost: job.policy.cost,
            prefer: job.prefer.as_ref().map(|prefer| &prefer.labels),
            prefer_hard: is_hard(job.prefer.as_ref()),
            labels: &job.labels,
            created_by: job.labels.get(CREATED_BY).map(String::as_str),
            args_cut: job.args_bytes.is_some(),
            args_bytes: job.args_bytes,
            output_cut: job.output_bytes.is_some(),
            output_bytes: job.output_bytes,
            duplicate: false,
            replaced: false,
        }
    }
}

impl<'a> JobBody<'a> {
    /// A job that was accepted at `now`, without asking the store for what is known anyway.
    #[must_use]
    pub fn accepted(id: &'a JobId, job: &'a NewJob, now: Timestamp) -> Self {
        let (state, run_at) = lifecycle::unique::start(job, now);
        let times = Times::of(job, now);
        Self {
            id: id.as_str(),
            kind: &job.kind,
            version: job.version,
            queue: &job.queue,
            args: &job.args,
            state,
            progress: None,
            attempt: 0,
            max_attempts: job.max_attempts,
            crashes: 0,
            interruptions: 0,
            priority: job.priority,
            timeout: job.policy.timeout.map(in_seconds),
            position: None,
            eta_seconds: None,
            created_at: Rfc3339(now),
            run_at: Rfc3339(run_at),
            started_at: None,
            finished_at: None,
            output: None,
            errors: Vec::new(),
            expires_at: times.expires_at.map(Rfc3339),
            deadline: times.deadline.map(Rfc3339),
            cancel_requested: false,
            cancel_reason: None,
            worker: None,
            parent: job.parent.as_ref().map(JobId::as_str),
            children: None,
            depends_on: &job.depends_on,
            waits_for: None,
            wakes_at: None,
            on_exhausted: job.policy.on_exhausted,
            traceparent: job.policy.traceparent,
            forked_from: job.forked_from.as_ref().map(JobId::as_str),
            unique: job
                .unique
                .as_ref()
                .map(|unique| UniqueKeyBody { key: &unique.key, holder: Some(id.as_str()) }),
            limit_keys: &job.limit_keys,
            key: job.limit_keys.first().map(String::as_str),
            cost: job.policy.cost,
            prefer: job.prefer.as_ref().map(|prefer| &prefer.labels),
            prefer_hard: is_hard(job.prefer.as_ref()),
            labels: &job.labels,
            created_by: job.labels.get(CREATED_BY).map(String::as_str),
            args_cut: false,
            args_bytes: None,
            output_cut: false,
            output_bytes: None,
            duplicate: false,
            replaced: false,
        }
    }

    /// The answer with this body: `Retry-After` while the job is unfinished, and its `Location` on a 202.
    pub(crate) fn answer(mut self, status: StatusCode, base: &str, estimate: Estimate) -> Response {
        self.eta_seconds = estimate.eta_seconds();
        let mut response = (status, self.to_vec()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !self.state.is_finished() {
            headers.insert(RETRY_AFTER, HeaderValue::from(estimate.retry_after()));
        }
        if status == StatusCode::ACCEPTED
            && let Ok(location) = HeaderValue::from_str(&format!("{base}/jobs/{}", self.id))
        {
            headers.insert(LOCATION, location);
        }
        response
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        // Everything in a job is text, a number or JSON already, so that it always has a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
