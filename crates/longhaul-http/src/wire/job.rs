use std::borrow::Cow;
use std::collections::BTreeMap;

use longhaul::{Backoff, Enqueued, Idempotency, JobId, Json, NewJob, Policy, Start, default_max_crashes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deadline::DeadlineBody;
use super::dependency::{DependencyBody, DependencyRequest};
use super::prefer::{is_hard, prefer};
use super::seconds::Seconds;
use super::unique::UniqueBody;
use super::webhook::WebhookBody;
use crate::time::Rfc3339;

/// Jobs to be enqueued, all of them or none.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkerEnqueue)]
pub(crate) struct EnqueueBody {
    /// At most 10,000.
    pub(crate) jobs: Vec<NewJobBody>,
}

/// The result for each job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WorkerEnqueued)]
pub(crate) struct EnqueueAnswer {
    /// In the order of the request: `{"id": "…", "status": "created"}`, or `duplicate`, `replaced`, `rejected`, `full`,
    /// `key_reused`, `not_created`.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub(crate) enqueued: Vec<Enqueued>,
}

/// A job to be enqueued, with every field that the engine has. What is left out is as an unknown kind has it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FollowUp)]
pub(crate) struct NewJobBody {
    /// The job type that runs it.
    kind: String,
    /// The input of the job type; at most 256 KiB.
    #[schema(value_type = serde_json::Value, required = true)]
    args: Json,
    /// The version of `args`; 1 unless given.
    #[serde(default = "first_version")]
    #[schema(required = false)]
    version: u32,
    /// The queue that it waits in; `default` unless given.
    #[serde(default = "default_queue")]
    #[schema(required = false)]
    queue: String,
    /// Its id. An id that exists creates nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// −100 to 100, higher first.
    #[serde(default)]
    priority: i32,
    /// The delay before it may first run. At most one of this, `run_at` and `after_children`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    delay: Option<Seconds>,
    /// The earliest time of its first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<Rfc3339>,
    /// True where it waits until every job that names it as `parent` has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    after_children: bool,
    /// Attempts in all; 3 unless given.
    #[serde(default = "default_attempts")]
    #[schema(required = false)]
    max_attempts: u32,
    /// The number of its workers that may die under it.
    #[serde(default = "default_max_crashes")]
    #[schema(required = false)]
    max_crashes: u32,
    /// The longest that one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    timeout: Option<Seconds>,
    /// Overrides the kind's backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backoff: Option<BackoffBody>,
    /// All else that is kept with the job and no query looks at, as the engine writes it.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(value_type = Option<serde_json::Value>)]
    policy: Policy,
    /// The names of limits that it shares with others; at most 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    limit_keys: Vec<String>,
    /// The labels of the workers that it prefers, 1 to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer: Option<BTreeMap<String, String>>,
    /// True where no other worker may run it; others wait a second otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefer_hard: Option<bool>,
    /// One limit key, as workers of the previous release name it.
    #[serde(default, skip_serializing)]
    #[schema(ignore)]
    limit_key: Option<String>,
    /// Keeps a second job of the same key from being created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<UniqueBody>,
    /// The longest that it may wait for its first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Seconds>)]
    expires_in: Option<Seconds>,
    /// When it must have ended: a time, or seconds from when it is enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<DeadlineBody>,
    /// Makes a repeated request answer with the first one's job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<IdempotencyBody>,
    /// The job that this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// Names and values to find it by; at most 8 KiB in all.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The jobs that must end before it may run, at most 1,000. Each is there already or stands before it in the same call, and
    /// none is an ancestor that has not ended; a follow-up may also name the job that it follows, and is cancelled where it names an
    /// unfinished ancestor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    depends_on: Vec<DependencyRequest>,
    /// Steps that are done already, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    steps: Vec<DoneStepBody>,
    /// The job that it is a fork of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forked_from: Option<String>,
    /// The URL that is told how it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookBody>,
}

/// A step that is done already, with its output.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DoneStep)]
struct DoneStepBody {
    /// Its name.
    name: String,
    /// Its output; at most 1 MiB.
    #[schema(value_type = serde_json::Value, required = true)]
    output: Json,
}

/// The waits between a job's attempts: attempt *n* waits `base × factorⁿ⁻¹`, at most `max`, less a random part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Backoff)]
pub(crate) struct BackoffBody {
    /// The wait after the first failed attempt.
    #[schema(value_type = Seconds)]
    base: Seconds,
    /// The factor of each further wait, from 1.
    factor: f64,
    /// The longest wait.
    #[schema(value_type = Seconds)]
    max: Seconds,
    /// The part of the wait that is random, 0 to 1.
    jitter: f64,
}

/// A caller's promise that two requests with this key are one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Idempotency)]
struct IdempotencyBody {
    /// The caller's key.
    key: String,
    /// A digest of the request.
    fingerprint: String,
    /// The time for which the key is remembered.
    #[schema(value_type = Seconds)]
    keep_for: Seconds,
}

fn first_version() -> u32 {
    1
}

fn default_queue() -> String {
    longhaul::DEFAULT_QUEUE.into()
}

fn default_attempts() -> u32 {
    3
}

impl From<&NewJob> for NewJobBody {
    fn from(job: &NewJob) -> Self {
        let (delay, run_at) = match job.start {
            Start::Now | Start::AfterChildren => (None, None),
            Start::After(delay) => (Some(Seconds(delay)), None),
            Start::At(moment) => (None, Some(Rfc3339(moment))),
        };
        Self {
            kind: job.kind.clone().into_owned(),
            args: job.args.clone(),
            version: job.version,
            queue: job.queue.clone().into_owned(),
            id: job.id.as_ref().map(|id| id.as_str().to_owned()),
            priority: job.priority,
            delay,
            run_at,
            after_children: job.start == Start::AfterChildren,
            max_attempts: job.max_attempts,
            max_crashes: job.max_crashes,
            timeout: job.policy.timeout.map(Seconds),
            backoff: job.policy.backoff.map(BackoffBody::from),
            policy: rest(job.policy),
            limit_keys: job.limit_keys.clone(),
            limit_key: None,
            prefer: job.prefer.as_ref().map(|prefer| prefer.labels.clone()),
            prefer_hard: is_hard(job.prefer.as_ref()).then_some(true),
            unique: job.unique.as_ref().map(UniqueBody::from),
            expires_in: job.expires_in.map(Seconds),
            deadline: job.deadline.map(DeadlineBody),
            idempotency: job.idempotency.as_ref().map(|idempotency| IdempotencyBody {
                key: idempotency.key.clone(),
                fingerprint: idempotency.fingerprint.clone(),
                keep_for: Seconds(idempotency.keep_for),
            }),
            parent: job.parent.as_ref().map(|id| id.as_str().to_owned()),
            labels: job.labels.clone(),
            depends_on: job.depends_on.iter().map(|on| DependencyRequest(DependencyBody::from(on))).collect(),
            steps: job
                .steps
                .iter()
                .map(|(name, output)| DoneStepBody { name: name.clone(), output: output.clone() })
                .collect(),
            forked_from: job.forked_from.as_ref().map(|id| id.as_str().to_owned()),
            webhook: job.webhook.as_ref().map(WebhookBody::from),
        }
    }
}

impl NewJobBody {
    /// The job.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where it breaks a bound.
    pub(crate) fn into_job(self) -> longhaul::Result<NewJob> {
        let start = match (self.delay, self.run_at, self.after_children) {
            (None, None, false) => Start::Now,
            (Some(delay), None, false) => Start::After(delay.0),
            (None, Some(moment), false) => Start::At(moment.0),
            (None, None, true) => Start::AfterChildren,
            _ => {
                let reason = "must not be given together with another of delay, run_at and after_children";
                return Err(longhaul::Error::Invalid { field: "delay".into(), reason: reason.into() });
            }
        };
        let job = NewJob {
            id: self.id.map(JobId::new).transpose()?,
            kind: Cow::Owned(self.kind),
            version: self.version,
            queue: Cow::Owned(self.queue),
            args: self.args,
            priority: self.priority,
            start,
            max_attempts: self.max_attempts,
            max_crashes: self.max_crashes,
            policy: policy(self.timeout, self.backoff, self.policy),
            limit_keys: self.limit_key.into_iter().chain(self.limit_keys).collect(),
            prefer: prefer(self.prefer, self.prefer_hard)?,
            unique: self.unique.map(UniqueBody::into_unique).transpose()?,
            expires_in: self.expires_in.map(|time| time.0),
            deadline: self.deadline.map(|deadline| deadline.0),
            idempotency: self.idempotency.map(|idempotency| Idempotency {
                key: idempotency.key,
                fingerprint: idempotency.fingerprint,
                keep_for: idempotency.keep_for.0,
            }),
            parent: self.parent.map(JobId::new).transpose()?,
            labels: self.labels,
            depends_on: self
                .depends_on
                .into_iter()
                .enumerate()
                .map(|(place, DependencyRequest(on))| on.into_dependency(place))
                .collect::<longhaul::Result<_>>()?,
            steps: self.steps.into_iter().map(|step| (step.name, step.output)).collect(),
            forked_from: self.forked_from.map(JobId::new).transpose()?,
            webhook: self.webhook.map(WebhookBody::into_webhook),
        };
        job.validate()?;
        Ok(job)
    }
}

/// A policy whose first two fields have names of their own in the contract. What others it has, or will have, goes as it is,
/// and is left out where there is none: a server of an earlier release refuses what it does not know.
pub(super) fn policy(timeout: Option<Seconds>, backoff: Option<BackoffBody>, mut rest: Policy) -> Policy {
    rest.timeout = timeout.map(|timeout| timeout.0).or(rest.timeout);
    rest.backoff = backoff.map(BackoffBody::into).or(rest.backoff);
    rest
}

/// The fields of a policy without names of their own.
pub(super) fn rest(mut policy: Policy) -> Policy {
    (policy.timeout, policy.backoff) = (None, None);
    policy
}

pub(super) fn is_default(policy: &Policy) -> bool {
    *policy == Policy::default()
}

impl From<Backoff> for BackoffBody {
    fn from(backoff: Backoff) -> Self {
        let Backoff { base, factor, max, jitter } = backoff;
        Self { base: Seconds(base), factor, max: Seconds(max), jitter }
    }
}

impl From<BackoffBody> for Backoff {
    fn from(body: BackoffBody) -> Self {
        Self { base: body.base.0, factor: body.factor, max: body.max.0, jitter: body.jitter }
    }
}
