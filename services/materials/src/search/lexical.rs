use std::collections::{BTreeSet, HashMap};

use service_support::{DbError, Row, placeholders};

use super::{Batch, Hit, Place, Searched};
use crate::app::App;
use crate::text::postings::{self, LENGTHS};
use crate::text::{CHUNKS_PER_PART, Collection, Postings, TermCount, Wanted, coverage, relevance};

/// Longer queries are searched by their first words.
const MAX_WORDS: usize = 64;

/// A word of a query, in the forms that it may have, and its weight beside the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) forms: Wanted,
    pub(super) weight: f64,
}

impl App {
    /// Scores every chunk that holds one of the words.
    pub(super) async fn search_words(
        &self,
        materials: &[Searched],
        mut words: Vec<Word>,
    ) -> Result<Vec<Hit>, DbError> {
        words.truncate(MAX_WORDS);
        let chunks = materials.iter().map(|material| u64::from(material.chunks)).sum::<u64>();
        let terms = materials.iter().map(|material| material.terms).sum::<u64>();
        if words.is_empty() || chunks == 0 {
            return Ok(Vec::new());
        }
        let mut counts = Counts { words, chunks: HashMap::new() };
        for batch in super::batches(materials) {
            for (nodes, members) in by_nodes(materials, &batch) {
                match nodes {
                    Some(nodes) => self.count_indexed(materials, &members, nodes, &mut counts).await?,
                    None => self.count_texts(materials, &members, &mut counts).await?,
                }
            }
        }
        let collection = Collection { chunks, average_terms: terms as f64 / chunks as f64 };
        // A common word in a large course is many chunks to score.
        let scored = tokio::task::spawn_blocking(move || counts.score(collection)).await;
        scored.map_err(|panic| damaged(&panic.to_string()))
    }

    async fn count_indexed(
        &self,
        materials: &[Searched],
        members: &[usize],
        nodes: u32,
        counts: &mut Counts,
    ) -> Result<(), DbError> {
        let forms = counts.words.iter().flat_map(|word| &word.forms);
        let mut wanted: BTreeSet<u32> = forms.map(|form| postings::node(form, nodes)).collect();
        wanted.insert(LENGTHS);
        let sql = format!(
            "SELECT material_id, run, node, part, terms FROM material_terms WHERE material_id IN ({}) AND node IN ({}) \
             ORDER BY material_id, run, node, part",
            placeholders(1, members.len()),
            placeholders(1 + members.len(), wanted.len()),
        );
        let mut params: Vec<_> = members.iter().map(|at| materials[*at].id.as_str().into()).collect();
        params.extend(wanted.iter().map(|node| (*node).into()));
        let rows = self.db.read(sql, params).await?;
        let known: HashMap<&str, usize> =
            members.iter().map(|at| (materials[*at].id.as_str(), *at)).collect();
        // The lengths of a material's chunks come before their terms.
        let mut lengths: HashMap<(usize, u32), Vec<u32>> = HashMap::new();
        for row in &rows {
            let row = IndexRow::read(row)?;
            let Some(at) = known.get(row.material_id.as_str()).copied() else { continue };
            if materials[at].run != row.run {
                continue;
            }
            if row.node == LENGTHS {
                let read = postings::lengths(&row.terms).ok_or_else(|| damaged("lengths"))?;
                lengths.insert((at, row.part), read);
            } else if let Some(lengths) = lengths.get(&(at, row.part)) {
                counts.add(at, row.part, lengths, &row.terms)?;
            }
        }
        Ok(())
    }

    /// Materials that an older release indexed, until their turn comes: their texts are read.
    async fn count_texts(
        &self,
        materials: &[Searched],
        members: &[usize],
        counts: &mut Counts,
    ) -> Result<(), DbError> {
        for at in members {
            let material = &materials[*at];
            for (part, first) in (0_u32..).zip((0..material.chunks).step_by(CHUNKS_PER_PART as usize)) {
                let texts = self.chunk_texts(&material.id, material.run, first, CHUNKS_PER_PART).await?;
                let indexed = tokio::task::spawn_blocking(move || {
                    Postings::of(texts.iter().map(|(_, text)| text.as_str())).0.rows(1)
                })
                .await;
                let rows = indexed.map_err(|panic| damaged(&panic.to_string()))?;
                let lengths = rows.get(&LENGTHS).and_then(|row| postings::lengths(row)).unwrap_or_default();
                for (_, terms) in rows.iter().filter(|(node, _)| **node != LENGTHS) {
                    counts.add(*at, part, &lengths, terms)?;
                }
            }
        }
        Ok(())
    }
}

/// The materials of a batch, by the number of nodes that their indexes have.
fn by_nodes(materials: &[Searched], batch: &Batch) -> HashMap<Option<u32>, Vec<usize>> {
    let mut groups: HashMap<Option<u32>, Vec<usize>> = HashMap::new();
    // A long material is one batch of many for its vectors; its index is read once.
    for at in batch.materials.clone().filter(|_| batch.numbers.start == 0) {
        groups.entry(materials[at].nodes).or_default().push(at);
    }
    groups
}

struct IndexRow {
    material_id: String,
    run: u32,
    node: u32,
    part: u32,
    terms: Vec<u8>,
}

impl IndexRow {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            material_id: row.get("material_id")?,
            run: row.get("run")?,
            node: row.get("node")?,
            part: row.get("part")?,
            terms: row.get("terms")?,
        })
    }
}

fn damaged(reason: &str) -> DbError {
    DbError::Column { column: "terms".into(), reason: format!("the index is damaged: {reason}") }
}

/// For each chunk, its length and how often each word is in it.
struct Counts {
    words: Vec<Word>,
    chunks: HashMap<Place, (u32, Vec<(usize, u32)>)>,
}

impl Counts {
    fn add(&mut self, at: usize, part: u32, lengths: &[u32], terms: &[u8]) -> Result<(), DbError> {
        let word_of = |term: &[u8]| {
            self.words.iter().position(|word| word.forms.iter().any(|form| form.as_bytes() == term))
        };
        let found = postings::find(terms, |term| word_of(term).is_some()).ok_or_else(|| damaged("terms"))?;
        for (term, postings) in found {
            let Some(word) = word_of(&term) else { continue };
            for posting in postings {
                let place = Place { material: at, number: part * CHUNKS_PER_PART + posting.chunk };
                let length = lengths.get(posting.chunk as usize).copied().unwrap_or_default();
                let (_, held) = self.chunks.entry(place).or_insert_with(|| (length, Vec::new()));
                match held.iter_mut().find(|(other, _)| *other == word) {
                    Some((_, count)) => *count += posting.count,
                    None => held.push((word, posting.count)),
                }
            }
        }
        Ok(())
    }

    fn score(self, collection: Collection) -> Vec<Hit> {
        let mut holding = vec![0_u64; self.words.len()];
        for (word, _) in self.chunks.values().flat_map(|(_, held)| held) {
            holding[*word] += 1;
        }
        let none = self.words.iter().zip(&holding);
        let none: Vec<TermCount> = none
            .map(|(word, chunks)| TermCount { in_chunk: 0, chunks: *chunks, weight: word.weight })
            .collect();
        let hit = |(place, (length, held)): (Place, (u32, Vec<(usize, u32)>))| {
            let mut counted = none.clone();
            for (word, count) in held {
                counted[word].in_chunk = count;
            }
            Hit {
                place,
                score: relevance(&counted, length, collection),
                coverage: coverage(&counted, collection),
                likeness: 0.0,
            }
        };
        self.chunks.into_iter().map(hit).collect()
    }
}
