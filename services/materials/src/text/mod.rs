//! The words of search, as pure functions: pieces to index, terms to look for, the relevance of a piece for
//! a query, and the passage to show.

mod chunks;
mod excerpt;
mod language;
pub(crate) mod postings;
mod rank;
mod sentences;
mod terms;
mod vector;

pub use chunks::{CHUNK_TOKENS, OVERLAP_TOKENS, chunk_ranges, chunks};
pub use excerpt::excerpt;
pub use language::{Language, Languages};
pub(crate) use postings::{CHUNKS_PER_PART, Postings};
pub use rank::{Collection, TermCount, bm25, coverage, relevance};
pub(crate) use sentences::sentences;
pub use terms::{Token, Tokens, Wanted, query, tokens, tokens_in};
pub(crate) use vector::{scaled, similarity, unit};
