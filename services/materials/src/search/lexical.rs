use std::collections::HashMap;

use service_support::{DbError, Row, placeholders};

use super::{ChunkKey, Hit};
use crate::app::App;
use crate::text::{Collection, TermCount, relevance};

/// Longer queries are searched by their first terms, in alphabetical order.
const MAX_TERMS: usize = 64;

impl App {
    /// Scores every chunk of a course that holds one of the terms, which are distinct.
    pub(crate) async fn search_words(
        &self,
        course_id: &str,
        mut terms: Vec<String>,
    ) -> Result<Vec<Hit>, DbError> {
        terms.truncate(MAX_TERMS);
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT p.term, p.material_id, p.run, p.hits FROM material_postings p \
             JOIN materials m ON m.id = p.material_id AND m.indexed_run = p.run \
             WHERE p.course_id = $1 AND p.term IN ({})",
            placeholders(2, terms.len())
        );
        let mut params = vec![course_id.into()];
        params.extend(terms.iter().map(|term| term.as_str().into()));
        let rows = self.db.read(sql, params).await?;
        let collection = self.collection(course_id).await?;
        // A common word in a large course is many numbers to read.
        let scored = tokio::task::spawn_blocking(move || score(&rows, &terms, collection)).await;
        scored
            .unwrap_or_else(|panic| Err(DbError::Column { column: "hits".into(), reason: panic.to_string() }))
    }

    async fn collection(&self, course_id: &str) -> Result<Collection, DbError> {
        let sql = "SELECT CAST(coalesce(sum(chunks), 0) AS BIGINT) AS chunks, \
                   CAST(coalesce(sum(terms), 0) AS BIGINT) AS terms FROM materials WHERE course_id = $1 AND indexed_run IS NOT NULL";
        let rows = self.db.read(sql, vec![course_id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(Collection { chunks: 0, average_terms: 0.0 }) };
        let (chunks, terms): (u64, u64) = (row.get("chunks")?, row.get("terms")?);
        Ok(Collection { chunks, average_terms: terms as f64 / chunks.max(1) as f64 })
    }
}

/// A chunk's length, and the frequency of each term that it holds.
#[derive(Default)]
struct Counts {
    length: u32,
    terms: Vec<(usize, u32)>,
}

fn score(rows: &[Row], terms: &[String], collection: Collection) -> Result<Vec<Hit>, DbError> {
    let mut chunks: HashMap<ChunkKey, Counts> = HashMap::new();
    let mut holding = vec![0_u64; terms.len()];
    for row in rows {
        let term: String = row.get("term")?;
        let Some(term) = terms.iter().position(|t| *t == term) else { continue };
        let (material_id, run): (String, u32) = (row.get("material_id")?, row.get("run")?);
        let hits: Vec<u32> = serde_json::from_str(&row.get::<String>("hits")?)
            .map_err(|e| DbError::Column { column: "hits".into(), reason: e.to_string() })?;
        for hit in hits.chunks_exact(3) {
            let key = ChunkKey { material_id: material_id.clone(), run, number: hit[0] };
            let counts = chunks.entry(key).or_default();
            counts.length = hit[2];
            counts.terms.push((term, hit[1]));
            holding[term] += 1;
        }
    }
    let mut counted = vec![TermCount { in_chunk: 0, chunks: 0 }; terms.len()];
    let hits = chunks.into_iter().map(|(chunk, counts)| {
        for (count, chunks) in counted.iter_mut().zip(&holding) {
            *count = TermCount { in_chunk: 0, chunks: *chunks };
        }
        for (term, often) in &counts.terms {
            counted[*term].in_chunk = *often;
        }
        Hit { score: relevance(&counted, counts.length, collection), chunk }
    });
    Ok(hits.collect())
}
