use std::collections::{BTreeMap, HashMap};

use longhaul::{Context, JobResult};
use serde::{Deserialize, Serialize};
use service_support::{DbError, Write};

use super::ROWS_PER_COMMIT;
use super::read::READ_PERCENT;
use crate::app::{App, Materials};
use crate::model::Material;
use crate::text;

/// The result of indexing. The index itself lies in `material_postings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexed {
    /// Terms in all chunks.
    pub(crate) terms: u64,
}

/// The number of chunks that are indexed at a time, which bounds memory and the length of a row.
const CHUNKS_PER_PART: u32 = 1_000;
/// The part of the progress that is done when the text is indexed.
pub(crate) const INDEX_PERCENT: f64 = 85.0;

/// The terms of some chunks: for each, three numbers per chunk that holds it.
type Postings = BTreeMap<String, Vec<u32>>;

impl App {
    /// Writes the full-text index of a run. Search does not see it before the run is saved.
    pub(crate) async fn index(
        &self,
        cx: &Context<Materials>,
        material: &Material,
        chunks: u32,
    ) -> JobResult<Indexed> {
        let mut terms = 0;
        for (part, first) in (0_u32..).zip((0..chunks).step_by(CHUNKS_PER_PART as usize)) {
            cx.progress(READ_PERCENT, format!("indexing from piece {} of {chunks}", first + 1));
            let texts = self.chunk_texts(&material.id, material.run, first, CHUNKS_PER_PART).await?;
            let (count, postings) = tokio::task::spawn_blocking(move || postings(&texts)).await?;
            terms += count;
            self.store_postings(material, part, &postings).await?;
        }
        Ok(Indexed { terms })
    }

    async fn store_postings(&self, material: &Material, part: u32, postings: &Postings) -> JobResult<()> {
        let all: Vec<(&String, &Vec<u32>)> = postings.iter().collect();
        for batch in all.chunks(ROWS_PER_COMMIT) {
            let mut writes = Vec::with_capacity(batch.len());
            for (term, hits) in batch {
                writes.push(Write::new(
                    "INSERT INTO material_postings (course_id, term, material_id, run, part, hits) \
                     VALUES ($1, $2, $3, $4, $5, $6) \
                     ON CONFLICT (course_id, term, material_id, run, part) DO UPDATE SET hits = excluded.hits",
                    vec![
                        material.course_id.as_str().into(),
                        term.as_str().into(),
                        material.id.as_str().into(),
                        material.run.into(),
                        part.into(),
                        serde_json::to_string(hits)?.into(),
                    ],
                ));
            }
            self.commit_run(&material.id, material.run, writes).await?;
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

fn postings(texts: &[(u32, String)]) -> (u64, Postings) {
    let mut postings = Postings::new();
    let mut all = 0;
    for (number, text) in texts {
        let terms = text::terms(text);
        let length = u32::try_from(terms.len()).unwrap_or(u32::MAX);
        all += u64::from(length);
        let mut counts: HashMap<String, u32> = HashMap::new();
        for term in terms {
            *counts.entry(term).or_default() += 1;
        }
        for (term, count) in counts {
            postings.entry(term).or_default().extend([*number, count, length]);
        }
    }
    (all, postings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_knows_its_chunks_how_often_and_how_long_they_are() {
        let texts = [(0, "Cells divide. A cell grows.".to_owned()), (7, "Cells".to_owned())];
        let (all, postings) = postings(&texts);
        assert_eq!(all, 5);
        assert_eq!(postings["cell"], [0, 2, 4, 7, 1, 1]);
        assert_eq!(postings["grow"], [0, 1, 4]);
        assert_eq!(postings.len(), 3);
    }
}
