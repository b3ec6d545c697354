//! What search does with words, as pure functions: pieces to index, terms to look for, how well a piece answers
//! a query, and the passage to show.

mod chunks;
mod excerpt;
mod rank;
mod terms;

pub use chunks::{CHUNK_WORDS, OVERLAP_WORDS, chunks};
pub use excerpt::excerpt;
pub use rank::{Collection, TermCount, bm25, relevance};
pub use terms::{Token, terms, tokens};
