use std::time::Duration;

use longhaul::{Context, Job, JobError, JobResult, NewJob, Unique};
use serde::{Deserialize, Serialize};
use service_support::{DbError, Write};

use super::read::READ_PERCENT;
use super::{QUEUE, ROWS_PER_COMMIT, enqueue_for_each, superseded};
use crate::app::{App, Materials};
use crate::text::{CHUNKS_PER_PART, Postings};

/// Indexes a material again whose index an older release wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// The material's id.
    pub material_id: String,
    /// The processing whose text is indexed.
    pub run: u32,
}

/// The result of indexing. The index itself lies in `material_terms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// Terms in all chunks.
    pub terms: u64,
    /// The number of nodes that the terms are spread over; `None` where an older release indexed it.
    #[serde(default)]
    pub nodes: Option<u32>,
    /// The languages that its texts are stemmed by.
    #[serde(default)]
    pub languages: u32,
}

/// The part of the progress that is done when the text is indexed.
pub(crate) const INDEX_PERCENT: f64 = 85.0;

impl Job for Index {
    const KIND: &'static str = "materials.index";
    const QUEUE: &'static str = QUEUE;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(3600));

    type State = Materials;
    type Output = Indexed;

    async fn run(self, cx: Context<Materials>) -> JobResult<Indexed> {
        let app = cx.state().app();
        let sql = "SELECT chunks FROM materials WHERE id = $1 AND run = $2 AND indexed_run = $2";
        let rows = app.db.read(sql, vec![self.material_id.as_str().into(), self.run.into()]).await?;
        let chunks = rows.first().ok_or_else(superseded)?.get("chunks")?;
        let indexed = app.index(&cx, &self.material_id, self.run, chunks).await?;
        let save = Write::new(
            "UPDATE materials SET terms = $2, nodes = $3, languages = $4 WHERE id = $1",
            vec![
                self.material_id.as_str().into(),
                indexed.terms.into(),
                indexed.nodes.into(),
                indexed.languages.into(),
            ],
        );
        app.commit_run(&self.material_id, self.run, vec![save]).await?;
        Ok(indexed)
    }
}

/// Enqueues the indexing of every material that an older release indexed. Answers how many were enqueued.
pub(crate) async fn enqueue_indexing(app: &App) -> Result<usize, DbError> {
    enqueue_for_each(app, "nodes IS NULL", |material_id, run, _| {
        let key = format!("materials.index:{material_id}:{run}");
        let unique = Unique::new(key);
        Ok(NewJob { unique: Some(unique), priority: -5, ..NewJob::of(&Index { material_id, run })? })
    })
    .await
}

impl App {
    /// Writes the index by words of a run. Search does not see it before the run is saved.
    pub(crate) async fn index(
        &self,
        cx: &Context<Materials>,
        material_id: &str,
        run: u32,
        chunks: u32,
    ) -> JobResult<Indexed> {
        let mut indexed = Indexed { nodes: Some(1), ..Indexed::default() };
        for (part, first) in (0_u32..).zip((0..chunks).step_by(CHUNKS_PER_PART as usize)) {
            cx.progress(READ_PERCENT, format!("indexing from piece {} of {chunks}", first + 1));
            let texts = self.chunk_texts(material_id, run, first, CHUNKS_PER_PART).await?;
            let indexing = move || Postings::of(texts.iter().map(|(_, text)| text.as_str()));
            let (postings, languages) = tokio::task::spawn_blocking(indexing).await?;
            indexed.terms += postings.total();
            indexed.languages |= languages.0;
            if part == 0 {
                indexed.nodes = Some(postings.nodes());
            }
            self.store_postings(material_id, run, part, postings, indexed.nodes.unwrap_or(1)).await?;
        }
        Ok(indexed)
    }

    async fn store_postings(
        &self,
        material_id: &str,
        run: u32,
        part: u32,
        postings: Postings,
        nodes: u32,
    ) -> Result<(), JobError> {
        let rows: Vec<(u32, Vec<u8>)> = postings.rows(nodes).into_iter().collect();
        for batch in rows.chunks(ROWS_PER_COMMIT) {
            let writes = batch.iter().map(|(node, terms)| {
                Write::new(
                    "INSERT INTO material_terms (material_id, run, node, part, terms) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (material_id, run, node, part) DO UPDATE SET terms = excluded.terms",
                    vec![material_id.into(), run.into(), (*node).into(), part.into(), terms.clone().into()],
                )
            });
            self.commit_run(material_id, run, writes.collect()).await?;
        }
        Ok(())
    }

    /// The texts of `count` chunks from number `first` on, with their numbers.
    pub(crate) async fn chunk_texts(
        &self,
        material_id: &str,
        run: u32,
        first: u32,
        count: u32,
    ) -> Result<Vec<(u32, String)>, DbError> {
        let sql = "SELECT number, text FROM material_chunks \
                   WHERE material_id = $1 AND run = $2 AND number >= $3 AND number < $4 ORDER BY number";
        let end = first.saturating_add(count);
        let params = vec![material_id.into(), run.into(), first.into(), end.into()];
        let rows = self.db.read(sql, params).await?;
        rows.iter().map(|row| Ok((row.get("number")?, row.get("text")?))).collect()
    }
}
