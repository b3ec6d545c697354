use std::collections::HashMap;
use std::time::Duration;

use service_support::{DbError, Row, placeholders};

use super::{Hit, Place, Query, Searched};
use crate::app::App;
use crate::jobs;
use crate::text::{similarity, unit};

/// The time that a search waits for a provider; a slower one is left out of this search.
const PATIENCE: Duration = Duration::from_secs(10);

impl App {
    /// Scores every chunk that the configured model has embedded; `None` where there is none, or no provider, or it does
    /// not answer: a search by words is better than none.
    pub(super) async fn search_meaning(
        &self,
        course_id: &str,
        materials: &[Searched],
        query: Query<'_>,
    ) -> Result<Option<Vec<Hit>>, DbError> {
        let Some(embedder) = &self.providers.embedder else { return Ok(None) };
        // A query of signs alone has no meaning to embed.
        if materials.is_empty() || !query.text.contains(char::is_alphanumeric) {
            return Ok(None);
        }
        let asked = [format!("{} {}", query.before, query.text).trim().to_owned()];
        let vector = match tokio::time::timeout(PATIENCE, embedder.embed(&asked)).await {
            Ok(Ok(vectors)) => vectors.into_iter().next().flatten(),
            Ok(Err(error)) => {
                tracing::warn!("searching by words alone: {error}");
                None
            }
            Err(_) => {
                tracing::warn!("searching by words alone: no embedding within {PATIENCE:?}");
                None
            }
        };
        let Some(vector) = vector else { return Ok(None) };
        let dimension = vector.len();
        let (query, mut hits) = (unit(&vector), Vec::<Hit>::new());
        for batch in super::batches(materials) {
            let members = &materials[batch.materials.clone()];
            // The dimension is compared too: a server may change its model under the same name.
            let sql = format!(
                "SELECT material_id, run, number, vector FROM material_vectors WHERE material_id IN ({}) \
                 AND model = $1 AND dimension = $2 AND number >= $3 AND number < $4",
                placeholders(5, members.len())
            );
            let numbers = batch.numbers;
            let mut params =
                vec![embedder.model().into(), dimension.into(), numbers.start.into(), numbers.end.into()];
            params.extend(members.iter().map(|material| material.id.as_str().into()));
            let rows = self.db.read(sql, params).await?;
            let known = (batch.materials.start..).zip(members);
            let known: HashMap<&str, (usize, u32)> =
                known.map(|(at, material)| (material.id.as_str(), (at, material.run))).collect();
            for row in &rows {
                let (material_id, run): (String, u32) = (row.get("material_id")?, row.get("run")?);
                let Some((material, _)) = known.get(material_id.as_str()).filter(|(_, known)| *known == run)
                else {
                    continue;
                };
                let likeness = similarity(&query, &row.get::<Vec<u8>>("vector")?);
                let place = Place { material: *material, number: row.get("number")? };
                hits.push(Hit { place, score: likeness, coverage: 0.0, likeness });
            }
        }
        let chunks: u64 = materials.iter().map(|material| u64::from(material.chunks)).sum();
        let compared = hits.len() as u64;
        if compared < chunks {
            self.embed_again(course_id, embedder.model(), dimension).await?;
        }
        Ok((compared > 0).then_some(hits))
    }

    /// Enqueues the embedding of materials whose vectors have another dimension: the server has changed its model under
    /// the same name.
    async fn embed_again(&self, course_id: &str, model: &str, dimension: usize) -> Result<(), DbError> {
        let sql = "SELECT m.id, m.run, m.chunks FROM materials m WHERE m.course_id = $1 AND m.indexed_run = m.run \
                   AND m.embedding_model = $2 AND EXISTS (SELECT 1 FROM material_vectors v \
                   WHERE v.material_id = m.id AND v.run = m.run AND v.model = $2 AND v.dimension <> $3) LIMIT 500";
        let rows = self.db.read(sql, vec![course_id.into(), model.into(), dimension.into()]).await?;
        let stale: Vec<(String, u32, u32)> = rows
            .iter()
            .map(|row: &Row| Ok((row.get("id")?, row.get("run")?, row.get("chunks")?)))
            .collect::<Result<_, DbError>>()?;
        jobs::enqueue_embedding_again(self, &stale, model, dimension).await
    }
}
