use std::io::ErrorKind;
use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, KeyFilter, KeyInfo, LogLevel, NewJob, Start, Verdict};
use serde::{Deserialize, Serialize};
use service_support::{AiBrain, Tokens, Waiting, Write};

use super::embed::EmbedError;
use super::{Embed, Indexed, Purge, QUEUE, superseded};
use crate::app::{App, Materials};
use crate::model::Material;
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

/// The wait before a provider that failed is asked again, where it asks for none.
const EMBED_AGAIN_AFTER: Duration = Duration::from_secs(30);

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
        let key = app.owner_of(&material).await?.map_or_else(String::new, |owner| app.turns.key(&owner));
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
    /// Each step's output is a receipt: what it found lies in the service's own tables. Once the index is there, the
    /// text can be found by its words, whatever becomes of its embedding.
    async fn process(&self, cx: &Context<Materials>, material: &Material) -> JobResult<Processed> {
        let app = cx.state().app();
        let read = match cx.step("extract", || app.read_document(cx, material)).await {
            Ok(read) => read,
            Err(error) => return Err(app.closing(AiBrain::LIMIT_KEY, error).await),
        };
        let indexed = cx.step("index", || app.index(cx, &material.id, self.run, read.chunks)).await?;
        self.save(app, read.chunks, indexed).await?;
        let embedding_model = self.embed(cx, material, read.chunks).await?;
        cx.progress(100, "ready to be searched");
        if self.run > 1 {
            let purge =
                Purge { material_id: self.material_id.clone(), keep_from_run: Some(self.run), file: None };
            cx.follow_up(NewJob::of(&purge)?)?;
        }
        Ok(Processed { pages: read.pages, chunks: read.chunks, terms: indexed.terms, embedding_model })
    }

    /// From one moment to the next, search reads this run and none of the one before.
    async fn save(&self, app: &App, chunks: u32, indexed: Indexed) -> JobResult<()> {
        let now = app.clock.now();
        let save = Write::new(
            "UPDATE materials SET indexed_run = $2, chunks = $3, terms = $4, nodes = $5, languages = $6, \
             embedding_model = NULL, processed_at = $7, updated_at = $7, error_message = NULL WHERE id = $1",
            vec![
                self.material_id.as_str().into(),
                self.run.into(),
                chunks.into(),
                indexed.terms.into(),
                indexed.nodes.into(),
                indexed.languages.into(),
                now.into(),
            ],
        );
        app.commit_run(&self.material_id, self.run, vec![save]).await
    }

    /// A provider that cannot do it now is asked again by a job of its own; the material is complete without.
    async fn embed(
        &self,
        cx: &Context<Materials>,
        material: &Material,
        chunks: u32,
    ) -> JobResult<Option<String>> {
        let app = cx.state().app();
        if let Some(key) = app.embedding_key().filter(|key| app.reader_of(&material.file_type) != Some(*key))
            && chunks > 0
            && app.is_limited(key).await?
        {
            cx.log(
                LogLevel::Info,
                format!("embedding is left to a job of its own, under the limits of {key}"),
            );
            self.embed_later(cx, chunks, Start::Now)?;
            return Ok(None);
        }
        match app.embed_run(cx, &self.material_id, self.run, chunks, &Tokens::default()).await {
            Ok(embedded) => {
                app.note_embedding(&self.material_id, self.run, &embedded).await?;
                Ok(embedded.model)
            }
            Err(EmbedError::Job(error)) => Err(error),
            Err(EmbedError::Provider(error)) => {
                cx.log(LogLevel::Warn, format!("embedding is left to a job of its own: {error}"));
                let wait = match error.waiting {
                    Waiting::For(wait) => wait,
                    Waiting::NotTold | Waiting::TooLong(_) => EMBED_AGAIN_AFTER,
                };
                if let Some(key) = app.embedding_key() {
                    app.closing(key, error.into()).await;
                }
                self.embed_later(cx, chunks, Start::After(wait))?;
                Ok(None)
            }
        }
    }

    fn embed_later(&self, cx: &Context<Materials>, chunks: u32, start: Start) -> JobResult<()> {
        let app = cx.state().app();
        let Some(model) = app.embedding_model().map(str::to_owned) else { return Ok(()) };
        let (material_id, run) = (self.material_id.clone(), self.run);
        let embed = Embed { material_id, run, model, dimension: None }.enqueued(app, chunks)?;
        Ok(cx.follow_up(NewJob { start, ..embed })?)
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
    /// True where a provider has limits, or is closed: then only jobs that carry its key may ask it.
    async fn is_limited(&self, key: &str) -> longhaul::Result<bool> {
        let filter = KeyFilter { names: vec![key.to_owned()], limit: 1, ..KeyFilter::default() };
        let keys = self.longhaul.store().keys(&filter).await?;
        let limited = |key: &KeyInfo| {
            key.limits.slots.is_some() || key.limits.rate.is_some() || key.closed_until.is_some()
        };
        Ok(keys.first().is_some_and(limited))
    }

    /// Pauses a provider's key after its rate limit. A job's own outcome would pause its first key, which is the
    /// user's.
    async fn closing(&self, key: &str, error: JobError) -> JobError {
        let Verdict::RateLimited(wait) = error.verdict else { return error };
        if let Err(fault) = self.longhaul.store().pause_key(key, wait).await {
            tracing::warn!("failed to pause the limit key {key}: {fault}");
        }
        JobError::snooze(wait, error.message)
    }

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
        Verdict::Cancel | Verdict::Snooze(_) | Verdict::RateLimited(_) | Verdict::Waits => false,
    }
}

/// A log line for debugging.
pub(crate) fn log_detail(cx: &Context<Materials>, detail: impl std::fmt::Debug) {
    cx.log(LogLevel::Warn, format!("{detail:?}"));
}
