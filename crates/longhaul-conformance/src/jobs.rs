//! The words in which the tests are written: jobs, claims, outcomes and entries with the values that a test
//! does not care about.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::{
    AttemptError, CancelReason, Claim, Deadline, Entry, ErrorKind, Finish, Idempotency, JobId, JobRecord,
    Json, Lease, LogLevel, NewJob, Outcome, Policy, Progress, QueueSlots, Start, State, SupportedKind,
    Timestamp, Unique, UniqueKey, WaitsFor, WorkerInfo,
};

/// The queue of a job that is not said to be in another.
pub const QUEUE: &str = "images";
/// The kind of a job that is not said to be of another.
pub const KIND: &str = "resize";
/// The length of a lease.
pub const LEASE: Duration = Duration::from_secs(30);
/// Longer than any wait that a test lets pass.
pub const HOUR: Duration = Duration::from_secs(3600);

/// So many seconds.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A plain job: available at once, five attempts, five crashes.
#[must_use]
pub fn job() -> NewJob {
    NewJob {
        id: None,
        kind: KIND.into(),
        version: 1,
        queue: QUEUE.into(),
        args: json(r#"{"width":640}"#),
        priority: 0,
        start: Start::Now,
        max_attempts: 5,
        max_crashes: 5,
        policy: Policy::default(),
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

/// A plain job with an id.
#[must_use]
pub fn named(name: &str) -> NewJob {
    NewJob { id: Some(id(name)), ..job() }
}

/// A plain job with an id that shares limits with others.
#[must_use]
pub fn limited(name: &str, keys: &[&str]) -> NewJob {
    NewJob { limit_keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..named(name) }
}

/// A plain job that waits.
#[must_use]
pub fn delayed(delay: Duration) -> NewJob {
    NewJob { start: Start::After(delay), ..job() }
}

/// A plain job with a unique key, held for `period` after its completion.
#[must_use]
pub fn unique(key: &str, period: Option<Duration>) -> NewJob {
    NewJob { unique: Some(Unique { period, ..Unique::new(key) }), ..job() }
}

/// A plain job with an idempotency key, remembered for an hour.
#[must_use]
pub fn idempotent(key: &str, fingerprint: &str) -> NewJob {
    let idempotency = Idempotency { key: key.into(), fingerprint: fingerprint.into(), keep_for: HOUR };
    NewJob { idempotency: Some(idempotency), ..job() }
}

/// An id.
#[must_use]
pub fn id(name: &str) -> JobId {
    JobId::from_store(name.into())
}

/// Ids.
#[must_use]
pub fn ids<const N: usize>(names: [&str; N]) -> [JobId; N] {
    names.map(id)
}

/// JSON text, which must be valid.
#[must_use]
pub fn json(text: &str) -> Json {
    Json::parse(text.into()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A worker.
#[must_use]
pub fn worker(id: &str) -> WorkerInfo {
    WorkerInfo {
        id: id.into(),
        process: "p1".into(),
        host: "h1".into(),
        queues: vec![slots(QUEUE, 100)],
        ..WorkerInfo::default()
    }
}

/// Free slots of a queue.
#[must_use]
pub fn slots(queue: &str, slots: usize) -> QueueSlots {
    QueueSlots { queue: queue.into(), slots }
}

/// A kind and the newest version of it that a worker reads.
#[must_use]
pub fn kind(kind: &str, version: u32) -> SupportedKind {
    SupportedKind { kind: kind.into(), version }
}

/// A claim by worker `w1` of all that is available, up to a hundred jobs of the usual queue and kind.
#[must_use]
pub fn claim() -> Claim {
    Claim {
        worker: worker("w1"),
        queues: vec![slots(QUEUE, 100)],
        kinds: vec![kind(KIND, 1)],
        lease_for: LEASE,
        wait: Duration::ZERO,
    }
}

/// A good end.
#[must_use]
pub fn completed() -> Outcome {
    Outcome::Completed { output: json(r#"{"bytes": 1.50}"#) }
}

/// An end to be followed by another attempt.
#[must_use]
pub fn retry(delay: Duration) -> Outcome {
    Outcome::Retry { error: AttemptError::new(ErrorKind::Error, "the disk is full"), delay }
}

/// A bad end.
#[must_use]
pub fn failed() -> Outcome {
    Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, "no such image") }
}

/// An end by request.
#[must_use]
pub fn cancelled() -> Outcome {
    Outcome::Cancelled { reason: "not needed any more".into(), cancel_reason: CancelReason::Asked }
}

/// The end of a run that has nothing else to say.
#[must_use]
pub fn finish(lease: &Lease, outcome: Outcome) -> Finish {
    Finish { lease: lease.clone(), outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None }
}

/// A piece of output.
#[must_use]
pub fn chunk(data: &str) -> Entry {
    Entry::Chunk { data: json(data) }
}

/// A line for people.
#[must_use]
pub fn log(message: &str) -> Entry {
    Entry::Log { level: LogLevel::Warn, message: message.into() }
}

/// The progress of a job.
#[must_use]
pub fn progress(percent: f64) -> Progress {
    Progress { percent, message: format!("{percent} % done"), data: Some(json(r#"{"page": 3}"#)) }
}

/// A step that is done.
#[must_use]
pub fn step(name: &str, output: &str) -> Entry {
    Entry::Step { name: name.into(), output: json(output), took: Duration::ZERO }
}

/// A job as it must be read back when nothing but its creation, at `now`, has happened to it.
#[must_use]
pub fn untouched(id: &JobId, job: &NewJob, now: Timestamp) -> JobRecord {
    let (state, run_at) = match job.start {
        Start::Now => (State::Available, now),
        Start::AfterChildren => (State::Blocked, now),
        Start::After(delay) if delay.is_zero() => (State::Available, now),
        Start::After(delay) => (State::Scheduled, now.plus(delay)),
        Start::At(time) if time <= now => (State::Available, now),
        Start::At(time) => (State::Scheduled, time),
    };
    let deadline = job.deadline.map(|deadline| match deadline {
        Deadline::In(time) => now.plus(time),
        Deadline::At(at) => at,
    });
    JobRecord {
        id: id.clone(),
        kind: job.kind.to_string(),
        version: job.version,
        queue: job.queue.to_string(),
        args: job.args.clone(),
        state,
        priority: job.priority,
        attempt: 0,
        max_attempts: job.max_attempts,
        crashes: 0,
        max_crashes: job.max_crashes,
        interruptions: 0,
        policy: job.policy,
        progress: None,
        output: None,
        errors: Vec::new(),
        cancel_requested: false,
        cancel_reason: None,
        worker: None,
        position: (state == State::Available).then_some(1),
        created_at: now,
        run_at,
        started_at: None,
        finished_at: None,
        expires_at: job.expires_in.map(|time| now.plus(time)),
        deadline,
        last_event: 1,
        limit_keys: job.limit_keys.clone(),
        prefer: job.prefer.clone(),
        parent: job.parent.clone(),
        children: None,
        labels: job.labels.clone(),
        args_bytes: None,
        output_bytes: None,
        depends_on: job.depends_on.clone(),
        waits_for: (state == State::Blocked).then_some(WaitsFor::Children),
        wakes_at: None,
        forked_from: job.forked_from.clone(),
        unique: job
            .unique
            .as_ref()
            .map(|unique| UniqueKey { key: unique.key.clone(), holder: Some(id.clone()) }),
    }
}

/// A job that was looked up, as a list shows it.
#[must_use]
pub fn as_listed(record: JobRecord) -> JobRecord {
    let unique = record.unique.map(|unique| UniqueKey { holder: None, ..unique });
    JobRecord { position: None, unique, ..record }
}
