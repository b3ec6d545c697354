//! Validation at the entry of every store: a store calls these functions before it writes, so that all stores refuse the
//! same input with the same error, and none stores what it could not read back.
//!
//! Input that the caller can correct is refused ([`jobs`], [`queue`], [`filter`]). The end of a run cannot be refused,
//! or the job would run for ever: text for people is cut and cleaned, and a run whose output, entries or follow-ups
//! cannot be stored ends as `failed` with the reason ([`finishes`], [`records`]).

mod filters;

pub use filters::{MAX_FILTER_CONDITIONS, MAX_FILTER_VALUES, MAX_FILTER_WORD_BYTES, filter, key_filter};

use std::collections::BTreeMap;
use std::future::Future;

use crate::model::{
    Action, AttemptError, Claim, Entry, ErrorKind, Finish, Json, KeyConfig, LeaseStatus, MAX_ARGS_BYTES,
    MAX_UNITS, MAX_WORKER_LABELS, NewJob, Outcome, Progress, QueueConfig, Record, SIGNAL_PREFIX, Sample,
    WaitsFor, WorkerInfo, check_key_name, check_name,
};
use crate::store::{Error, Result, Store};
use crate::webhook;

/// The most bytes of JSON that a job may return.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
/// The most bytes of JSON that a step may return.
pub const MAX_STEP_BYTES: usize = 1024 * 1024;
/// The most bytes of JSON of one chunk, and of a progress report's `data`.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;
/// The most follow-up jobs of one finish.
pub const MAX_FOLLOW_UPS: usize = 1_000;
/// The most bytes of a log line or of a progress report's message; longer ones are cut.
pub const MAX_LINE_BYTES: usize = 8 * 1024;
/// The most bytes of an error's message; a longer one is cut.
pub const MAX_ERROR_BYTES: usize = 16 * 1024;
/// The most bytes of JSON of a sample.
pub const MAX_SAMPLE_BYTES: usize = 512 * 1024;
/// The most bytes of JSON of a signal's value.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;
/// The most bytes of a step's name.
pub const MAX_STEP_NAME_BYTES: usize = 512;

/// Checks jobs that are to be enqueued.
///
/// # Errors
/// [`Error::Invalid`] with the first field that breaks its bound; of several jobs, the field says which.
pub fn jobs(jobs: &[NewJob]) -> Result<()> {
    for (n, job) in jobs.iter().enumerate() {
        match job.validate() {
            Err(Error::Invalid { field, reason }) if jobs.len() > 1 => {
                return Err(Error::Invalid { field: format!("[{n}].{field}"), reason });
            }
            checked => checked?,
        }
    }
    Ok(())
}

/// Checks jobs that are to be enqueued, and adds the deliveries of their webhooks behind them: a store creates all of these and
/// answers for those that it was given.
///
/// # Errors
/// As for [`jobs`].
pub fn with_deliveries(jobs: Vec<NewJob>) -> Result<Vec<NewJob>> {
    self::jobs(&jobs)?;
    webhook::with_deliveries(jobs)
}

/// Merges kinds and queues that a claim names twice: the highest version and the last slots count. Kinds and queues of
/// names that no job can have are left out.
#[must_use]
pub fn claim(mut claim: Claim) -> Claim {
    claim.worker = worker(claim.worker);
    if has_twice(claim.queues.iter().map(|queue| queue.queue.as_str())) {
        let mut slots = BTreeMap::new();
        for queue in &claim.queues {
            slots.insert(queue.queue.clone(), queue.slots);
        }
        // In the order in which they were named first: a claim prefers the earlier ones.
        claim.queues.retain_mut(|queue| match slots.remove(&queue.queue) {
            Some(last) => {
                queue.slots = last;
                true
            }
            None => false,
        });
    }
    if has_twice(claim.kinds.iter().map(|kind| kind.kind.as_str())) {
        let mut versions = BTreeMap::new();
        for kind in &claim.kinds {
            let version = versions.entry(kind.kind.clone()).or_insert(0);
            *version = kind.version.max(*version);
        }
        claim.kinds.retain_mut(|kind| match versions.remove(&kind.kind) {
            Some(highest) => {
                kind.version = highest;
                true
            }
            None => false,
        });
    }
    claim.queues.retain(|queue| check_name("queue", &queue.queue).is_ok());
    claim.kinds.retain(|kind| check_name("kind", &kind.kind).is_ok());
    claim
}

/// True where a name stands twice in a list, which is short.
fn has_twice<'n>(names: impl Iterator<Item = &'n str> + Clone) -> bool {
    let mut rest = names.clone();
    names.into_iter().any(|name| {
        rest.next();
        rest.clone().any(|other| other == name)
    })
}

/// Cleans what a worker says of itself, which is text for people, and leaves out labels that no job can prefer.
#[must_use]
pub fn worker(mut worker: WorkerInfo) -> WorkerInfo {
    for text in [&mut worker.id, &mut worker.process, &mut worker.host, &mut worker.version] {
        clean(text, MAX_STEP_NAME_BYTES);
    }
    worker.labels.retain(|label, value| [label, value].iter().all(|name| check_name("label", name).is_ok()));
    while worker.labels.len() > MAX_WORKER_LABELS {
        worker.labels.pop_last();
    }
    worker
}

/// Cuts and cleans what the ends of runs say to people. A run whose output, entries or follow-ups cannot be kept is
/// replaced by one that failed for that reason; its paid work is not repeated.
#[must_use]
pub fn finishes(mut finishes: Vec<Finish>) -> Vec<Finish> {
    for finish in &mut finishes {
        finish.cost = finish.cost.map(|cost| cost.min(MAX_UNITS));
        let mut refusal = entries(&mut finish.entries).err();
        if refusal.is_none() {
            refusal = outcome(&mut finish.outcome, &mut finish.follow_ups).err();
        }
        if let Some(error) = refusal {
            finish.outcome = refused(&error);
            finish.follow_ups = Vec::new();
        }
    }
    finishes
}

/// The outcome of a run whose output, entries or follow-ups cannot be kept.
#[must_use]
pub fn refused(error: &Error) -> Outcome {
    let mut message = format!("failed to keep what the job returned: {error}");
    clean(&mut message, MAX_ERROR_BYTES);
    Outcome::Failed { error: AttemptError::new(ErrorKind::Fatal, message) }
}

fn outcome(outcome: &mut Outcome, follow_ups: &mut Vec<NewJob>) -> Result<()> {
    match outcome {
        Outcome::Completed { output } => {
            output.check("output", MAX_OUTPUT_BYTES)?;
            // Deliveries are among them already where a remote store has been this finish's first door.
            let given = follow_ups.iter().filter(|job| job.kind != webhook::KIND).count();
            if given > MAX_FOLLOW_UPS {
                let reason = format!("must be at most {MAX_FOLLOW_UPS} jobs, and are {given}");
                return Err(Error::Invalid { field: "follow_ups".into(), reason });
            }
            for (n, job) in follow_ups.iter().enumerate() {
                job.validate().map_err(|error| within(&format!("follow_ups[{n}]"), error))?;
            }
            *follow_ups = webhook::with_deliveries(std::mem::take(follow_ups))?;
        }
        Outcome::Retry { error, .. } | Outcome::Failed { error } => {
            clean(&mut error.message, MAX_ERROR_BYTES)
        }
        Outcome::Cancelled { reason, .. } => clean(reason, MAX_ERROR_BYTES),
        Outcome::Waits { on, error, .. } => {
            if let Some(error) = error {
                clean(&mut error.message, MAX_ERROR_BYTES);
            }
            match on {
                WaitsFor::Signal(name) => signal_name(name)?,
                WaitsFor::Children | WaitsFor::Person => {}
                WaitsFor::Dependencies => {
                    let reason =
                        "must be children, a signal or a person: a job is enqueued with its dependencies";
                    return Err(Error::Invalid { field: "on".into(), reason: reason.into() });
                }
            }
        }
        Outcome::Snoozed { .. } | Outcome::RateLimited { .. } | Outcome::Released => {}
    }
    Ok(())
}

fn within(place: &str, error: Error) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: format!("{place}.{field}"), reason },
        other => other,
    }
}

/// Cuts and cleans entries, and removes those that cannot be kept.
///
/// # Errors
/// [`Error::Invalid`] for the first entry that was removed.
fn entries(entries: &mut Vec<Entry>) -> Result<()> {
    let mut refusal = Ok(());
    entries.retain_mut(|entry| {
        let kept = self::entry(entry);
        let is_kept = kept.is_ok();
        if refusal.is_ok() {
            refusal = kept;
        }
        is_kept
    });
    refusal
}

/// Cuts and cleans one entry of a run.
///
/// # Errors
/// [`Error::Invalid`] where it cannot be kept.
pub fn entry(entry: &mut Entry) -> Result<()> {
    match entry {
        Entry::Progress(report) => progress(report),
        Entry::Log { message, .. } => {
            clean(message, MAX_LINE_BYTES);
            Ok(())
        }
        Entry::Chunk { data } => data.check("chunk", MAX_CHUNK_BYTES),
        Entry::Step { name, output, .. } => {
            step_name(name)?;
            output.check("step", MAX_STEP_BYTES).map_err(|error| match error {
                Error::Invalid { reason, .. } => Error::Invalid { field: format!("step '{name}'"), reason },
                other => other,
            })
        }
    }
}

/// Checks the name of a step: 1 to [`MAX_STEP_NAME_BYTES`] bytes without NUL.
///
/// # Errors
/// [`Error::Invalid`] where it breaks the rule.
pub fn step_name(name: &str) -> Result<()> {
    let reason = match name {
        name if name.contains('\0') => "must not hold a NUL character".to_owned(),
        name if (1..=MAX_STEP_NAME_BYTES).contains(&name.len()) => return Ok(()),
        _ => format!("must be 1 to {MAX_STEP_NAME_BYTES} bytes"),
    };
    Err(Error::Invalid { field: "step name".into(), reason })
}

/// Checks a signal: its name, which with its prefix is that of a step, and its value.
///
/// # Errors
/// [`Error::Invalid`] where it cannot be kept.
pub fn signal(name: &str, value: &Json) -> Result<()> {
    signal_name(name)?;
    value.check("value", MAX_SIGNAL_BYTES)
}

fn signal_name(name: &str) -> Result<()> {
    const MAX: usize = MAX_STEP_NAME_BYTES - SIGNAL_PREFIX.len();
    let reason = match name {
        name if name.contains('\0') => "must not hold a NUL character".to_owned(),
        name if (1..=MAX).contains(&name.len()) => return Ok(()),
        _ => format!("must be 1 to {MAX} bytes"),
    };
    Err(Error::Invalid { field: "signal name".into(), reason })
}

/// The output of the step that a signal is kept as: the value under the name `value`, as it was sent.
///
/// # Errors
/// None for a value that is JSON.
pub fn signal_output(value: &Json) -> Result<Json> {
    #[derive(serde::Serialize)]
    struct Output<'v> {
        value: &'v Json,
    }
    Json::new(&Output { value })
}

fn progress(report: &mut Progress) -> Result<()> {
    clean(&mut report.message, MAX_LINE_BYTES);
    // A percentage that is no number has no JSON form; it can only come of 0/0, which is nothing done of nothing.
    report.percent = if report.percent.is_nan() { 0.0 } else { report.percent.clamp(0.0, 100.0) };
    report.data.as_ref().map_or(Ok(()), |data| data.check("progress.data", MAX_CHUNK_BYTES))
}

/// Records that may be kept, and the ends of those runs whose entries may not.
#[derive(Debug, Default)]
pub struct Admitted {
    /// Records that may be kept.
    pub records: Vec<Record>,
    /// The places of `records` among those that were given.
    places: Vec<usize>,
    /// Runs that end as `failed`, with their places.
    refused: Vec<(usize, Finish)>,
}

/// Cuts and cleans entries of running jobs. A run with an entry that cannot be stored ends as `failed` for that reason,
/// after its other entries; nothing else would end it, because its worker considers the entries sent.
#[must_use]
pub fn records(records: Vec<Record>) -> Admitted {
    let mut admitted = Admitted::default();
    for (place, mut record) in records.into_iter().enumerate() {
        match entries(&mut record.entries) {
            Ok(()) => {
                admitted.records.push(record);
                admitted.places.push(place);
            }
            Err(error) => {
                let (lease, entries) = (record.lease, record.entries);
                let outcome = refused(&error);
                let end = Finish { lease, outcome, entries, follow_ups: Vec::new(), cost: None };
                admitted.refused.push((place, end));
            }
        }
    }
    admitted
}

/// A store's [`record`](Store::record) with this door before it: `keep` is given the records that may be kept. The lease
/// of a run that ends here is answered as `Lost`, so that its worker stops it.
///
/// # Errors
/// The store's.
pub async fn record_with<F>(
    store: &dyn Store,
    records: Vec<Record>,
    keep: impl FnOnce(Vec<Record>) -> F,
) -> Result<Vec<LeaseStatus>>
where
    F: Future<Output = Result<Vec<LeaseStatus>>>,
{
    let Admitted { records, places, refused } = self::records(records);
    if refused.is_empty() {
        return keep(records).await;
    }
    let mut statuses = vec![LeaseStatus::Lost; places.len() + refused.len()];
    if !records.is_empty() {
        for (place, status) in places.into_iter().zip(keep(records).await?) {
            statuses[place] = status;
        }
    }
    store.finish(refused.into_iter().map(|(_, finish)| finish).collect()).await?;
    Ok(statuses)
}

/// Checks the name of a queue that is configured.
///
/// # Errors
/// [`Error::Invalid`] where no queue can have it.
pub fn queue(name: &str) -> Result<()> {
    check_name("queue", name)
}

/// Checks the name of a queue, and the configuration that it is given.
///
/// # Errors
/// [`Error::Invalid`] where no queue can have the name, and with the field that breaks its bound.
pub fn queue_config(name: &str, config: &QueueConfig) -> Result<()> {
    queue(name)?;
    let lost = match name {
        crate::schedule::QUEUE => Some("the schedules, which would not fire"),
        webhook::QUEUE => Some("webhooks, which would not be told"),
        _ => None,
    };
    if let Some(lost) = lost.filter(|_| config.max_waiting.is_some()) {
        let reason = format!("must be null for the queue of {lost}");
        return Err(Error::Invalid { field: "max_waiting".into(), reason });
    }
    config.validate()
}

/// Checks the name of a limit key, or of a prefix with its `*`, and the limits that it is given.
///
/// # Errors
/// [`Error::Invalid`] where no key can have the name, and with the limit that breaks its bound.
pub fn key(name: &str, config: Option<&KeyConfig>) -> Result<()> {
    check_key_name(name)?;
    config.map_or(Ok(()), KeyConfig::validate)
}

/// Checks the name of a limit key that is paused, which is no prefix: a pause concerns one key.
///
/// # Errors
/// [`Error::Invalid`] where no job can have the key.
pub fn paused_key(name: &str) -> Result<()> {
    check_name("key", name)
}

/// Checks what an action brings.
///
/// # Errors
/// [`Error::Invalid`] for args and for a priority that no job could be enqueued with.
pub fn action(action: &Action) -> Result<()> {
    match action {
        Action::RetryWith { args } | Action::RetryFrom { args: Some(args), .. } => {
            args.check("args", MAX_ARGS_BYTES)
        }
        Action::SetPriority { priority } if !(-100..=100).contains(priority) => {
            Err(Error::Invalid { field: "priority".into(), reason: "must be -100 to 100".into() })
        }
        Action::SetPriority { .. }
        | Action::Cancel { .. }
        | Action::Retry
        | Action::RetryFrom { .. }
        | Action::Delete => Ok(()),
    }
}

/// Checks samples that are to be kept.
///
/// # Errors
/// [`Error::Invalid`] for a name or a body that breaks its bound.
pub fn samples(samples: &[Sample]) -> Result<()> {
    for sample in samples {
        check_name("series", &sample.series)?;
        check_name("source", &sample.source)?;
        sample.body.check("body", MAX_SAMPLE_BYTES)?;
    }
    Ok(())
}

/// Cuts text for people to `max` bytes, marked with `…`, and replaces NUL, which Postgres cannot store.
pub fn clean(text: &mut String, max: usize) {
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{JobId, Lease, LogLevel, QueueSlots, SupportedKind};
    use std::time::Duration;

    fn lease() -> Lease {
        Lease { id: JobId::from_store("a".into()), token: 1 }
    }

    fn text(text: &str) -> Json {
        Json::new(&text).unwrap()
    }

    #[test]
    fn text_for_people_is_cut_at_a_character_and_marked() {
        let mut line = "é".repeat(10);
        clean(&mut line, 12);
        assert_eq!(line, "éééé…");
        let mut line = "a\0b".to_owned();
        clean(&mut line, 12);
        assert_eq!(line, "a\u{fffd}b");
    }

    #[test]
    fn the_queue_of_the_schedules_has_no_bound_that_would_keep_them_from_firing() {
        let bounded = QueueConfig { max_waiting: Some(1), ..QueueConfig::default() };
        assert!(queue_config("mail", &bounded).is_ok());
        let Err(Error::Invalid { field, .. }) = queue_config(crate::schedule::QUEUE, &bounded) else {
            panic!()
        };
        assert_eq!(field, "max_waiting");
        assert!(
            queue_config(crate::schedule::QUEUE, &QueueConfig { fair: true, ..QueueConfig::default() })
                .is_ok()
        );
    }

    #[test]
    fn a_claim_names_each_kind_and_queue_once() {
        let kind = |kind: &str, version| SupportedKind { kind: kind.into(), version };
        let queue = |queue: &str, slots| QueueSlots { queue: queue.into(), slots };
        let worker =
            WorkerInfo { id: "w\0".into(), process: "p".into(), host: "h".into(), ..WorkerInfo::default() };
        let claim = self::claim(Claim {
            worker,
            queues: vec![queue("b", 1), queue("a", 2), queue("b", 3), queue("x\0", 1)],
            kinds: vec![kind("k", 2), kind("k", 5), kind("j", 1), kind("k", 3)],
            lease_for: Duration::from_secs(1),
            wait: Duration::ZERO,
        });
        assert_eq!(claim.queues, [queue("b", 3), queue("a", 2)]);
        assert_eq!(claim.kinds, [kind("k", 5), kind("j", 1)]);
        assert_eq!(claim.worker.id, "w\u{fffd}");
    }

    #[test]
    fn a_worker_keeps_the_labels_that_jobs_can_prefer_and_no_more_than_its_bound() {
        let label = |label: &str, value: &str| (label.to_owned(), value.to_owned());
        let odd = [label("gpu", "a100"), label("a b", "v"), label("zone", "e;u"), label("", "v")];
        let labelled = |labels| worker(WorkerInfo { labels, ..WorkerInfo::default() }).labels;
        assert_eq!(labelled(odd.into()), [label("gpu", "a100")].into());
        let many = (0..100).map(|n| label(&format!("l{n:02}"), "v")).collect();
        let kept = labelled(many);
        assert_eq!((kept.len(), kept.contains_key("l00")), (MAX_WORKER_LABELS, true));
    }

    #[test]
    fn a_run_whose_output_cannot_be_kept_ends_as_failed_with_the_reason() {
        let end = |outcome, entries, follow_ups| Finish {
            lease: lease(),
            outcome,
            entries,
            follow_ups,
            cost: None,
        };
        let completed = |output| Outcome::Completed { output };
        let step = Entry::Step { name: "a\0b".into(), output: Json::null(), took: Duration::ZERO };
        let chunk = Entry::Chunk { data: text(&"x".repeat(MAX_CHUNK_BYTES)) };
        let follow_up = NewJob { queue: "a b".into(), ..NewJob::new("k", Json::null()) };
        let many = vec![NewJob::new("k", Json::null()); MAX_FOLLOW_UPS + 1];
        let cases = [
            (end(completed(text("a\0b")), vec![], vec![]), "output: must not hold a NUL character"),
            (
                end(completed(text(&"x".repeat(MAX_OUTPUT_BYTES))), vec![], vec![]),
                "output: must be at most 1048576",
            ),
            (end(completed(Json::null()), vec![step], vec![]), "step name: must not hold a NUL"),
            (end(completed(Json::null()), vec![chunk], vec![]), "chunk: must be at most 65536"),
            (end(completed(Json::null()), vec![], vec![follow_up]), "follow_ups[0].queue: must be"),
            (
                end(completed(Json::null()), vec![], many),
                "follow_ups: must be at most 1000 jobs, and are 1001",
            ),
        ];
        for (finish, reason) in cases {
            let admitted = finishes(vec![finish]).remove(0);
            let Outcome::Failed { error } = admitted.outcome else { panic!("{reason}") };
            assert!(error.message.contains(reason), "{}", error.message);
            assert!(admitted.follow_ups.is_empty() && admitted.entries.is_empty());
        }
    }

    #[test]
    fn an_entry_that_cannot_be_kept_leaves_the_others() {
        let log = Entry::Log { level: LogLevel::Info, message: "x".repeat(MAX_LINE_BYTES + 1) };
        let bad = Entry::Chunk { data: text("\0") };
        let admitted = records(vec![
            Record { lease: lease(), entries: vec![log.clone()] },
            Record { lease: lease(), entries: vec![bad, log] },
        ]);
        assert_eq!(admitted.places, [0]);
        let Entry::Log { message, .. } = &admitted.records[0].entries[0] else { panic!() };
        assert!(message.len() <= MAX_LINE_BYTES && message.ends_with('…'));
        let (place, end) = &admitted.refused[0];
        assert_eq!((*place, end.entries.len()), (1, 1));
        assert!(matches!(end.outcome, Outcome::Failed { .. }));
    }
}
