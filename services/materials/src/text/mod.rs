//! The words of search, as pure functions: pieces to index, terms to look for, the relevance of a piece for
//! a query, and the passage to show.

mod chunks;
mod excerpt;
mod rank;
mod terms;

pub use chunks::{CHUNK_WORDS, OVERLAP_WORDS, chunk_ranges, chunks};
pub use excerpt::excerpt;
pub use rank::{Collection, TermCount, bm25, relevance};
pub use terms::{Token, terms, tokens};
