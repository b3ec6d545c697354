//! Jobs on their way from the database of the rows to a store of their own.
//!
//! A row and its job cannot be one transaction in two databases. So the commit writes the job beside the row, and the
//! job is enqueued after it: once where nothing fails, and more often, which its id makes harmless, where something does.

use std::collections::HashSet;

use longhaul::{EnqueueStatus, Enqueued, JobId, Longhaul, NewJob};

use super::{Commit, Committed, Db, DbError, Row, Write};
use crate::erasure::Deed;

/// Commits that are read at a time.
const READ_AT_ONCE: usize = 100;

/// Commits rows with their jobs in the outbox, and delivers these.
pub(super) async fn commit(
    db: &Db,
    longhaul: &Longhaul,
    mut writes: Vec<Write>,
    mut jobs: Vec<NewJob>,
) -> Result<Commit, DbError> {
    for job in &mut jobs {
        job.validate()?;
        job.id.get_or_insert_with(JobId::random);
    }
    let entry = JobId::random();
    writes.push(Write::new(
        "INSERT INTO outbox (id, jobs) VALUES ($1, $2)",
        vec![entry.as_str().into(), longhaul::Json::new(&jobs)?.as_str().into()],
    ));
    let mut committed = match db.commit_here(writes, Vec::new()).await? {
        Commit::Refused { write } => return Ok(Commit::Refused { write }),
        Commit::Done(committed) => committed,
    };
    committed.changed.pop();
    let enqueued = match longhaul.enqueue_many(jobs.clone()).await {
        Ok(mut enqueued) => {
            let is_whole = !enqueued.iter().any(|answer| is_refusal(answer.status));
            let rest = refused(jobs, &enqueued, |status| status == EnqueueStatus::Full);
            for answer in enqueued.iter_mut().filter(|answer| answer.status == EnqueueStatus::Full) {
                // Its row is there, so the job has to come; it does once there is room.
                *answer = Enqueued::new(answer.id.clone(), EnqueueStatus::Created);
            }
            let db = db.clone();
            let clear = async move {
                if let Err(error) = keep(&db, entry, rest).await {
                    tracing::warn!("failed to clear what was delivered from the outbox: {error}");
                }
            };
            if is_whole {
                // Whoever called has waited long enough; an entry that stays is delivered again, to no effect.
                tokio::spawn(clear);
            } else {
                // Delivered again, a job that was told to be rejected might be taken.
                clear.await;
            }
            enqueued
        }
        Err(error) => {
            tracing::warn!("the jobs' store is away; {} jobs wait in the outbox: {error}", jobs.len());
            let ids = jobs.into_iter().filter_map(|job| job.id);
            ids.map(|id| Enqueued::new(id, EnqueueStatus::Created)).collect()
        }
    };
    Ok(Commit::Done(Committed { enqueued, ..committed }))
}

/// Delivers what waits, oldest first, each commit's jobs together: they may be a batch, or follow each other.
pub(super) async fn deliver(db: &Db, longhaul: &Longhaul) -> Result<u64, DbError> {
    let (mut delivered, mut after) = (0, String::new());
    loop {
        let entries = entries_after(db, &after).await?;
        let Some(last) = entries.last() else { return Ok(delivered) };
        after = last.get("id")?;
        for entry in entries {
            let jobs = jobs_of(&entry)?;
            let count = jobs.len();
            let enqueued = longhaul.enqueue_many(jobs.clone()).await?;
            let rest = refused(jobs, &enqueued, is_refusal);
            delivered += (count - rest.len()) as u64;
            keep(db, JobId::from_store(entry.get("id")?), rest).await?;
        }
    }
}

/// Counts the jobs that wait here and are to be forgotten, and takes them out where they are.
pub(super) async fn forget(
    db: &Db,
    deed: Deed,
    is_meant: &(dyn Fn(&NewJob) -> bool + Sync),
) -> Result<u64, DbError> {
    let (mut forgotten, mut after) = (0, String::new());
    loop {
        let entries = entries_after(db, &after).await?;
        let Some(last) = entries.last() else { return Ok(forgotten) };
        after = last.get("id")?;
        for entry in entries {
            let jobs = jobs_of(&entry)?;
            let count = jobs.len();
            let rest: Vec<NewJob> = jobs.into_iter().filter(|job| !is_meant(job)).collect();
            forgotten += (count - rest.len()) as u64;
            if deed == Deed::Erase && rest.len() < count {
                keep(db, JobId::from_store(entry.get("id")?), rest).await?;
            }
        }
    }
}

/// Those of these jobs that wait here.
pub(super) async fn waiting(db: &Db, ids: &[JobId]) -> Result<HashSet<JobId>, DbError> {
    let (mut waiting, mut after) = (HashSet::new(), String::new());
    loop {
        let entries = entries_after(db, &after).await?;
        let Some(last) = entries.last() else { return Ok(waiting) };
        after = last.get("id")?;
        for entry in entries {
            let jobs = jobs_of(&entry)?.into_iter().filter_map(|job| job.id);
            waiting.extend(jobs.filter(|id| ids.contains(id)));
        }
    }
}

/// The next entries, oldest first; none after the last.
async fn entries_after(db: &Db, after: &str) -> Result<Vec<Row>, DbError> {
    let sql = format!("SELECT id, jobs FROM outbox WHERE id > $1 ORDER BY id LIMIT {READ_AT_ONCE}");
    db.read(sql, vec![after.into()]).await
}

fn jobs_of(entry: &Row) -> Result<Vec<NewJob>, DbError> {
    serde_json::from_str(&entry.get::<String>("jobs")?)
        .map_err(|e| DbError::Column { column: "jobs".into(), reason: e.to_string() })
}

/// True where there is no job yet. Whoever committed it was told that it is created, so it is enqueued again until it is: a queue
/// gets room, and a unique or idempotency key is free some time.
fn is_refusal(status: EnqueueStatus) -> bool {
    use EnqueueStatus::{Created, Dropped, Duplicate, Replaced};
    !matches!(status, Created | Dropped | Duplicate | Replaced)
}

/// The jobs whose answers say so.
fn refused(jobs: Vec<NewJob>, answers: &[Enqueued], is: fn(EnqueueStatus) -> bool) -> Vec<NewJob> {
    jobs.into_iter().zip(answers).filter(|(_, answer)| is(answer.status)).map(|(job, _)| job).collect()
}

/// Leaves the rest of an entry in the outbox, and no entry without one. A job that is there is not left in it: it may have been
/// pruned when the rest is delivered, and would be made anew.
async fn keep(db: &Db, entry: JobId, rest: Vec<NewJob>) -> Result<(), DbError> {
    let write = match rest.as_slice() {
        [] => Write::new("DELETE FROM outbox WHERE id = $1", vec![entry.as_str().into()]),
        rest => {
            tracing::warn!("{} jobs wait in the outbox until they are taken", rest.len());
            let jobs = longhaul::Json::new(&rest)?;
            Write::new(
                "UPDATE outbox SET jobs = $2 WHERE id = $1",
                vec![entry.as_str().into(), jobs.as_str().into()],
            )
        }
    };
    db.commit_here(vec![write], Vec::new()).await.map(|_| ())
}
