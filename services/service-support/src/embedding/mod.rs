//! Texts as vectors, from a server or from a small model of our own.

mod local;
mod server;

pub use local::LocalEmbedder;
pub use server::OpenAiEmbedder;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::llm::Tokens;
use crate::provider::{Provider, ProviderError};

/// Turns texts into vectors. Vectors of two models have nothing to do with each other.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// The model's name, stored with every vector.
    fn model(&self) -> &str;

    /// The limit key of jobs that it embeds for; `None` where it asks nobody.
    fn limit_key(&self) -> Option<&str> {
        None
    }

    /// The cosines that its vectors make of texts.
    fn likeness(&self) -> Likeness {
        Likeness::default()
    }

    /// One vector for each text, in order, all of one length, of finite numbers. `None` for a text that the model does
    /// not take even in parts: one such text is not the end of a document.
    ///
    /// # Errors
    /// Fails if the server fails, refuses or answers with something else.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Option<Vec<f32>>>, ProviderError> {
        self.embed_counting(texts, &Tokens::default()).await
    }

    /// The same, with the tokens counted that a server took for it.
    ///
    /// # Errors
    /// As for [`embed`](Self::embed).
    async fn embed_counting(
        &self,
        texts: &[String],
        tokens: &Tokens,
    ) -> Result<Vec<Option<Vec<f32>>>, ProviderError>;
}

/// The meaning of a model's cosines, which no two models share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// Below it, two texts have nothing to do with each other.
    pub related: f64,
    /// From it on, a passage speaks of what a question asks.
    pub answering: f64,
}

/// For a model of which nothing is known: none of its cosines means that nothing fits, and a high one that something does.
impl Default for Likeness {
    fn default() -> Self {
        Self { related: 0.0, answering: 0.6 }
    }
}

/// A vector of another length, or with a NaN in it, would poison every comparison that it takes part in.
pub(crate) fn check(provider: &Provider, vectors: &[Vec<f32>], expected: usize) -> Result<(), ProviderError> {
    if vectors.len() != expected {
        return Err(provider.bad_reply(format!("{} vectors came for {expected} texts", vectors.len())));
    }
    let dimension = vectors.first().map_or(0, Vec::len);
    let sound = |vector: &Vec<f32>| {
        !vector.is_empty() && vector.len() == dimension && vector.iter().all(|number| number.is_finite())
    };
    if vectors.iter().all(sound) { Ok(()) } else { Err(provider.bad_reply("the vectors are not sound")) }
}

/// The mean of the vectors of a text's pieces, each weighing as much as its piece is long.
pub(crate) fn average(pieces: &[(usize, Vec<f32>)]) -> Vec<f32> {
    let total: usize = pieces.iter().map(|(length, _)| length).sum();
    let mut mean = vec![0.0; pieces.first().map_or(0, |(_, vector)| vector.len())];
    for (length, vector) in pieces {
        let weight = *length as f32 / total.max(1) as f32;
        for (sum, number) in mean.iter_mut().zip(vector) {
            *sum += number * weight;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn a_longer_piece_weighs_more() {
        assert_eq!(average(&[(3, vec![1.0, 0.0]), (1, vec![0.0, 1.0])]), [0.75, 0.25]);
    }
}
