//! Jobs on their way from the database of the rows to a store of their own.
//!
//! A row and its job cannot be one transaction in two databases. So the commit writes the job beside the row, and the
//! job is enqueued after it: once where nothing fails, and more often, which its id makes harmless, where something does.

use std::collections::{BTreeMap, HashMap};

use longhaul::{EnqueueStatus, Enqueued, JobId, Json, Longhaul, NewJob, Timestamp};

use super::{Commit, Committed, Db, DbError, Row, Write, placeholders};
use crate::erasure::{Candidate, Deed};

/// A job that waits in the outbox: it is committed, and its store does not know it yet.
#[derive(Clone, Debug)]
pub struct WaitingJob {
    /// The time of its commit.
    pub since: Timestamp,
    job: Json,
}

/// Commits that are read at a time.
const READ_AT_ONCE: usize = 100;
/// Jobs that are noted, or looked for, by one statement.
const JOBS_AT_ONCE: usize = 1_000;

impl WaitingJob {
    /// The job, as it is going to be enqueued.
    ///
    /// # Errors
    /// It was written by another release, which has words that this one does not know.
    pub fn job(&self) -> Result<NewJob, DbError> {
        self.job.to().map_err(|e| DbError::Column { column: "jobs".into(), reason: e.to_string() })
    }

    /// Its kind; empty where that cannot be read.
    #[must_use]
    pub fn kind(&self) -> String {
        Outlined::of(&self.job).map(|job| job.kind).unwrap_or_default()
    }
}

/// A job of the outbox, as far as each release can read it.
#[derive(Debug)]
struct Outlined {
    id: String,
    kind: String,
    labels: BTreeMap<String, String>,
    args: Json,
}

impl Outlined {
    /// `None` where it does not say what it is.
    fn of(job: &Json) -> Option<Self> {
        let fields: BTreeMap<String, Json> = job.to().ok()?;
        let text = |name: &str| fields.get(name).and_then(|field| field.to::<String>().ok());
        Some(Self {
            id: text("id").unwrap_or_default(),
            kind: text("kind")?,
            labels: fields.get("labels").and_then(|labels| labels.to().ok()).unwrap_or_default(),
            args: fields.get("args").cloned().unwrap_or_default(),
        })
    }

    fn candidate(&self) -> Candidate<'_> {
        let Self { id, kind, labels, args } = self;
        Candidate { id, kind, labels, args }
    }
}

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
    let (entry, own) = (JobId::random(), writes.len());
    let texts = jobs.iter().map(Json::new).collect::<Result<Vec<Json>, _>>()?;
    writes.push(Write::new(
        "INSERT INTO outbox (id, jobs) VALUES ($1, $2)",
        vec![entry.as_str().into(), Json::new(&texts)?.as_str().into()],
    ));
    writes.extend(noted(entry.as_str(), &texts));
    let mut committed = match db.commit_here(writes, Vec::new()).await? {
        Commit::Refused { write } => return Ok(Commit::Refused { write }),
        Commit::Done(committed) => committed,
    };
    committed.changed.truncate(own);
    let enqueued = match longhaul.enqueue_many(jobs.clone()).await {
        Ok(mut enqueued) => {
            let is_whole = !enqueued.iter().any(|answer| is_refusal(answer.status));
            let rest = refused(texts, &enqueued, |status| status == EnqueueStatus::Full);
            for answer in enqueued.iter_mut().filter(|answer| answer.status == EnqueueStatus::Full) {
                // Its row is there, so the job has to come; it does once there is room.
                *answer = Enqueued::new(answer.id.clone(), EnqueueStatus::Created);
            }
            let db = db.clone();
            let clear = async move {
                if let Err(error) = keep(&db, entry.as_str(), rest).await {
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

/// Delivers what waits, oldest first, each commit's jobs together: they may be a batch, or follow each other. An entry that cannot be
/// read, or that the jobs' store refuses, waits on by itself and is told once the others are delivered.
pub(super) async fn deliver(db: &Db, longhaul: &Longhaul) -> Result<u64, DbError> {
    note_older(db).await?;
    let (mut delivered, mut after) = (0, String::new());
    let (mut left, mut first) = (0, None);
    loop {
        let entries = entries_after(db, &after).await?;
        let Some(last) = entries.last() else { break };
        after = last.get("id")?;
        for entry in entries {
            match deliver_entry(db, longhaul, &entry).await {
                Ok(count) => delivered += count,
                Err(error) if is_of_one_entry(&error) => {
                    left += 1;
                    first = first.or(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
    }
    match first {
        Some(first) => Err(DbError::Undelivered { left, delivered, source: Box::new(first) }),
        None => Ok(delivered),
    }
}

async fn deliver_entry(db: &Db, longhaul: &Longhaul, entry: &Row) -> Result<u64, DbError> {
    let texts = texts_of(entry)?;
    let jobs = texts.iter().map(Json::to::<NewJob>).collect::<Result<Vec<NewJob>, _>>();
    let jobs = jobs.map_err(|e| DbError::Column { column: "jobs".into(), reason: e.to_string() })?;
    let enqueued = longhaul.enqueue_many(jobs).await?;
    let count = texts.len();
    let rest = refused(texts, &enqueued, is_refusal);
    let delivered = (count - rest.len()) as u64;
    keep(db, &entry.get::<String>("id")?, rest).await?;
    Ok(delivered)
}

/// True for a failure that no other entry has: it was written by another release, which has words that this one does not know, or
/// took what this one refuses.
fn is_of_one_entry(error: &DbError) -> bool {
    matches!(error, DbError::Column { .. } | DbError::Store(longhaul::Error::Invalid { .. }))
}

/// Notes which jobs wait in entries that the last release has written, and forgets those that it has delivered.
async fn note_older(db: &Db) -> Result<(), DbError> {
    let gone = "NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = outbox_jobs.entry)";
    if !db.read(format!("SELECT job_id FROM outbox_jobs WHERE {gone} LIMIT 1"), vec![]).await?.is_empty() {
        let forget = Write::new(format!("DELETE FROM outbox_jobs WHERE {gone}"), vec![]);
        db.commit_here(vec![forget], Vec::new()).await?;
    }
    let sql = format!(
        "SELECT o.id, o.jobs FROM outbox o WHERE o.id > $1 \
         AND NOT EXISTS (SELECT 1 FROM outbox_jobs j WHERE j.entry = o.id) ORDER BY o.id LIMIT {READ_AT_ONCE}"
    );
    let mut after = String::new();
    loop {
        let entries = db.read(sql.clone(), vec![after.as_str().into()]).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.get("id")?;
        for entry in &entries {
            let notes =
                texts_of(entry).map(|texts| noted_of(entry, &texts)).unwrap_or_else(|_| Ok(vec![]))?;
            if !notes.is_empty() {
                db.commit_here(notes, Vec::new()).await?;
            }
        }
    }
}

fn noted_of(entry: &Row, texts: &[Json]) -> Result<Vec<Write>, DbError> {
    Ok(noted(&entry.get::<String>("id")?, texts))
}

/// The jobs of the outbox that were gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sifted {
    /// Those that were meant.
    pub(crate) jobs: u64,
    /// Entries of which nobody can say whose jobs they hold.
    pub(crate) unreadable: u64,
}

/// Counts the jobs that wait here and are to be forgotten, and takes them out where they are. What this release cannot deliver is read
/// as far as it can be, and what it cannot read at all is counted and left.
pub(super) async fn forget(
    db: &Db,
    deed: Deed,
    is_meant: &(dyn Fn(&Candidate<'_>) -> bool + Sync),
) -> Result<Sifted, DbError> {
    let (mut sifted, mut after) = (Sifted::default(), String::new());
    loop {
        let entries = entries_after(db, &after).await?;
        let Some(last) = entries.last() else { return Ok(sifted) };
        after = last.get("id")?;
        for entry in entries {
            let Ok(texts) = texts_of(&entry) else {
                sifted.unreadable += 1;
                continue;
            };
            let (count, mut is_readable) = (texts.len(), true);
            let stays = |text: &Json| match Outlined::of(text) {
                Some(job) => !is_meant(&job.candidate()),
                None => {
                    is_readable = false;
                    true
                }
            };
            let rest: Vec<Json> = texts.into_iter().filter(stays).collect();
            sifted.jobs += (count - rest.len()) as u64;
            sifted.unreadable += u64::from(!is_readable);
            if deed == Deed::Erase && rest.len() < count {
                keep(db, &entry.get::<String>("id")?, rest).await?;
            }
        }
    }
}

/// Those of these jobs that wait here.
pub(super) async fn waiting(db: &Db, ids: &[JobId]) -> Result<HashMap<JobId, WaitingJob>, DbError> {
    let mut waiting = HashMap::new();
    for some in ids.chunks(JOBS_AT_ONCE) {
        let sql = format!(
            "SELECT j.job_id, o.id, o.jobs FROM outbox_jobs j JOIN outbox o ON o.id = j.entry WHERE j.job_id IN ({})",
            placeholders(1, some.len())
        );
        for row in db.read(sql, some.iter().map(|id| id.as_str().into()).collect()).await? {
            let (id, entry): (String, String) = (row.get("job_id")?, row.get("id")?);
            let is_it = |text: &Json| Outlined::of(text).is_some_and(|job| job.id == id);
            if let Some(job) = texts_of(&row)?.into_iter().find(is_it) {
                waiting.insert(JobId::from_store(id), WaitingJob { since: made_at(&entry), job });
            }
        }
    }
    Ok(waiting)
}

/// The time at which an entry was made, which its id begins with (a UUID of version 7).
fn made_at(entry: &str) -> Timestamp {
    let digits: String = entry.chars().filter(|c| *c != '-').take(12).collect();
    Timestamp(i64::from_str_radix(&digits, 16).unwrap_or_default())
}

/// The next entries, oldest first; none after the last.
async fn entries_after(db: &Db, after: &str) -> Result<Vec<Row>, DbError> {
    let sql = format!("SELECT id, jobs FROM outbox WHERE id > $1 ORDER BY id LIMIT {READ_AT_ONCE}");
    db.read(sql, vec![after.into()]).await
}

/// The jobs of an entry, each as it was written.
fn texts_of(entry: &Row) -> Result<Vec<Json>, DbError> {
    serde_json::from_str(&entry.get::<String>("jobs")?)
        .map_err(|e| DbError::Column { column: "jobs".into(), reason: e.to_string() })
}

/// The writes that note which jobs wait in an entry.
fn noted(entry: &str, texts: &[Json]) -> Vec<Write> {
    let ids: Vec<String> = texts.iter().filter_map(Outlined::of).map(|job| job.id).collect();
    let note = |some: &[String]| {
        let rows: Vec<String> = (2..some.len() + 2).map(|number| format!("(${number}, $1)")).collect();
        let sql = format!(
            "INSERT INTO outbox_jobs (job_id, entry) VALUES {} ON CONFLICT (job_id, entry) DO NOTHING",
            rows.join(", ")
        );
        Write::new(sql, [entry].into_iter().chain(some.iter().map(String::as_str)).map(Into::into).collect())
    };
    ids.chunks(JOBS_AT_ONCE).map(note).collect()
}

/// True where there is no job yet. Whoever committed it was told that it is created, so it is enqueued again until it is: a queue
/// gets room, and a unique or idempotency key is free some time.
fn is_refusal(status: EnqueueStatus) -> bool {
    use EnqueueStatus::{Created, Dropped, Duplicate, Replaced};
    !matches!(status, Created | Dropped | Duplicate | Replaced)
}

/// The jobs whose answers say so.
fn refused(jobs: Vec<Json>, answers: &[Enqueued], is: fn(EnqueueStatus) -> bool) -> Vec<Json> {
    jobs.into_iter().zip(answers).filter(|(_, answer)| is(answer.status)).map(|(job, _)| job).collect()
}

/// Leaves the rest of an entry in the outbox, and no entry without one. A job that is there is not left in it: it may have been
/// pruned when the rest is delivered, and would be made anew.
async fn keep(db: &Db, entry: &str, rest: Vec<Json>) -> Result<(), DbError> {
    let mut writes = vec![Write::new("DELETE FROM outbox_jobs WHERE entry = $1", vec![entry.into()])];
    match rest.as_slice() {
        [] => writes.push(Write::new("DELETE FROM outbox WHERE id = $1", vec![entry.into()])),
        rest => {
            tracing::warn!("{} jobs wait in the outbox until they are taken", rest.len());
            let sql = "UPDATE outbox SET jobs = $2 WHERE id = $1";
            writes.push(Write::new(sql, vec![entry.into(), Json::new(&rest)?.as_str().into()]));
            writes.extend(noted(entry, rest));
        }
    }
    db.commit_here(writes, Vec::new()).await.map(|_| ())
}
