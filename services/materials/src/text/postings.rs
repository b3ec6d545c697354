use std::collections::BTreeMap;

use super::{Languages, tokens};

/// The index of some chunks: for each term, the chunks that hold it and how often. Kept as rows of bytes, each with the
/// terms of one `node`: a term's node is given by its letters, so that a search reads a row a term and part, and
/// there are as many nodes as make the rows about a kilobyte long. A term is written as what differs from the one
/// before it; so an index is about as long as its text, where each word is another one, and much shorter elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Postings {
    terms: BTreeMap<String, Vec<Posting>>,
    /// The number of terms of each chunk.
    lengths: Vec<u32>,
}

/// A chunk that holds a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    /// The place of the chunk in its part.
    pub(crate) chunk: u32,
    pub(crate) count: u32,
}

/// The number of chunks that are indexed together, which bounds memory.
pub(crate) const CHUNKS_PER_PART: u32 = 512;
/// The node of the chunks' lengths; those of terms begin with 1.
pub(crate) const LENGTHS: u32 = 0;
/// Terms of a node, roughly.
const TERMS_PER_NODE: usize = 128;
const MAX_NODES: usize = 1 << 16;

impl Postings {
    /// The index of chunks that follow one another, and the languages that they are written in.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> (Self, Languages) {
        let (mut postings, mut languages) = (Self::default(), Languages::default());
        for text in texts {
            let found = tokens(text);
            languages.insert(found.language);
            postings.push(found.tokens.into_iter().map(|token| token.term));
        }
        (postings, languages)
    }

    /// Adds the next chunk.
    fn push(&mut self, terms: impl Iterator<Item = String>) {
        let chunk = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let mut length = 0;
        for term in terms {
            length += 1;
            let postings = self.terms.entry(term).or_default();
            match postings.last_mut() {
                Some(last) if last.chunk == chunk => last.count += 1,
                _ => postings.push(Posting { chunk, count: 1 }),
            }
        }
        self.lengths.push(length);
    }

    /// The number of terms in all chunks.
    pub(crate) fn total(&self) -> u64 {
        self.lengths.iter().copied().map(u64::from).sum()
    }

    /// The number of nodes that suits it: a power of two.
    pub(crate) fn nodes(&self) -> u32 {
        let nodes = self.terms.len().div_ceil(TERMS_PER_NODE).next_power_of_two().min(MAX_NODES);
        u32::try_from(nodes).unwrap_or(1)
    }

    /// Its rows, each with its node.
    pub(crate) fn rows(&self, nodes: u32) -> BTreeMap<u32, Vec<u8>> {
        let mut rows: BTreeMap<u32, (Vec<u8>, &str)> = BTreeMap::new();
        for (term, postings) in &self.terms {
            let (row, before) = rows.entry(node(term, nodes)).or_default();
            let shared = term.bytes().zip(before.bytes()).take_while(|(a, b)| a == b).count();
            write(row, shared as u64);
            write(row, (term.len() - shared) as u64);
            row.extend_from_slice(&term.as_bytes()[shared..]);
            write(row, postings.len() as u64);
            let mut last = 0;
            for posting in postings {
                // Most terms are once in a chunk: that is a bit and not a number.
                let is_more = posting.count > 1;
                write(row, u64::from(posting.chunk - last) << 1 | u64::from(is_more));
                if is_more {
                    write(row, u64::from(posting.count));
                }
                last = posting.chunk;
            }
            *before = term;
        }
        let mut rows: BTreeMap<u32, Vec<u8>> = rows.into_iter().map(|(node, (row, _))| (node, row)).collect();
        let lengths = rows.entry(LENGTHS).or_default();
        for length in &self.lengths {
            write(lengths, u64::from(*length));
        }
        rows
    }
}

/// The node of a term among `nodes`, which is a power of two.
pub(crate) fn node(term: &str, nodes: u32) -> u32 {
    // FNV-1a: it is stored, so it must be the same in every release.
    let hash = term.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = u32::try_from((hash ^ (hash >> 32)) & u64::from(u32::MAX)).unwrap_or_default();
    LENGTHS + 1 + (mixed & (nodes.max(1) - 1))
}

/// The postings of those terms of a row that are looked for; `None` where the row is damaged.
pub(crate) fn find(row: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<(Vec<u8>, Vec<Posting>)>> {
    let mut rest = row;
    let mut term = Vec::new();
    let mut found = Vec::new();
    while !rest.is_empty() {
        term.truncate(number(&mut rest)?);
        let length = number(&mut rest)?;
        let (added, after) = rest.split_at_checked(length)?;
        term.extend_from_slice(added);
        rest = after;
        let count: usize = number(&mut rest)?;
        let is_wanted = wanted(&term);
        let mut postings = Vec::new();
        let mut chunk = 0_u32;
        for _ in 0..count {
            let step: u32 = number(&mut rest)?;
            chunk = chunk.checked_add(step >> 1)?;
            let count = if step & 1 == 1 { number(&mut rest)? } else { 1 };
            if is_wanted {
                postings.push(Posting { chunk, count });
            }
        }
        if is_wanted {
            found.push((term.clone(), postings));
        }
    }
    Some(found)
}

/// The lengths of a part's chunks; `None` where the row is damaged.
pub(crate) fn lengths(row: &[u8]) -> Option<Vec<u32>> {
    let mut rest = row;
    let mut lengths = Vec::new();
    while !rest.is_empty() {
        lengths.push(number(&mut rest)?);
    }
    Some(lengths)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn write(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
}

fn number<T: TryFrom<u64>>(rest: &mut &[u8]) -> Option<T> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return T::try_from(number).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn indexed(chunks: &[Vec<String>]) -> Postings {
        let mut postings = Postings::default();
        for terms in chunks {
            postings.push(terms.iter().cloned());
        }
        postings
    }

    #[test]
    fn an_index_of_distinct_words_is_about_as_long_as_they_are() {
        let words: Vec<String> =
            (0..50_000_u32).map(|n| format!("w{:07x}", n.wrapping_mul(2_654_435_761))).collect();
        let text: usize = words.iter().map(|word| word.len() + 1).sum();
        let postings = indexed(&words.chunks(300).map(<[String]>::to_vec).collect::<Vec<_>>());
        let rows = postings.rows(postings.nodes());
        let bytes: usize = rows.values().map(Vec::len).sum();
        assert!(bytes < text * 3 / 2, "{bytes} bytes for {text}");
        assert!(rows.values().all(|row| row.len() < 4_000));
    }

    #[test]
    fn a_damaged_row_is_no_panic() {
        assert_eq!(find(&[0x80], |_| true), None);
        assert_eq!(find(&[0, 200, 1], |_| true), None);
        assert_eq!(find(&[0; 3], |_| true), Some(vec![(vec![], vec![])]));
        assert_eq!(lengths(&[0xff; 12]), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_found_again(chunks in prop::collection::vec(prop::collection::vec("[a-c光]{1,4}", 0..12), 1..6)) {
            let postings = indexed(&chunks);
            for nodes in [1, 4] {
                let rows = postings.rows(nodes);
                let all: Vec<u32> = chunks.iter().map(|terms| terms.len() as u32).collect();
                prop_assert_eq!(lengths(&rows[&LENGTHS]).unwrap(), all);
                for term in chunks.iter().flatten() {
                    let found = find(&rows[&node(term, nodes)], |other| other == term.as_bytes()).unwrap();
                    let by_hand: Vec<Posting> = (0..)
                        .zip(&chunks)
                        .map(|(chunk, terms)| Posting { chunk, count: terms.iter().filter(|t| *t == term).count() as u32 })
                        .filter(|posting| posting.count > 0)
                        .collect();
                    prop_assert_eq!(&found, &[(term.clone().into_bytes(), by_hand)]);
                }
            }
        }
    }
}
