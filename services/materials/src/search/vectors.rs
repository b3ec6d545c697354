use std::time::Duration;

use service_support::{DbError, Row};

use super::{ChunkKey, Hit};
use crate::app::App;

/// Whoever searches is waiting: a provider that takes longer is left out of this search.
const PATIENCE: Duration = Duration::from_secs(10);

impl App {
    /// Scores every chunk of a course that the configured model has embedded; `None` without a provider, or where
    /// it does not answer: a search by words is better than none.
    pub(crate) async fn search_meaning(
        &self,
        course_id: &str,
        query: &str,
    ) -> Result<Option<Vec<Hit>>, DbError> {
        let Some(embedder) = &self.providers.embedder else { return Ok(None) };
        let asked = [query.to_owned()];
        let vector = match tokio::time::timeout(PATIENCE, embedder.embed(&asked)).await {
            Ok(Ok(vectors)) => vectors.into_iter().next(),
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
        // The dimension is compared too: a server may change its model under the same name.
        let sql = "SELECT v.material_id, v.run, v.number, v.vector FROM materials m \
                   JOIN material_vectors v ON v.material_id = m.id AND v.run = m.indexed_run \
                   WHERE m.course_id = $1 AND v.model = $2 AND v.dimension = $3";
        let params = vec![course_id.into(), embedder.model().into(), vector.len().into()];
        let rows = self.db.read(sql, params).await?;
        let scored = tokio::task::spawn_blocking(move || score(&rows, &vector)).await;
        let scored = scored.unwrap_or_else(|panic| {
            Err(DbError::Column { column: "vector".into(), reason: panic.to_string() })
        });
        scored.map(Some)
    }
}

fn score(rows: &[Row], query: &[f32]) -> Result<Vec<Hit>, DbError> {
    let query = unit(query);
    let hit = |row: &Row| {
        let vector: Vec<u8> = row.get("vector")?;
        let chunk = ChunkKey {
            material_id: row.get("material_id")?,
            run: row.get("run")?,
            number: row.get("number")?,
        };
        Ok(Hit { chunk, score: similarity(&query, &vector) })
    };
    rows.iter().map(hit).collect()
}

/// The cosine of the angle between a query and a stored vector; what points the other way counts as unlike.
fn similarity(query: &[f32], stored: &[u8]) -> f64 {
    let stored =
        stored.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let product: f32 = query.iter().zip(stored).map(|(a, b)| a * b).sum();
    f64::from(product.clamp(0.0, 1.0))
}

/// A vector as it is stored: of length 1, so that a product is a cosine.
pub(crate) fn scaled(vector: &[f32]) -> Vec<u8> {
    unit(vector).into_iter().flat_map(f32::to_le_bytes).collect()
}

fn unit(vector: &[f32]) -> Vec<f32> {
    // In double precision: the squares of large numbers would not fit.
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter().map(|number| (f64::from(*number) * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_the_angle_and_not_the_length() {
        let near = |a: &[f32], b: &[f32]| similarity(&unit(a), &scaled(b));
        assert!((near(&[3.0, 4.0], &[300.0, 400.0]) - 1.0).abs() < 1e-6);
        assert!((near(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f64.sqrt()).abs() < 1e-6);
        assert_eq!(near(&[1.0, 0.0], &[-1.0, 0.0]), 0.0);
        assert_eq!(near(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert!((near(&[3e38, 3e38], &[3e38, 3e38]) - 1.0).abs() < 1e-6);
    }
}
