//! Search in a course: by words always, by meaning where there is an embedding provider.

mod lexical;
mod vectors;

pub(crate) use vectors::scaled;

use std::collections::HashMap;

use service_support::{DbError, placeholders};

use crate::app::App;
use crate::text;

/// The mode of a search; told in the `Search-Mode` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By words alone.
    Lexical,
    /// By words and by meaning.
    Hybrid,
}

/// A piece of a material that answers a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Passage {
    pub(crate) material_id: String,
    pub(crate) name: String,
    pub(crate) file_type: String,
    /// The whole chunk.
    pub(crate) text: String,
    /// The part to show, at most [`EXCERPT_CHARS`] characters.
    pub(crate) excerpt: String,
    /// 0 to 1.
    pub(crate) score: f64,
}

/// The results of a search, best first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) mode: Mode,
    pub(crate) passages: Vec<Passage>,
}

/// The number of passages that are wanted, from one material each or from any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The best passage of each of so many materials.
    Materials(usize),
    /// So many passages, wherever they are.
    Passages(usize),
}

/// A chunk and how well it fits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) chunk: ChunkKey,
    pub(crate) score: f64,
}

/// The key of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChunkKey {
    pub(crate) material_id: String,
    pub(crate) run: u32,
    pub(crate) number: u32,
}

/// The longest excerpt, in characters.
const EXCERPT_CHARS: usize = 500;
/// The weight of meaning beside words. Words keep enough weight that a name or a formula is found as it is written.
const MEANING: f64 = 0.6;

impl App {
    /// Searches the materials of a course, or only `among` some of them where any are named.
    pub(crate) async fn search(
        &self,
        course_id: &str,
        among: &[String],
        query: &str,
        wanted: Wanted,
    ) -> Result<Found, DbError> {
        let mut terms = text::terms(query);
        terms.sort();
        terms.dedup();
        let by_words = self.search_words(course_id, terms.clone()).await?;
        let (mode, mut hits) = match self.search_meaning(course_id, query).await? {
            None => (Mode::Lexical, by_words),
            Some(by_meaning) => (Mode::Hybrid, combine(by_words, by_meaning)),
        };
        if !among.is_empty() {
            hits.retain(|hit| among.contains(&hit.chunk.material_id));
        }
        let hits = best(hits, wanted);
        Ok(Found { mode, passages: self.passages(&hits, &terms).await? })
    }

    /// Reads the texts of what was found. One that has been replaced since is left out.
    async fn passages(&self, hits: &[Hit], terms: &[String]) -> Result<Vec<Passage>, DbError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let ids = hits.iter().map(|hit| hit.chunk.material_id.as_str().into()).collect();
        let sql = format!(
            "SELECT id, name, file_type FROM materials WHERE id IN ({})",
            placeholders(1, hits.len())
        );
        let mut materials = HashMap::new();
        for row in self.db.read(sql, ids).await? {
            let id: String = row.get("id")?;
            materials.insert(id, (row.get::<String>("name")?, row.get::<String>("file_type")?));
        }
        let mut passages = Vec::with_capacity(hits.len());
        for Hit { chunk, score } in hits {
            let texts = self.chunk_texts(&chunk.material_id, chunk.run, chunk.number, 1).await?;
            let (Some((_, text)), Some((name, file_type))) =
                (texts.into_iter().next(), materials.get(&chunk.material_id))
            else {
                continue;
            };
            passages.push(Passage {
                material_id: chunk.material_id.clone(),
                name: name.clone(),
                file_type: file_type.clone(),
                excerpt: text::excerpt(&text, terms, EXCERPT_CHARS),
                text,
                score: (score.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0,
            });
        }
        Ok(passages)
    }
}

/// Both scores of a chunk in one. A chunk that has no vector (it is being embedded) is judged by its words alone.
fn combine(by_words: Vec<Hit>, by_meaning: Vec<Hit>) -> Vec<Hit> {
    let mut words: HashMap<ChunkKey, f64> = by_words.into_iter().map(|hit| (hit.chunk, hit.score)).collect();
    let mut hits: Vec<Hit> = by_meaning
        .into_iter()
        .map(|Hit { chunk, score }| {
            let words = words.remove(&chunk).unwrap_or(0.0);
            Hit { chunk, score: MEANING * score + (1.0 - MEANING) * words }
        })
        .collect();
    hits.extend(words.into_iter().map(|(chunk, score)| Hit { chunk, score }));
    hits
}

fn best(mut hits: Vec<Hit>, wanted: Wanted) -> Vec<Hit> {
    hits.retain(|hit| hit.score > 0.0);
    // The key decides between equals, so that the same search gives the same answer.
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    match wanted {
        Wanted::Passages(count) => hits.truncate(count),
        Wanted::Materials(count) => {
            let mut seen: Vec<String> = Vec::with_capacity(count);
            hits.retain(|hit| {
                let is_new = seen.len() < count && !seen.contains(&hit.chunk.material_id);
                if is_new {
                    seen.push(hit.chunk.material_id.clone());
                }
                is_new
            });
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(material: &str, number: u32, score: f64) -> Hit {
        Hit { chunk: ChunkKey { material_id: material.into(), run: 1, number }, score }
    }

    #[test]
    fn the_best_passage_of_each_material_or_the_best_passages() {
        let hits =
            vec![hit("b", 0, 0.5), hit("a", 0, 0.2), hit("a", 1, 0.9), hit("c", 0, 0.0), hit("a", 2, 0.5)];
        assert_eq!(best(hits.clone(), Wanted::Materials(3)), [hit("a", 1, 0.9), hit("b", 0, 0.5)]);
        assert_eq!(best(hits, Wanted::Passages(3)), [hit("a", 1, 0.9), hit("a", 2, 0.5), hit("b", 0, 0.5)]);
    }

    #[test]
    fn what_has_no_vector_is_judged_by_its_words() {
        let mut hits =
            combine(vec![hit("a", 0, 0.5), hit("b", 0, 0.5)], vec![hit("a", 0, 1.0), hit("c", 0, 0.5)]);
        hits.sort_by(|a, b| a.chunk.cmp(&b.chunk));
        assert_eq!(hits, [hit("a", 0, 0.8), hit("b", 0, 0.5), hit("c", 0, 0.3)]);
    }
}
