use longhaul::{EnqueueStatus, Enqueued, JobId, NewJob, Result, Start};
use redis::Value;

use crate::answer::text;
use crate::changes::{New, Notes, created};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{MayExist, pack_new};
use crate::scripts;

/// Creates jobs, all or none: whatever its size, a call is one script.
pub(crate) async fn enqueue(driver: &Driver, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let is_simple = !driver.may_send_twice() && jobs.iter().all(is_simple);
    let mut arguments = Vec::with_capacity(1 + 5 * jobs.len());
    if !is_simple {
        arguments.push(jobs.len().to_string().into_bytes());
    }
    let mut ids = Vec::with_capacity(jobs.len());
    let notes = driver.telling.notes();
    let mut new = Vec::new();
    for mut job in jobs {
        let given = job.id.take();
        let is_ours = given.is_none();
        let id = given.unwrap_or_else(JobId::random);
        let is_fresh = is_ours && !driver.may_send_twice();
        let may_exist = if is_fresh { MayExist::No } else { MayExist::Yes };
        arguments.extend(pack_new(&id, may_exist, &job));
        if notes == Notes::Wanted {
            new.push(New { id: id.clone(), kind: job.kind, queue: job.queue });
        }
        ids.push((id, is_ours));
    }
    let script = if is_simple { &scripts::ENQUEUE_SIMPLE } else { &scripts::ENQUEUE };
    let answers = driver.share(script, arguments, ids.len(), driver.telling.hear_created(new)).await?;
    let enqueued = ids.into_iter().zip(&answers).map(|((id, is_ours), answer)| enqueued(id, is_ours, answer));
    enqueued.collect::<Option<_>>().ok_or_else(|| unreadable(script.operation))
}

/// True where nothing needs to be looked up for a job: see `enqueue_simple.lua`.
fn is_simple(job: &NewJob) -> bool {
    job.id.is_none()
        && job.unique.is_none()
        && job.idempotency.is_none()
        && job.parent.is_none()
        && job.start != Start::AfterChildren
}

fn enqueued(id: JobId, is_ours: bool, answer: &Value) -> Option<Enqueued> {
    let status = match answer {
        answer if created(answer).is_some() => EnqueueStatus::Created,
        Value::Int(1) => EnqueueStatus::KeyReused,
        Value::Int(2) => EnqueueStatus::NotCreated,
        // A random id exists only where this very call was sent twice, which a cluster's client does when a connection
        // breaks under it.
        answer if is_ours && text(answer)? == id.as_str() => EnqueueStatus::Created,
        answer => {
            let id = JobId::from_store(text(answer)?.to_owned());
            return Some(Enqueued::new(id, EnqueueStatus::Duplicate));
        }
    };
    Some(Enqueued::new(id, status))
}
