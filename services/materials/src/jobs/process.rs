use std::io::ErrorKind;
use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, LogLevel, NewJob, Verdict};
use serde::{Deserialize, Serialize};
use service_support::Write;

use super::{Purge, QUEUE, superseded};
use crate::app::{App, Materials};
use crate::model::Material;
use crate::shares::user_key;
use crate::storage::Local;

/// Reads a material's text, indexes and embeds it, and makes it the one that search reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The material's id.
    pub material_id: String,
    /// The number of the processing, from 1.
    pub run: u32,
}

/// The result of a processing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processed {
    /// Pages read.
    pub pages: u32,
    /// Pieces that search compares.
    pub chunks: u32,
    /// Terms in all of them.
    pub terms: u64,
    /// The model that embedded them; `None` where nothing was embedded.
    pub embedding_model: Option<String>,
}

impl Job for Process {
    const KIND: &'static str = "materials.process";
    const QUEUE: &'static str = QUEUE;
    /// A backstop: reading and embedding have their own, shorter limits, which say what took too long.
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(3 * 3600));

    type State = Materials;
    type Output = Processed;

    async fn run(self, cx: Context<Materials>) -> JobResult<Processed> {
        let app = cx.state().app();
        let material = app.material(&self.material_id).await?;
        let Some(material) = material.filter(|material| material.run == self.run) else {
            return Err(superseded());
        };
        let key = app.owner_of(&material).await?.map_or_else(String::new, |owner| user_key(&owner));
        let place = app.shares.enter(key.clone());
        // Whatever ends first drops the reading with all that it runs: a cancel waits for no page, and leaves no program behind.
        let result = tokio::select! {
            result = self.process(&cx, &material) => result,
            error = app.give_way(&place, &key) => Err(error),
            () = cx.cancelled() => Err(JobError::cancel("processing was cancelled")),
        };
        if let Err(error) = &result
            && ends_the_job(error, &cx)
        {
            self.note_failure(app, &error.message).await;
        }
        result
    }
}

impl Process {
    /// Each step's output is a receipt: what it found lies in the service's own tables.
    async fn process(&self, cx: &Context<Materials>, material: &Material) -> JobResult<Processed> {
        let app = cx.state().app();
        let read = cx.step("extract", || app.read_document(cx, material)).await?;
        let indexed = cx.step("index", || app.index(cx, material, read.chunks)).await?;
        let embedded = cx.step("embed", || app.embed_run(cx, &material.id, self.run, read.chunks)).await?;
        let processed = Processed {
            pages: read.pages,
            chunks: read.chunks,
            terms: indexed.terms,
            embedding_model: embedded.model,
        };
        self.save(app, &processed).await?;
        cx.progress(100, "ready to be searched");
        if self.run > 1 {
            let purge =
                Purge { material_id: self.material_id.clone(), keep_from_run: Some(self.run), file: None };
            cx.follow_up(NewJob::of(&purge)?)?;
        }
        Ok(processed)
    }

    /// From one moment to the next, search reads this run and none of the one before.
    async fn save(&self, app: &App, processed: &Processed) -> JobResult<()> {
        let now = app.clock.now();
        let save = Write::new(
            "UPDATE materials SET indexed_run = $2, chunks = $3, terms = $4, embedding_model = $5, \
             processed_at = $6, updated_at = $6, error_message = NULL WHERE id = $1",
            vec![
                self.material_id.as_str().into(),
                self.run.into(),
                processed.chunks.into(),
                processed.terms.into(),
                processed.embedding_model.clone().into(),
                now.into(),
            ],
        );
        app.commit_run(&self.material_id, self.run, vec![save]).await
    }

    /// The job's record says the same and is what people are shown; the row is for when that has been pruned. So
    /// where it cannot be written, nothing is lost that matters now.
    async fn note_failure(&self, app: &App, message: &str) {
        let note = Write::new(
            "UPDATE materials SET error_message = $2, updated_at = $3 WHERE id = $1",
            vec![self.material_id.as_str().into(), message.into(), app.clock.now().into()],
        );
        if let Err(error) = app.commit_run(&self.material_id, self.run, vec![note]).await {
            tracing::warn!(material = self.material_id, "failed to note why a material failed: {error}");
        }
    }
}

impl App {
    /// A material's file for the programs that read it.
    pub(crate) async fn local_file(&self, cx: &Context<Materials>, id: &str) -> JobResult<Local> {
        self.storage.local(id).await.map_err(|error| {
            log_detail(cx, &error);
            match error.kind() {
                ErrorKind::NotFound => JobError::retry("failed to find the document"),
                ErrorKind::NotConnected => JobError::outage("failed to reach the storage of files"),
                _ => JobError::retry("failed to fetch the document"),
            }
        })
    }
}

fn ends_the_job(error: &JobError, cx: &Context<Materials>) -> bool {
    match error.verdict {
        Verdict::Fatal => true,
        Verdict::Retry(_) => cx.is_last_attempt(),
        Verdict::Cancel | Verdict::Snooze(_) | Verdict::RateLimited(_) => false,
    }
}

/// A line that only whoever looks into the job's log needs.
pub(crate) fn log_detail(cx: &Context<Materials>, detail: impl std::fmt::Debug) {
    cx.log(LogLevel::Warn, format!("{detail:?}"));
}
