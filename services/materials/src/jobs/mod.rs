//! The work behind the routes: reading and indexing a material, embedding it again for another model, and removing
//! what is no longer wanted.
//!
//! Every write of a job is idempotent and guarded: it goes in with a look at the material's row in the same commit,
//! so a job whose material was deleted, or is being processed anew, writes nothing.

mod embed;
mod index;
mod pieces;
mod process;
mod purge;
mod read;

pub use embed::Embed;
pub use index::Index;
use index::Indexed;
pub use process::Process;
pub use purge::{Purge, PurgeCourse};

pub(crate) use embed::{enqueue_embedding_again, enqueue_embeds};
pub(crate) use index::enqueue_indexing;

use std::collections::BTreeMap;

use longhaul::{Full, JobError, NewJob};
use service_support::{AiBrain, Commit, DbError, Write, limited, user_label};

use crate::app::App;
use crate::extract::FileKind;
use crate::model::Material;

/// The queue that all jobs of this service wait in.
pub const QUEUE: &str = "materials";

/// The most rows that one commit of a job writes: every other write waits for it.
const ROWS_PER_COMMIT: usize = 200;

/// The job that does a material's newest processing.
pub(crate) fn process_job(app: &App, material: &Material, owner: &str) -> Result<NewJob, longhaul::Error> {
    let job = Process { material_id: material.id.clone(), run: material.run };
    let labels = BTreeMap::from([
        ("material".to_owned(), material.id.clone()),
        ("course".to_owned(), material.course_id.clone()),
        user_label(owner),
    ]);
    // The user's key is the first: whose weight counts in the turns that users take.
    let limit_keys = vec![app.turns.key(owner)];
    let new = NewJob { id: Some(material.job_id()), labels, limit_keys, ..NewJob::of(&job)? };
    Ok(limited(new, app.reader_of(&material.file_type), 1))
}

/// Materials whose jobs are enqueued at a time.
const PAGE: usize = 500;

/// Enqueues a job for the newest run of every material that can be searched and fits `condition`. A job that is waiting for
/// the same already is joined, so that several servers may do this at once. Answers how many were enqueued.
async fn enqueue_for_each(
    app: &App,
    condition: &str,
    job: impl Fn(String, u32, u32) -> Result<NewJob, longhaul::Error>,
) -> Result<usize, DbError> {
    let sql = format!(
        "SELECT id, run, chunks FROM materials WHERE id > $1 AND chunks > 0 AND indexed_run = run AND {condition} \
         ORDER BY id LIMIT $2"
    );
    let mut after = String::new();
    let mut created = 0;
    loop {
        let rows = app.db.read(sql.clone(), vec![after.as_str().into(), PAGE.into()]).await?;
        let Some(last) = rows.last() else { return Ok(created) };
        after = last.get("id")?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            jobs.push(job(row.get("id")?, row.get("run")?, row.get("chunks")?)?);
        }
        created += match app.db.commit(vec![], jobs.clone()).await {
            Err(DbError::Crowded(full)) => return Ok(created + while_there_is_room(app, jobs, &full).await?),
            done => created_by(&done?),
        };
    }
}

/// Enqueues as many as find room. What is left is found again at the next start.
async fn while_there_is_room(app: &App, jobs: Vec<NewJob>, full: &Full) -> Result<usize, DbError> {
    tracing::warn!("as many jobs wait in {full} as may; materials are gone over again at the next start");
    let mut created = 0;
    for job in jobs {
        match app.db.commit(vec![], vec![job]).await {
            Err(DbError::Crowded(_)) => break,
            done => created += created_by(&done?),
        }
    }
    Ok(created)
}

fn created_by(commit: &Commit) -> usize {
    match commit {
        Commit::Done(done) => done.enqueued.iter().filter(|job| job.is_created()).count(),
        Commit::Refused { .. } => 0,
    }
}

impl App {
    pub(crate) async fn material(&self, id: &str) -> Result<Option<Material>, DbError> {
        let sql = format!("SELECT {} FROM materials m WHERE m.id = $1", Material::COLUMNS);
        self.db.read(sql, vec![id.into()]).await?.first().map(Material::from_row).transpose()
    }

    /// The limit key of AI Brain, where a document of this media type may have something for it to see.
    fn reader_of(&self, file_type: &str) -> Option<&'static str> {
        self.providers.ai_brain.as_ref()?;
        let may_show = FileKind::from_mime(file_type).is_none_or(FileKind::may_hold_pictures);
        may_show.then_some(AiBrain::LIMIT_KEY)
    }

    /// The user whose course a material belongs to; `None` once it was deleted.
    async fn owner_of(&self, material: &Material) -> Result<Option<String>, DbError> {
        let sql = "SELECT owner FROM courses WHERE id = $1";
        let rows = self.db.read(sql, vec![material.course_id.as_str().into()]).await?;
        rows.first().map(|row| row.get("owner")).transpose()
    }

    /// Commits writes of processing `run`, unless the material is gone or has begun another one.
    async fn commit_run(&self, material_id: &str, run: u32, writes: Vec<Write>) -> Result<(), JobError> {
        let current = "UPDATE materials SET run = run WHERE id = $1 AND run = $2";
        let mut all = vec![Write::guarded(current, vec![material_id.into(), run.into()])];
        all.extend(writes);
        match self.db.commit(all, vec![]).await? {
            Commit::Done(_) => Ok(()),
            Commit::Refused { .. } => Err(superseded()),
        }
    }
}

fn superseded() -> JobError {
    JobError::cancel("the material was deleted or is being processed anew")
}
