//! Jobs on their way from the database of the rows to a store of their own.
//!
//! A row and its job cannot be one transaction in two databases. So the commit writes the job beside the row, and the
//! job is enqueued after it: once where nothing fails, and more often, which its id makes harmless, where something does.

use longhaul::{EnqueueStatus, Enqueued, JobId, Longhaul, NewJob};

use super::{Commit, Committed, Db, DbError, Write};

/// Commits that are delivered between two looks at the table.
const DELIVERED_AT_ONCE: usize = 100;

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
    let ids: Vec<JobId> = jobs.iter().filter_map(|job| job.id.clone()).collect();
    let enqueued = match longhaul.enqueue_many(jobs).await {
        Ok(enqueued) => {
            // Whoever called has waited long enough; an entry that stays is delivered again, to no effect.
            let db = db.clone();
            tokio::spawn(async move {
                if let Err(error) = forget(&db, entry).await {
                    tracing::warn!("failed to clear what was delivered from the outbox: {error}");
                }
            });
            enqueued
        }
        Err(error) => {
            tracing::warn!("the jobs' store is away; {} jobs wait in the outbox: {error}", ids.len());
            ids.into_iter().map(|id| Enqueued::new(id, EnqueueStatus::Created)).collect()
        }
    };
    Ok(Commit::Done(Committed { enqueued, ..committed }))
}

/// Delivers what waits, oldest first, each commit's jobs together: they may be a batch, or follow each other.
pub(super) async fn deliver(db: &Db, longhaul: &Longhaul) -> Result<u64, DbError> {
    let mut delivered = 0;
    loop {
        let sql = format!("SELECT id, jobs FROM outbox ORDER BY id LIMIT {DELIVERED_AT_ONCE}");
        let entries = db.read(sql, Vec::new()).await?;
        if entries.is_empty() {
            return Ok(delivered);
        }
        for entry in entries {
            let jobs: Vec<NewJob> = serde_json::from_str(&entry.get::<String>("jobs")?)
                .map_err(|e| DbError::Column { column: "jobs".into(), reason: e.to_string() })?;
            delivered += jobs.len() as u64;
            longhaul.enqueue_many(jobs).await?;
            forget(db, JobId::from_store(entry.get("id")?)).await?;
        }
    }
}

async fn forget(db: &Db, entry: JobId) -> Result<(), DbError> {
    let delete = Write::new("DELETE FROM outbox WHERE id = $1", vec![entry.as_str().into()]);
    db.commit_here(vec![delete], Vec::new()).await.map(|_| ())
}
