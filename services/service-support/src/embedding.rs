use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::Clock;
use serde::Deserialize;
use serde_json::json;

use crate::config::EmbeddingConfig;
use crate::provider::{Provider, ProviderError};

/// Turns texts into vectors. Vectors of two models have nothing to do with each other.
#[async_trait]
pub trait Embedder: Debug + Send + Sync + 'static {
    /// The model's name, stored with every vector.
    fn model(&self) -> &str;

    /// One vector for each text, in order, all of one length, of finite numbers.
    ///
    /// # Errors
    /// Fails if the server fails, refuses or answers with something else.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ProviderError>;
}

/// A client of an OpenAI-compatible `/embeddings`.
#[derive(Clone, Debug)]
pub struct OpenAiEmbedder {
    provider: Provider,
    config: EmbeddingConfig,
}

/// The number of texts in one request.
const BATCH: usize = 64;
/// For one request.
const TIMEOUT: Duration = Duration::from_secs(60);
/// 64 vectors of 4,096 numbers in JSON are about 6 MB.
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;

impl OpenAiEmbedder {
    /// Prepares a client; nothing is contacted yet.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(config: &EmbeddingConfig, max_wait: Duration, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("embedding provider", TIMEOUT, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, config: config.clone() })
    }

    async fn embed_batch(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ProviderError> {
        let url = format!("{}/embeddings", self.config.base_url);
        let body = json!({ "model": self.config.model, "input": texts, "encoding_format": "float" });
        let mut request = self.provider.client().post(url).json(&body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key);
        }
        let reply = self.provider.send(request).await?;
        let mut reply: Vectors = serde_json::from_slice(&reply.body)
            .map_err(|e| self.provider.bad_reply(format!("the reply is not a list of embeddings: {e}")))?;
        // The protocol numbers them and does not promise their order.
        reply.data.sort_by_key(|vector| vector.index);
        let vectors: Vec<Vec<f32>> = reply.data.into_iter().map(|vector| vector.embedding).collect();
        check(&self.provider, &vectors, texts.len())?;
        Ok(vectors)
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn model(&self) -> &str {
        &self.config.model
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ProviderError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            vectors.extend(self.embed_batch(batch).await?);
        }
        check(&self.provider, &vectors, texts.len())?;
        Ok(vectors)
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

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default)]
    index: usize,
    embedding: Vec<f32>,
}
