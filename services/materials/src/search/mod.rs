//! Search in a course: by words always, by meaning where there is an embedding provider.

mod lexical;
mod vectors;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use service_support::DbError;

use crate::app::App;
use crate::text::{self, Languages};
use lexical::Word;

/// The mode of a search; told in the `Search-Mode` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By words alone: there is no provider, or it does not answer, or it has embedded nothing of this yet.
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
    /// The number of the chunk in its material.
    pub(crate) number: u32,
    /// The page that it stands on, in a document of pages.
    pub(crate) page: Option<u32>,
    /// The whole chunk.
    pub(crate) text: String,
    /// The part to show, at most [`EXCERPT_CHARS`] characters.
    pub(crate) excerpt: String,
    /// 0 to 1.
    pub(crate) score: f64,
    /// True if it speaks of what the query asks, and does not only share a word with it.
    pub(crate) answers: bool,
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

/// A query, and what it leans on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) text: &'a str,
    /// The messages before, where the text does not stand by itself.
    pub(crate) before: &'a str,
}

/// The place of a chunk: its number in one of the materials that are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    material: usize,
    number: u32,
}

/// A chunk and how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hit {
    place: Place,
    score: f64,
    /// The share of the query's words that it holds, each weighed by how rare it is.
    coverage: f64,
    /// The cosine of its vector and the query's.
    likeness: f64,
}

/// A material that is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Searched {
    id: String,
    run: u32,
    chunks: u32,
    terms: u64,
    nodes: Option<u32>,
    languages: Languages,
}

/// Some of the materials, or some of one's chunks, that are looked at together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    materials: Range<usize>,
    numbers: Range<u32>,
}

/// Chunks and materials that are looked at together: a search of a large course takes no more memory than one of
/// a small course.
const CHUNKS_PER_BATCH: u32 = 4_096;
const MATERIALS_PER_BATCH: usize = 200;
/// The longest excerpt, in characters.
pub(crate) const EXCERPT_CHARS: usize = 500;
/// The weight of meaning beside words. Words keep enough weight that a name or a formula is found as it is written.
const MEANING: f64 = 0.6;
/// The weight of a word that was said before, beside one of the query.
const BEFORE: f64 = 0.4;
/// A chunk with at least this share of a query's words speaks of what it asks.
const ANSWERING: f64 = 0.55;

impl App {
    /// Searches the materials of a course, or only `among` some of them where any are named.
    pub(crate) async fn search(
        &self,
        course_id: &str,
        among: &[String],
        query: Query<'_>,
        wanted: Wanted,
    ) -> Result<Found, DbError> {
        let mut materials = self.searched(course_id).await?;
        if !among.is_empty() {
            materials.retain(|material| among.contains(&material.id));
        }
        let words = words(query, &materials);
        let forms: Vec<String> = words.iter().flat_map(|word| word.forms.clone()).collect();
        let likeness =
            self.providers.embedder.as_ref().map(|embedder| embedder.likeness()).unwrap_or_default();
        let by_words = self.search_words(&materials, words).await?;
        let by_meaning = self.search_meaning(course_id, &materials, query).await?;
        let (mode, hits) = match by_meaning {
            None => (Mode::Lexical, by_words),
            Some(by_meaning) => (Mode::Hybrid, combine(by_words, by_meaning, likeness.related)),
        };
        let hits = best(hits, wanted);
        Ok(Found { mode, passages: self.passages(&materials, &hits, &forms, likeness.answering).await? })
    }

    async fn searched(&self, course_id: &str) -> Result<Vec<Searched>, DbError> {
        let sql = "SELECT id, indexed_run, chunks, terms, nodes, languages FROM materials \
                   WHERE course_id = $1 AND indexed_run IS NOT NULL AND chunks > 0 ORDER BY created_at DESC, id";
        let rows = self.db.read(sql, vec![course_id.into()]).await?;
        let searched = rows.iter().map(|row| {
            Ok(Searched {
                id: row.get("id")?,
                run: row.get("indexed_run")?,
                chunks: row.get("chunks")?,
                terms: row.get("terms")?,
                nodes: row.get("nodes")?,
                languages: Languages(row.get("languages")?),
            })
        });
        searched.collect()
    }

    /// Reads the texts of what was found. One that has been deleted or replaced since is left out.
    async fn passages(
        &self,
        materials: &[Searched],
        hits: &[Hit],
        forms: &[String],
        answering: f64,
    ) -> Result<Vec<Passage>, DbError> {
        let mut passages = Vec::with_capacity(hits.len());
        for hit in hits {
            let material = &materials[hit.place.material];
            let sql = "SELECT m.name, m.file_type, c.text, c.page FROM materials m \
                       JOIN material_chunks c ON c.material_id = m.id AND c.run = m.indexed_run \
                       WHERE m.id = $1 AND m.indexed_run = $2 AND c.number = $3";
            let params = vec![material.id.as_str().into(), material.run.into(), hit.place.number.into()];
            let rows = self.db.read(sql, params).await?;
            let Some(row) = rows.first() else { continue };
            let text: String = row.get("text")?;
            passages.push(Passage {
                material_id: material.id.clone(),
                name: row.get("name")?,
                file_type: row.get("file_type")?,
                number: hit.place.number,
                page: row.get("page")?,
                excerpt: text::excerpt(&text, forms, EXCERPT_CHARS),
                text,
                score: (hit.score.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0,
                answers: hit.coverage >= ANSWERING || hit.likeness >= answering,
            });
        }
        Ok(passages)
    }
}

/// The words of a query, and with less weight those of what was said before it.
fn words(query: Query<'_>, materials: &[Searched]) -> Vec<Word> {
    let languages = materials.iter().fold(0, |all, material| all | material.languages.0);
    let of = |text: &str, weight: f64| {
        text::query(text, Languages(languages)).into_iter().map(move |forms| Word { forms, weight })
    };
    let mut words: Vec<Word> = of(query.text, 1.0).collect();
    for word in of(query.before, BEFORE) {
        if words.iter().all(|known| known.forms != word.forms) {
            words.push(word);
        }
    }
    words
}

/// The materials in batches; one that is longer than a batch is cut.
fn batches(materials: &[Searched]) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut chunks = 0;
    for (at, material) in materials.iter().enumerate() {
        match batches.last_mut() {
            Some(batch)
                if chunks + material.chunks <= CHUNKS_PER_BATCH
                    && batch.materials.len() < MATERIALS_PER_BATCH =>
            {
                batch.materials.end = at + 1;
                chunks += material.chunks;
            }
            _ => {
                for first in (0..material.chunks).step_by(CHUNKS_PER_BATCH as usize) {
                    batches.push(Batch { materials: at..at + 1, numbers: first..first + CHUNKS_PER_BATCH });
                }
                // Nothing is added to the batches of a long one: they end with its last chunk.
                chunks = if material.chunks > CHUNKS_PER_BATCH { CHUNKS_PER_BATCH } else { material.chunks };
            }
        }
    }
    batches
}

/// Both scores of a chunk in one. A chunk that has no vector (it is being embedded) is judged by its words alone, and
/// one that holds no word is left out where its meaning is not `related`.
fn combine(by_words: Vec<Hit>, by_meaning: Vec<Hit>, related: f64) -> Vec<Hit> {
    let mut words: HashMap<Place, Hit> = by_words.into_iter().map(|hit| (hit.place, hit)).collect();
    let both = by_meaning.into_iter().map(|meaning| {
        let hit = words.remove(&meaning.place).unwrap_or(Hit { score: 0.0, ..meaning });
        Hit {
            score: MEANING * meaning.score + (1.0 - MEANING) * hit.score,
            likeness: meaning.likeness,
            ..hit
        }
    });
    let mut hits: Vec<Hit> = both.filter(|hit| hit.coverage > 0.0 || hit.likeness >= related).collect();
    hits.extend(words.into_values());
    hits
}

fn best(mut hits: Vec<Hit>, wanted: Wanted) -> Vec<Hit> {
    hits.retain(|hit| hit.score > 0.0);
    // The place decides between equals, so that the same search gives the same answer.
    let order =
        |a: &Hit, b: &Hit| -> Ordering { b.score.total_cmp(&a.score).then_with(|| a.place.cmp(&b.place)) };
    hits.sort_unstable_by(order);
    match wanted {
        Wanted::Passages(count) => hits.truncate(count),
        Wanted::Materials(count) => {
            let mut seen: Vec<usize> = Vec::with_capacity(count);
            hits.retain(|hit| {
                let is_new = seen.len() < count && !seen.contains(&hit.place.material);
                if is_new {
                    seen.push(hit.place.material);
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

    fn hit(material: usize, number: u32, score: f64) -> Hit {
        Hit { place: Place { material, number }, score, coverage: 0.0, likeness: 0.0 }
    }

    #[test]
    fn the_best_passage_of_each_material_or_the_best_passages() {
        let hits = vec![hit(1, 0, 0.5), hit(0, 0, 0.2), hit(0, 1, 0.9), hit(2, 0, 0.0), hit(0, 2, 0.5)];
        assert_eq!(best(hits.clone(), Wanted::Materials(3)), [hit(0, 1, 0.9), hit(1, 0, 0.5)]);
        assert_eq!(best(hits, Wanted::Passages(3)), [hit(0, 1, 0.9), hit(0, 2, 0.5), hit(1, 0, 0.5)]);
    }

    #[test]
    fn what_has_no_vector_is_judged_by_its_words() {
        let by_words = |number, score| Hit { coverage: 1.0, ..hit(0, number, score) };
        let by_meaning = |number, score| Hit { likeness: score, ..hit(0, number, score) };
        let meant = vec![by_meaning(0, 0.5), by_meaning(1, 0.5), by_meaning(3, 0.1), by_meaning(4, 0.1)];
        let mut hits = combine(vec![by_words(0, 1.0), by_words(2, 0.5), by_words(4, 1.0)], meant, 0.2);
        hits.sort_by_key(|hit| hit.place);
        let scores: Vec<(u32, f64)> = hits.iter().map(|hit| (hit.place.number, hit.score)).collect();
        assert_eq!(scores, [(0, 0.7), (1, 0.3), (2, 0.5), (4, 0.46)]);
    }

    #[test]
    fn batches_are_bounded_and_hold_every_chunk_once() {
        let sizes = [1, 10_000, 5, 4_000, 100, 4_096, 1];
        let material = |chunks| Searched {
            id: String::new(),
            run: 1,
            chunks,
            terms: 0,
            nodes: None,
            languages: Languages::default(),
        };
        let materials: Vec<Searched> = sizes.map(material).into();
        let mut covered = vec![0; sizes.len()];
        for batch in batches(&materials) {
            let held = batch
                .materials
                .clone()
                .map(|at| (at, batch.numbers.end.min(sizes[at]) - batch.numbers.start));
            assert!(held.clone().map(|(_, chunks)| chunks).sum::<u32>() <= CHUNKS_PER_BATCH, "{batch:?}");
            held.for_each(|(at, chunks)| covered[at] += chunks);
        }
        assert_eq!(covered, sizes);
        assert_eq!(batches(&vec![material(1); 500]).len(), 3);
    }
}
