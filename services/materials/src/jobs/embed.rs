use std::collections::HashSet;
use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, NewJob, Unique};
use serde::{Deserialize, Serialize};
use service_support::{AiBrain, DbError, ProviderError, Settling, Tokens, Write, limited};

use super::index::INDEX_PERCENT;
use super::{QUEUE, enqueue_for_each, superseded};
use crate::app::{App, Materials};
use crate::text::{CHUNK_TOKENS, scaled};

/// Embeds a material that can be found by its words already: for a provider that could not do it when the material was
/// processed, or a model that was configured later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embed {
    /// The material's id.
    pub material_id: String,
    /// The processing whose text is embedded.
    pub run: u32,
    /// The model that was configured when this was enqueued.
    pub model: String,
    /// The length of its vectors, where it has changed under the same name: vectors of another one are removed.
    #[serde(default)]
    pub dimension: Option<usize>,
}

/// The result of embedding. The vectors lie in `material_vectors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    /// The model; `None` where there is no provider or no text.
    pub model: Option<String>,
    /// The number of numbers in a vector.
    pub dimension: Option<u32>,
}

/// Chunks that go to the provider at a time, and into one commit.
const BATCH: u32 = 32;

impl Job for Embed {
    const KIND: &'static str = "materials.embed";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(3 * 3600));
    /// Enough for hours, because no request waits for it.
    const MAX_ATTEMPTS: u32 = 30;

    type State = Materials;
    type Output = Embedded;

    async fn run(self, cx: Context<Materials>) -> JobResult<Embedded> {
        let app = cx.state().app();
        if app.embedding_model() != Some(self.model.as_str()) {
            return Err(JobError::cancel("another model is configured now"));
        }
        let sql = "SELECT chunks FROM materials WHERE id = $1 AND run = $2 AND indexed_run = $2";
        let rows = app.db.read(sql, vec![self.material_id.as_str().into(), self.run.into()]).await?;
        let chunks = rows.first().ok_or_else(superseded)?.get("chunks")?;
        if let Some(dimension) = self.dimension {
            app.forget_other_lengths(&self.material_id, self.run, &self.model, dimension).await?;
        }
        // AI Brain counts documents, and this is one.
        let settling = (app.embedding_key() != Some(AiBrain::LIMIT_KEY)).then(|| Settling::new(&cx));
        let tokens = settling.as_ref().map(|settling| settling.tokens.clone()).unwrap_or_default();
        let embedded = app.embed_run(&cx, &self.material_id, self.run, chunks, &tokens).await?;
        app.note_embedding(&self.material_id, self.run, &embedded).await?;
        app.forget_other_models(&self.material_id, self.run, &self.model, chunks).await?;
        Ok(embedded)
    }
}

/// Enqueues the embedding of every material whose text the configured model has not embedded. Answers how many were enqueued.
pub(crate) async fn enqueue_embeds(app: &App) -> Result<usize, DbError> {
    app.forget_other_embeddings().await?;
    let Some(model) = app.embedding_model() else { return Ok(0) };
    enqueue_for_each(app, "embedding_model IS NULL", |material_id, run, chunks| {
        Embed { material_id, run, model: model.to_owned(), dimension: None }.enqueued(app, chunks)
    })
    .await
}

/// Enqueues the embedding of materials whose vectors are not as long as those that the model makes now.
pub(crate) async fn enqueue_embedding_again(
    app: &App,
    materials: &[(String, u32, u32)],
    model: &str,
    dimension: usize,
) -> Result<(), DbError> {
    let jobs = materials.iter().map(|(id, run, chunks)| {
        let job =
            Embed { material_id: id.clone(), run: *run, model: model.to_owned(), dimension: Some(dimension) };
        job.enqueued(app, *chunks)
    });
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    if !jobs.is_empty() {
        tracing::warn!(
            model,
            dimension,
            "the embedding model has changed under the same name; embedding again"
        );
        match app.db.commit(vec![], jobs).await {
            // A search goes on without them, and the next one tries again.
            Err(DbError::Crowded(full)) => tracing::warn!("as many jobs wait in {full} as may"),
            done => drop(done?),
        }
    }
    Ok(())
}

impl Embed {
    /// The job to enqueue for a material of so many chunks; one that waits for the same is joined.
    pub(super) fn enqueued(self, app: &App, chunks: u32) -> Result<NewJob, longhaul::Error> {
        let dimension = self.dimension.map_or_else(String::new, |dimension| format!(":{dimension}"));
        let mut key = format!("materials.embed:{}:{}{dimension}:{}", self.material_id, self.run, self.model);
        // Keys are bounded; a model's name is not. Two that differ only so far out share a job, which then looks again.
        key.truncate(key.floor_char_boundary(512));
        let unique = Unique::new(key);
        // New uploads go first.
        let job = NewJob { unique: Some(unique), priority: -10, ..NewJob::of(&self)? };
        let units = match app.embedding_key() {
            // It counts documents.
            Some(AiBrain::LIMIT_KEY) => 1,
            _ => u64::from(chunks) * CHUNK_TOKENS as u64,
        };
        Ok(limited(job, app.embedding_key(), units))
    }
}

/// The reason why a material was not embedded.
#[derive(Debug)]
pub(crate) enum EmbedError {
    /// The provider's: its text can be searched without.
    Provider(ProviderError),
    /// The job's own: it was superseded, or the rows cannot be reached.
    Job(JobError),
}

impl From<ProviderError> for EmbedError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<JobError> for EmbedError {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<DbError> for EmbedError {
    fn from(error: DbError) -> Self {
        Self::Job(error.into())
    }
}

impl From<EmbedError> for JobError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Provider(error) => error.into(),
            EmbedError::Job(error) => error,
        }
    }
}

impl App {
    pub(crate) fn embedding_model(&self) -> Option<&str> {
        self.providers.embedder.as_ref().map(|embedder| embedder.model())
    }

    /// The limit key of the provider that embeds; `None` where a model on this machine does.
    pub(super) fn embedding_key(&self) -> Option<&str> {
        self.providers.embedder.as_ref().and_then(|embedder| embedder.limit_key())
    }

    /// Embeds the chunks of a run that the configured model has not embedded yet.
    pub(crate) async fn embed_run(
        &self,
        cx: &Context<Materials>,
        material_id: &str,
        run: u32,
        chunks: u32,
        tokens: &Tokens,
    ) -> Result<Embedded, EmbedError> {
        let Some(embedder) = self.providers.embedder.as_ref().filter(|_| chunks > 0) else {
            return Ok(Embedded { model: None, dimension: None });
        };
        let model = embedder.model();
        let mut dimension = None;
        for first in (0..chunks).step_by(BATCH as usize) {
            let percent = INDEX_PERCENT + (99.0 - INDEX_PERCENT) * f64::from(first) / f64::from(chunks);
            cx.progress(percent, format!("embedding from piece {} of {chunks}", first + 1));
            let (known, done) = self.embedded_chunks(material_id, run, model, first).await?;
            dimension = dimension.or(known);
            let mut todo = self.chunk_texts(material_id, run, first, BATCH).await?;
            todo.retain(|(number, text)| !done.contains(number) && !text.trim().is_empty());
            if todo.is_empty() {
                continue;
            }
            let (numbers, texts): (Vec<u32>, Vec<String>) = todo.into_iter().unzip();
            let vectors = embedder.embed_counting(&texts, tokens).await?;
            let vectors =
                numbers.iter().zip(&vectors).filter_map(|(number, vector)| Some((number, vector.as_ref()?)));
            let vectors: Vec<(&u32, &Vec<f32>)> = vectors.collect();
            let Some((_, vector)) = vectors.first() else { continue };
            let length = vector.len();
            if dimension.is_some_and(|dimension| dimension as usize != length) {
                // The server has changed its model under the same name: what the one before made is of no use.
                self.forget_other_lengths(material_id, run, model, length).await?;
                return Err(JobError::retry("the embedding model has changed while it was at work").into());
            }
            dimension = u32::try_from(length).ok();
            let writes = vectors.into_iter().map(|(number, vector)| {
                Write::new(
                    "INSERT INTO material_vectors (material_id, run, model, number, dimension, vector) \
                     VALUES ($1, $2, $3, $4, $5, $6) \
                     ON CONFLICT (material_id, run, model, number) DO UPDATE SET \
                     dimension = excluded.dimension, vector = excluded.vector",
                    vec![
                        material_id.into(),
                        run.into(),
                        model.into(),
                        (*number).into(),
                        vector.len().into(),
                        scaled(vector).into(),
                    ],
                )
            });
            self.commit_run(material_id, run, writes.collect()).await?;
        }
        Ok(Embedded { model: dimension.map(|_| model.to_owned()), dimension })
    }

    /// Passages that another model has embedded cannot be found by meaning: its vectors are never compared.
    async fn forget_other_embeddings(&self) -> Result<(), DbError> {
        let model = self.embedding_model().unwrap_or_default();
        let sql = "UPDATE materials SET embedding_model = NULL WHERE embedding_model <> $1";
        self.db.commit(vec![Write::new(sql, vec![model.into()])], vec![]).await.map(|_| ())
    }

    /// From now on the material can be found by meaning.
    pub(super) async fn note_embedding(
        &self,
        material_id: &str,
        run: u32,
        embedded: &Embedded,
    ) -> Result<(), JobError> {
        let save = Write::new(
            "UPDATE materials SET embedding_model = $2, updated_at = $3 WHERE id = $1",
            vec![material_id.into(), embedded.model.clone().into(), self.clock.now().into()],
        );
        self.commit_run(material_id, run, vec![save]).await
    }

    async fn forget_other_lengths(
        &self,
        material_id: &str,
        run: u32,
        model: &str,
        dimension: usize,
    ) -> Result<(), JobError> {
        let forget = Write::new(
            "DELETE FROM material_vectors WHERE material_id = $1 AND run = $2 AND model = $3 AND dimension <> $4",
            vec![material_id.into(), run.into(), model.into(), dimension.into()],
        );
        self.commit_run(material_id, run, vec![forget]).await
    }

    /// The chunks of a batch that have a vector already, with its dimension.
    async fn embedded_chunks(
        &self,
        material_id: &str,
        run: u32,
        model: &str,
        first: u32,
    ) -> Result<(Option<u32>, HashSet<u32>), DbError> {
        let sql = "SELECT number, dimension FROM material_vectors WHERE material_id = $1 AND run = $2 \
                   AND model = $3 AND number >= $4 AND number < $5";
        let end = first.saturating_add(BATCH);
        let params = vec![material_id.into(), run.into(), model.into(), first.into(), end.into()];
        let rows = self.db.read(sql, params).await?;
        let dimension = rows.first().map(|row| row.get("dimension")).transpose()?;
        let numbers = rows.iter().map(|row| row.get("number")).collect::<Result<_, _>>()?;
        Ok((dimension, numbers))
    }

    /// Removes the vectors of models that are no longer used, some at a time.
    async fn forget_other_models(
        &self,
        material_id: &str,
        run: u32,
        model: &str,
        chunks: u32,
    ) -> Result<(), DbError> {
        for first in (0..chunks).step_by(200) {
            let forget = Write::new(
                "DELETE FROM material_vectors WHERE material_id = $1 AND run = $2 AND model <> $3 \
                 AND number >= $4 AND number < $5",
                vec![material_id.into(), run.into(), model.into(), first.into(), (first + 200).into()],
            );
            self.db.commit(vec![forget], vec![]).await?;
        }
        Ok(())
    }
}
