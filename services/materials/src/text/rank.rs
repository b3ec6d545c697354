/// The frequency of a query's term.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TermCount {
    /// In the chunk that is scored.
    pub in_chunk: u32,
    /// The number of chunks of the collection that hold it.
    pub chunks: u64,
    /// Its weight beside the query's other terms.
    pub weight: f64,
}

/// The chunks that are searched, which a chunk is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Collection {
    /// The number of chunks.
    pub chunks: u64,
    /// The average number of terms in a chunk.
    pub average_terms: f64,
}

/// Saturation: the higher, the longer more of the same term counts for more.
const K1: f64 = 1.2;
/// Length normalization: a long chunk's greater chance to hold a term is held against it.
const B: f64 = 0.75;

/// The share of one term of a query in the score of a chunk of `length` terms: Okapi BM25 with k1 = 1.2 and
/// b = 0.75. Never negative, and less than `rarity × 2.2`.
#[must_use]
pub fn bm25(term: TermCount, length: u32, collection: Collection) -> f64 {
    let frequency = f64::from(term.in_chunk);
    let average = collection.average_terms.max(1.0);
    let fair = frequency + K1 * (1.0 - B + B * f64::from(length) / average);
    term.weight * rarity(term.chunks, collection.chunks) * frequency * (K1 + 1.0) / fair
}

/// The relevance of a chunk for a query, from 0 (no term of it occurs) to 1 (which no chunk reaches): the sum of
/// [`bm25`] over the query's distinct terms, divided by the most that the same terms could add up to. A term that
/// occurs in no chunk weighs most of all, so a query of which half is nowhere scores half at best.
#[must_use]
pub fn relevance(terms: &[TermCount], length: u32, collection: Collection) -> f64 {
    let score: f64 = terms.iter().map(|term| bm25(*term, length, collection)).sum();
    let best: f64 = terms.iter().map(|term| weight(*term, collection) * (K1 + 1.0)).sum();
    if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 0.0 }
}

/// The share of a query's terms that a chunk holds, each weighed by how rare it is. A term that occurs nowhere weighs most.
#[must_use]
pub fn coverage(terms: &[TermCount], collection: Collection) -> f64 {
    let held =
        terms.iter().filter(|term| term.in_chunk > 0).map(|term| weight(*term, collection)).sum::<f64>();
    let all: f64 = terms.iter().map(|term| weight(*term, collection)).sum();
    if all > 0.0 { held / all } else { 0.0 }
}

fn weight(term: TermCount, collection: Collection) -> f64 {
    term.weight * rarity(term.chunks, collection.chunks)
}

/// The inverse document frequency, in the form that stays positive for a term that is nearly everywhere.
fn rarity(with: u64, all: u64) -> f64 {
    // Counts of chunks are far below what a float holds exactly.
    let (with, all) = (with as f64, all.max(with) as f64);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLLECTION: Collection = Collection { chunks: 1000, average_terms: 200.0 };

    fn term(in_chunk: u32, chunks: u64) -> TermCount {
        TermCount { in_chunk, chunks, weight: 1.0 }
    }

    #[test]
    fn a_score_is_what_the_formula_gives_by_hand() {
        // idf = ln(1 + 990.5/10.5), tf = 3·2.2 / (3 + 1.2·(0.25 + 0.75·100/200))
        let by_hand = (1.0_f64 + 990.5 / 10.5).ln() * (3.0 * 2.2) / (3.0 + 1.2 * (0.25 + 0.75 * 0.5));
        assert!((bm25(term(3, 10), 100, COLLECTION) - by_hand).abs() < 1e-12);
    }

    #[test]
    fn rare_terms_repeats_and_short_chunks_count_for_more() {
        assert!(bm25(term(1, 5), 200, COLLECTION) > bm25(term(1, 500), 200, COLLECTION));
        assert!(bm25(term(2, 5), 200, COLLECTION) > bm25(term(1, 5), 200, COLLECTION));
        assert!(bm25(term(1, 5), 100, COLLECTION) > bm25(term(1, 5), 400, COLLECTION));
        assert!(bm25(term(1, 1000), 200, COLLECTION) > 0.0);
    }

    #[test]
    fn a_query_that_is_half_nowhere_scores_half_at_best() {
        let whole = relevance(&[term(5, 10)], 200, COLLECTION);
        let half = relevance(&[term(5, 10), term(0, 0)], 200, COLLECTION);
        assert!(whole > 0.7 && half > 0.2 && half < 0.5, "{whole} {half}");
        assert_eq!(relevance(&[], 200, COLLECTION), 0.0);
        assert_eq!(relevance(&[term(0, 0)], 0, Collection { chunks: 0, average_terms: 0.0 }), 0.0);
    }

    #[test]
    fn coverage_counts_the_rare_words_for_more() {
        let half = coverage(&[term(1, 500), term(0, 1)], COLLECTION);
        assert!(half < 0.2, "{half}");
        assert!((coverage(&[term(3, 5), term(1, 5)], COLLECTION) - 1.0).abs() < 1e-9);
        assert_eq!(coverage(&[], COLLECTION), 0.0);
    }

    proptest! {
        #[test]
        fn relevance_is_between_zero_and_one(
            counts in prop::collection::vec((0_u32..1000, 0_u64..10_000), 0..8),
            length in 0_u32..10_000,
            chunks in 0_u64..10_000,
            average in 0.0_f64..1000.0,
        ) {
            let terms: Vec<_> = counts.into_iter().map(|(n, with)| term(n, with)).collect();
            let score = relevance(&terms, length, Collection { chunks, average_terms: average });
            prop_assert!((0.0..=1.0).contains(&score), "{}", score);
        }
    }
}
