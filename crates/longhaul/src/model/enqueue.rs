use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::check_name;
use super::key::check_limit_keys;
use super::{Dependency, JobId, Json, Policy, Prefer, Unique, check_dependencies};
use crate::admit::{MAX_STEP_BYTES, step_name};
use crate::clock::Timestamp;
use crate::job::Job;
use crate::panics::contain;
use crate::store::{Error, Result};
use crate::trace;
use crate::webhook::Webhook;

/// The most bytes that a job's `args` may have.
pub const MAX_ARGS_BYTES: usize = 256 * 1024;
/// The most bytes that a job's `labels` may have together.
const MAX_LABELS_BYTES: usize = 8 * 1024;
/// The most bytes that a unique key, an idempotency key or its fingerprint may have.
const MAX_KEY_BYTES: usize = 512;
/// The queue of a job that names none.
pub const DEFAULT_QUEUE: &str = "default";
/// The attempts of a job that names no number of them.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;

/// A job to be enqueued. [`NewJob::of`] fills it from the job's type; every field may be changed before it is
/// handed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewJob {
    /// The job's id; a random one if `None`. An id that exists creates nothing and is answered as a duplicate.
    pub id: Option<JobId>,
    /// The job type that runs it.
    pub kind: Cow<'static, str>,
    /// The version of `args`, from 1; a worker takes no version above the one that it knows.
    pub version: u32,
    /// The queue that it waits in.
    pub queue: Cow<'static, str>,
    /// The JSON of the job's args, at most 256 KiB.
    pub args: Json,
    /// −100 to 100, higher first. One step of priority is worth a head start of one minute, so that
    /// a job of low priority is overtaken for a bounded time only and nothing starves.
    pub priority: i32,
    /// The earliest time of its first run.
    pub start: Start,
    /// The limit on attempts, from 1.
    pub max_attempts: u32,
    /// Workers that may die under it before it fails as poison.
    pub max_crashes: u32,
    /// The policy of its runs: timeout, backoff.
    #[serde(default)]
    pub policy: Policy,
    /// The names of limits that it shares with others, at most [`MAX_LIMIT_KEYS`](super::MAX_LIMIT_KEYS): a tenant's, say, and
    /// a provider's. All of them must [admit](super::KeyConfig) a run. The first is the one that a [rate
    /// limited](super::Outcome::RateLimited) run pauses, and whose weight counts in a fair queue.
    #[serde(default)]
    pub limit_keys: Vec<String>,
    /// The workers that it prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Prefer>,
    /// Keeps a second job of the same key from being created.
    pub unique: Option<Unique>,
    /// The limit on the time from its enqueueing to its first start; then it is cancelled as
    /// [expired](super::CancelReason::Expired).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Duration>,
    /// The time by which it must have ended, with all its attempts: then a waiting job is cancelled and a running one
    /// is aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Makes a repeated request answer with the first one's job.
    pub idempotency: Option<Idempotency>,
    /// The job that this one belongs to. Where that one [waits for its children](Start::AfterChildren), or has begun and not
    /// ended, this one is counted among them.
    pub parent: Option<JobId>,
    /// Names and values that lists filter by; at most 8 KiB in all.
    pub labels: BTreeMap<String, String>,
    /// The jobs that must end before it may run, at most [`MAX_DEPENDENCIES`](super::MAX_DEPENDENCIES). Each is there already or
    /// stands before this one in the same call, so that no circle can be made; and none is an ancestor (its parent, its parent's parent,
    /// and so on) that has not ended, because that may wait for its children.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// Steps that are done already, in their order, with their outputs: those that a fork takes over.
    #[serde(default)]
    pub steps: Vec<(String, Json)>,
    /// The job that this one is a fork of.
    #[serde(default)]
    pub forked_from: Option<JobId>,
    /// The URL that is notified of its end, by a [delivery](crate::webhook) that is enqueued with it. If the job is a
    /// duplicate of another, only the webhook of that other job is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

impl NewJob {
    /// The job with the defaults of its type.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the job has no JSON form, and where its `limit_keys()`, `prefer()`, `cost()`, `unique()` or
    /// `Serialize` panics.
    pub fn of<J: Job>(job: &J) -> Result<Self> {
        let panicked = |field: &str| {
            let field = field.to_owned();
            |reason| Error::Invalid { field, reason }
        };
        Ok(Self {
            version: J::VERSION,
            queue: Cow::Borrowed(J::QUEUE),
            max_attempts: J::MAX_ATTEMPTS,
            policy: Policy {
                timeout: J::TIMEOUT,
                cost: contain(|| job.cost()).map_err(panicked("cost"))?,
                on_exhausted: J::ON_EXHAUSTED,
                traceparent: trace::current(),
                ..Policy::default()
            },
            limit_keys: contain(|| job.limit_keys()).map_err(panicked("limit_keys"))?,
            prefer: contain(|| job.prefer()).map_err(panicked("prefer"))?,
            unique: contain(|| job.unique()).map_err(panicked("unique"))?,
            expires_in: J::EXPIRES_IN,
            deadline: J::DEADLINE.map(Deadline::In),
            ..Self::new(J::KIND, contain(|| Json::new(job)).map_err(panicked("args"))??)
        })
    }

    /// A job of a kind that is known by its name alone, in queue `default`, with 3 attempts and all other defaults.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, args: Json) -> Self {
        Self {
            id: None,
            kind: kind.into(),
            version: 1,
            queue: Cow::Borrowed(DEFAULT_QUEUE),
            args,
            priority: 0,
            start: Start::Now,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            max_crashes: default_max_crashes(),
            policy: Policy { traceparent: trace::current(), ..Policy::default() },
            limit_keys: Vec::new(),
            prefer: None,
            unique: None,
            expires_in: None,
            deadline: None,
            idempotency: None,
            parent: None,
            labels: BTreeMap::new(),
            depends_on: Vec::new(),
            steps: Vec::new(),
            forked_from: None,
            webhook: None,
        }
    }

    /// The jobs of a batch: the closing one, and then its children. See
    /// [`enqueue_batch`](crate::Longhaul::enqueue_batch); this form is for [`Context::follow_up`] and for enqueueing in
    /// a transaction. Give the closing job an id and no unique or idempotency key: if it is a duplicate of another job,
    /// no job waits for the children.
    ///
    /// [`Context::follow_up`]: crate::Context::follow_up
    #[must_use]
    pub fn batch(closing: NewJob, children: Vec<NewJob>) -> Vec<NewJob> {
        let id = closing.id.unwrap_or_else(JobId::random);
        let child = |(number, child): (usize, NewJob)| NewJob {
            id: Some(child.id.unwrap_or_else(|| JobId::from_store(format!("{id}.{number}")))),
            parent: Some(id.clone()),
            ..child
        };
        let children: Vec<NewJob> = (1..).zip(children).map(child).collect();
        let closing = NewJob { id: Some(id), start: Start::AfterChildren, ..closing };
        std::iter::once(closing).chain(children).collect()
    }

    /// Checks names, sizes and bounds. Every store does so before it keeps anything: see [`admit`](crate::admit).
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        self.checks().collect()
    }

    /// The result of each check, for callers that report all errors at once.
    pub fn checks(&self) -> impl Iterator<Item = Result<()>> {
        CHECKS.iter().map(|check| check(self))
    }

    fn validate_unique(&self) -> Result<()> {
        let Some(unique) = &self.unique else { return Ok(()) };
        unique.validate()?;
        if unique.is_merged() && self.start == Start::AfterChildren {
            let reason = "must not be replace or debounce where the job waits for its children: a job that is merged into \
                          another has none";
            return invalid("unique.on_clash", reason);
        }
        if unique.sets_start() && self.start != Start::Now {
            return invalid(
                "unique.on_clash",
                "must not be debounce where the job has a start of its own: its delay is one",
            );
        }
        Ok(())
    }

    fn validate_times(&self) -> Result<()> {
        if self.expires_in.is_some_and(|time| time.is_zero()) {
            return invalid("expires_in", "must be more than zero");
        }
        if self.deadline == Some(Deadline::In(Duration::ZERO)) {
            return invalid("deadline", "must be more than zero");
        }
        Ok(())
    }

    fn validate_steps(&self) -> Result<()> {
        for (name, output) in &self.steps {
            step_name(name)?;
            output.check(&format!("step '{name}'"), MAX_STEP_BYTES)?;
        }
        Ok(())
    }

    fn validate_labels(&self) -> Result<()> {
        if self.labels.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_LABELS_BYTES {
            return invalid("labels", format!("must be at most {MAX_LABELS_BYTES} bytes in all"));
        }
        for (label, value) in &self.labels {
            check_name("labels", label)?;
            if value.contains('\0') {
                return invalid(format!("labels.{label}"), "must not hold a NUL character");
            }
        }
        Ok(())
    }
}

/// The checks of a new job. Each is made only once the one before has passed, because every job passes through them.
const CHECKS: [fn(&NewJob) -> Result<()>; 20] = [
    |job| check_name("kind", &job.kind),
    |job| check_name("queue", &job.queue),
    |job| job.id.as_ref().map_or(Ok(()), |id| check_name("id", id.as_str())),
    |job| job.args.check("args", MAX_ARGS_BYTES),
    |job| check_number("version", job.version, 1..=i32::MAX as u32),
    |job| check_number("priority", job.priority, -100..=100),
    |job| check_number("max_attempts", job.max_attempts, 1..=1000),
    |job| check_number("max_crashes", job.max_crashes, 0..=MAX_CRASHES),
    |job| job.policy.validate(),
    |job| check_limit_keys(&job.limit_keys),
    |job| job.prefer.as_ref().map_or(Ok(()), Prefer::validate),
    |job| job.parent.as_ref().map_or(Ok(()), |parent| check_name("parent", parent.as_str())),
    NewJob::validate_unique,
    NewJob::validate_times,
    |job| {
        let Some(idempotency) = &job.idempotency else { return Ok(()) };
        check_key("idempotency.key", &idempotency.key)?;
        check_key("idempotency.fingerprint", &idempotency.fingerprint)
    },
    NewJob::validate_labels,
    |job| check_dependencies(job.id.as_ref(), &job.depends_on),
    NewJob::validate_steps,
    |job| job.forked_from.as_ref().map_or(Ok(()), |id| check_name("forked_from", id.as_str())),
    |job| job.webhook.as_ref().map_or(Ok(()), Webhook::validate),
];

/// The most crashes that a job may be made to survive.
const MAX_CRASHES: u32 = 1_000_000;

pub(super) fn invalid<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T> {
    Err(Error::Invalid { field: field.into(), reason: reason.into() })
}

fn check_number<T: PartialOrd + Display>(field: &str, number: T, bounds: RangeInclusive<T>) -> Result<()> {
    if bounds.contains(&number) {
        return Ok(());
    }
    invalid(field, format!("must be from {} to {}", bounds.start(), bounds.end()))
}

/// Keys are any text, because applications make them of what users give them; NUL cannot be stored by Postgres.
pub(super) fn check_key(field: &str, key: &str) -> Result<()> {
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
        return invalid(field, format!("must be 1 to {MAX_KEY_BYTES} bytes"));
    }
    if key.contains('\0') {
        return invalid(field, "must not hold a NUL character");
    }
    Ok(())
}

/// The crashes that a job survives unless it says otherwise: `LONGHAUL_MAX_CRASHES`, or 5.
#[must_use]
pub fn default_max_crashes() -> u32 {
    static VALUE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *VALUE
        .get_or_init(|| std::env::var("LONGHAUL_MAX_CRASHES").ok().and_then(|v| v.parse().ok()).unwrap_or(5))
}

/// The earliest time of a job's first run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At once.
    #[default]
    Now,
    /// This long after it is enqueued, on the store's clock.
    After(Duration),
    /// At a moment of the store's clock; one in the past means at once.
    At(Timestamp),
    /// Once every job that names it as `parent` has ended, in whichever state: it is `blocked` until then, and closes
    /// their batch. Enqueue the children in the same call; without any, it starts at once.
    AfterChildren,
}

/// The time by which a job must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// This long after it is enqueued, on the store's clock.
    In(Duration),
    /// At a moment of the store's clock.
    At(Timestamp),
}

/// A caller's promise that two requests with this key are one (the `Idempotency-Key` header).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// A digest of the request, so that a key used for another request is noticed.
    pub fingerprint: String,
    /// The time that the key is remembered, whatever becomes of the job.
    pub keep_for: Duration,
}

/// The answer about one job of an enqueue call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enqueued {
    /// The job's id; that of the job which was there before for a duplicate, a rejected job and one that was merged.
    pub id: JobId,
    /// Created, or why not.
    pub status: EnqueueStatus,
    /// The bound that a [full](EnqueueStatus::Full) answer is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Full>,
}

/// A bound on waiting jobs that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Full {
    /// This queue's.
    Queue(String),
    /// This limit key's.
    Key(String),
}

impl Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Full::Queue(queue) => write!(f, "queue {queue}"),
            Full::Key(key) => write!(f, "limit key {key}"),
        }
    }
}

impl Enqueued {
    /// An answer about a job that no bound has refused.
    #[must_use]
    pub fn new(id: JobId, status: EnqueueStatus) -> Self {
        Self { id, status, full: None }
    }

    /// The answer about a job that was refused because of a bound.
    #[must_use]
    pub fn full(id: JobId, full: Full) -> Self {
        Self { id, status: EnqueueStatus::Full, full: Some(full) }
    }

    /// True where an earlier job stands for this one.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.status == EnqueueStatus::Duplicate
    }
}

/// The effect of an enqueue on one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnqueueStatus {
    /// It is durable and will run.
    Created,
    /// It is durable and has been cancelled: its queue or a limit key of it is full and [drops the
    /// newest](super::OnFull::DropNewest).
    Dropped,
    /// Its id exists, its unique key is held, or its idempotency key was used for the same request.
    Duplicate,
    /// The job that holds its unique key has taken on its args and its time.
    Replaced,
    /// Its unique key is held, and it does not join. The other jobs of the call are created.
    Rejected,
    /// Its queue or one of its limit keys has as many waiting jobs as it may. The other jobs of the call are created.
    Full,
    /// Its idempotency key was used for another request; nothing of the call was created.
    KeyReused,
    /// Another job of the call was refused, so this one was not created either.
    NotCreated,
}
