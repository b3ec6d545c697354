use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul::lifecycle::RefusedDependency;
use longhaul::{Cost, EnqueueStatus, Enqueued, Error, Full, JobId, NewJob, Result, Start};
use parking_lot::RwLock;
use redis::Value;

use crate::answer::{int, text};
use crate::changes::{New, Notes, created};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{MayExist, has_tail, pack_new, pack_simple};
use crate::scripts;

/// Creates jobs, all or none: whatever its size, a call is one script.
pub(crate) async fn enqueue(driver: &Driver, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let jobs: Vec<New> = jobs.into_iter().map(New::of).collect();
    let is_simple = |new: &New| is_simple(new) && !driver.bounded.holds(&new.job);
    if !driver.may_send_twice() && jobs.iter().all(is_simple) {
        let is_plain = |New { job, .. }: &New| {
            job.limit_keys.is_empty() && job.prefer.is_none() && job.policy.cost == Cost::default()
        };
        let is_plain = !driver.bounded.needs_groups.load(Ordering::Relaxed) && jobs.iter().all(is_plain);
        let scripts = [&scripts::ENQUEUE_SIMPLE, &scripts::ENQUEUE_SIMPLE_KEYED];
        for script in &scripts[usize::from(!is_plain)..] {
            let on_answer = driver.reporter.on_created(&jobs);
            let answers = driver.share_from_here(script, pack_rows(&jobs), jobs.len(), on_answer).await?;
            if answers.first().and_then(int) == Some(NEEDS_GROUPS) {
                driver.bounded.needs_groups.store(true, Ordering::Relaxed);
            } else if !driver.bounded.note(&jobs, &answers) {
                return read(jobs, &answers).ok_or_else(|| unreadable(script.operation));
            }
        }
    }
    let notes = driver.reporter.notes();
    let sign = if notes == Notes::Wanted { "-" } else { "" };
    let mut arguments = Vec::with_capacity(1 + 5 * jobs.len());
    arguments.push(format!("{sign}{}", jobs.len()).into_bytes());
    for new in &jobs {
        let is_fresh = new.is_ours && !driver.may_send_twice();
        let may_exist = if is_fresh { MayExist::No } else { MayExist::Yes };
        arguments.extend(pack_new(&new.id, may_exist, &new.job));
    }
    let script = &scripts::ENQUEUE;
    let answers = driver.share(script, arguments, jobs.len(), driver.reporter.on_enqueued()).await?;
    if let Some(error) = answers.first().and_then(|answer| refused_dependency(&jobs, answer)) {
        return Err(error);
    }
    read(jobs, &answers).ok_or_else(|| unreadable(script.operation))
}

/// Packs simple jobs as `enqueue_simple.lua` reads them: what neighbours have in common stands before them once.
fn pack_rows(jobs: &[New]) -> Vec<Vec<u8>> {
    let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(1 + 2 * jobs.len());
    let (mut common, mut row, mut many) = (Vec::new(), 0, 0_u32);
    for new in jobs {
        let (packed, data) = pack_simple(&new.job);
        if many == 0 || packed != common {
            (common, row, many) = (packed, arguments.len(), 0);
            arguments.push([&many.to_be_bytes(), common.as_slice()].concat());
        }
        many += 1;
        arguments[row][..size_of::<u32>()].copy_from_slice(&many.to_be_bytes());
        arguments.extend([new.id.as_str().as_bytes().to_vec(), data]);
    }
    arguments
}

fn read(jobs: Vec<New>, answers: &[Value]) -> Option<Vec<Enqueued>> {
    jobs.into_iter().zip(answers).map(|(new, answer)| enqueued(new.id, new.is_ours, answer)).collect()
}

/// The refusal of a call with a job that depends on one that is not there, or on an unfinished ancestor, where the answer is that.
fn refused_dependency(jobs: &[New], answer: &Value) -> Option<Error> {
    let Value::Array(parts) = answer else { return None };
    let [word, job, place] = parts.as_slice() else { return None };
    let refused = match text(word)? {
        "unknown" => RefusedDependency::Unknown,
        "ancestor" => RefusedDependency::Ancestor,
        _ => return None,
    };
    let number = |value| usize::try_from(int(value)?).ok();
    let (job, place) = (number(job)?, number(place)?);
    let dependency = jobs.get(job)?.job.depends_on.get(place)?;
    let given = jobs.iter().map(|new| &new.job);
    Some(refused.error(job, given, place, &dependency.id))
}

/// True where nothing needs to be looked up for a job: see `enqueue_simple.lua`.
fn is_simple(new: &New) -> bool {
    let job = &new.job;
    new.is_ours
        && job.unique.is_none()
        && job.idempotency.is_none()
        && job.parent.is_none()
        && job.start != Start::AfterChildren
        && job.steps.is_empty()
        && !has_tail(job)
}

/// The queues of which this process has learnt that a bound of what waits concerns their jobs, so that these are not simple.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    /// True where a queue was found to be fair or anything to be bounded, so that no script can do without groups.
    needs_groups: AtomicBool,
    is_any: AtomicBool,
    /// Jobs with limit keys apart from those without.
    queues: RwLock<HashSet<(String, bool)>>,
}

impl Bounded {
    fn holds(&self, job: &NewJob) -> bool {
        self.is_any.load(Ordering::Relaxed) && self.queues.read().contains(&place(job))
    }

    /// Notes the queues of jobs that were not created because of a bound, and answers true where any was not.
    fn note(&self, jobs: &[New], answers: &[Value]) -> bool {
        let bounded = |(new, answer): (&New, &Value)| (int(answer) == Some(BOUNDED)).then(|| place(&new.job));
        let is_created = answers.iter().all(|answer| created(answer).is_some());
        if is_created {
            return false;
        }
        self.queues.write().extend(jobs.iter().zip(answers).filter_map(bounded));
        self.is_any.store(true, Ordering::Relaxed);
        true
    }
}

/// The answer about a job that a bound concerns.
const BOUNDED: i64 = 0;
/// The answer of the script without groups where it needs these.
const NEEDS_GROUPS: i64 = 2;

fn place(job: &NewJob) -> (String, bool) {
    (job.queue.to_string(), !job.limit_keys.is_empty())
}

fn enqueued(id: JobId, is_ours: bool, answer: &Value) -> Option<Enqueued> {
    let status = match answer {
        answer if created(answer).is_some() => EnqueueStatus::Created,
        Value::Int(1) => EnqueueStatus::KeyReused,
        Value::Int(2) => EnqueueStatus::NotCreated,
        Value::Array(parts) => return merged(id, is_ours, parts),
        // A random id exists only where this very call was sent twice, which a cluster's client does when a connection
        // breaks under it.
        answer if is_ours && text(answer)? == id.as_str() => EnqueueStatus::Created,
        answer => return Some(Enqueued::new(id_in(answer)?, EnqueueStatus::Duplicate)),
    };
    Some(Enqueued::new(id, status))
}

/// An answer of more than one part.
fn merged(id: JobId, is_ours: bool, parts: &[Value]) -> Option<Enqueued> {
    let said = parts.get(1)?;
    Some(match text(parts.first()?)? {
        "told" => return enqueued(id, is_ours, said),
        "dropped" => Enqueued::new(id, EnqueueStatus::Dropped),
        "cancelled" => Enqueued::new(id, EnqueueStatus::Created),
        "replaced" => Enqueued::new(id_in(said)?, EnqueueStatus::Replaced),
        "rejected" => Enqueued::new(id_in(said)?, EnqueueStatus::Rejected),
        "full" => match text(said)?.split_at_checked(1)? {
            ("q", queue) => Enqueued::full(id, Full::Queue(queue.to_owned())),
            (_, key) => Enqueued::full(id, Full::Key(key.to_owned())),
        },
        _ => return None,
    })
}

fn id_in(answer: &Value) -> Option<JobId> {
    Some(JobId::from_store(text(answer)?.to_owned()))
}
