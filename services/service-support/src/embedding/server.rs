use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use longhaul::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Embedder, average, check};
use crate::config::EmbeddingConfig;
use crate::limits::provider_key;
use crate::llm::{Tokens, usage};
use crate::provider::{Cause, Provider, ProviderError};

/// A client of an OpenAI-compatible `/embeddings`. A batch that the server refuses is halved, and the size that it
/// took is kept from then on; a text that it refuses alone is sent in two halves.
#[derive(Clone, Debug)]
pub struct OpenAiEmbedder {
    provider: Provider,
    config: EmbeddingConfig,
    limit_key: String,
    learned: Arc<Learned>,
}

/// The facts that the server has shown of itself.
#[derive(Debug)]
struct Learned {
    /// The most texts that it takes at once.
    batch: AtomicUsize,
    /// It has answered with a vector.
    has_answered: AtomicBool,
}

type Vectors = Vec<Option<Vec<f32>>>;

/// The vectors of a batch.
struct Taken {
    vectors: Vectors,
    /// The number of its texts that were refused by themselves.
    odd: usize,
}

/// The number of texts in one request, unless the server takes fewer.
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
        let learned = Learned { batch: AtomicUsize::new(BATCH), has_answered: AtomicBool::new(false) };
        let limit_key = provider_key(&config.provider);
        Ok(Self { provider, config: config.clone(), limit_key, learned: Arc::new(learned) })
    }

    /// Embeds a batch, in halves where the server does not take it whole.
    fn embed_batch<'a>(
        &'a self,
        texts: &'a [String],
        tokens: &'a Tokens,
    ) -> BoxFuture<'a, Result<Taken, ProviderError>> {
        async move {
            let refusal = match self.ask(texts, tokens).await {
                Ok(vectors) => {
                    return Ok(Taken { vectors: vectors.into_iter().map(Some).collect(), odd: 0 });
                }
                Err(error) => error,
            };
            match texts {
                [text] if blames_the_texts(&refusal) => {
                    let vector = self.embed_parts(text, refusal, tokens).await?;
                    Ok(Taken { vectors: vec![vector], odd: 1 })
                }
                [] | [_] => Err(refusal),
                _ if blames_the_texts(&refusal) || may_be_the_size(&refusal) => {
                    let (left, right) = texts.split_at(texts.len().div_ceil(2));
                    let (mut taken, rest) =
                        (self.embed_batch(left, tokens).await?, self.embed_batch(right, tokens).await?);
                    taken.vectors.extend(rest.vectors);
                    taken.odd += rest.odd;
                    // Where a text is odd by itself, that was the reason and not the size.
                    if taken.odd == 0 {
                        self.learned.batch.fetch_min(left.len(), Ordering::Relaxed);
                    }
                    Ok(taken)
                }
                _ => Err(refusal),
            }
        }
        .boxed()
    }

    /// A text that is too long fits in two parts. One that is refused even so has no vector, if the server takes
    /// others: else it is the server, or its settings, that is at fault.
    async fn embed_parts(
        &self,
        text: &str,
        refusal: ProviderError,
        tokens: &Tokens,
    ) -> Result<Option<Vec<f32>>, ProviderError> {
        if let Some((left, right)) = halves(text) {
            match self.ask(&[left.to_owned(), right.to_owned()], tokens).await {
                Ok(vectors) => {
                    let parts: Vec<(usize, Vec<f32>)> =
                        [left.len(), right.len()].into_iter().zip(vectors).collect();
                    return Ok(Some(average(&parts)));
                }
                Err(error) if blames_the_texts(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let is_known = self.learned.has_answered.load(Ordering::Relaxed);
        if is_known || self.ask(&["text".to_owned()], tokens).await.is_ok() {
            tracing::warn!("a text of {} bytes has no embedding: {refusal}", text.len());
            return Ok(None);
        }
        Err(refusal)
    }

    async fn ask(&self, texts: &[String], tokens: &Tokens) -> Result<Vec<Vec<f32>>, ProviderError> {
        let url = format!("{}/embeddings", self.config.base_url);
        let body = json!({ "model": self.config.model, "input": texts, "encoding_format": "float" });
        let mut request = self.provider.client().post(url).json(&body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key);
        }
        let reply = self.provider.send(request).await?;
        let mut reply: Listed = serde_json::from_slice(&reply.body).map_err(|e| {
            self.provider.unreadable(&reply.body, "the reply is not a list of embeddings", &e)
        })?;
        let sent = || texts.iter().map(|text| Tokens::of(text)).sum();
        tokens.add(usage(&reply.usage).unwrap_or_else(sent));
        // The protocol numbers them and does not promise their order.
        reply.data.sort_by_key(|vector| vector.index.unwrap_or_default());
        let vectors: Vec<Vec<f32>> = reply.data.into_iter().map(|vector| vector.embedding).collect();
        check(&self.provider, &vectors, texts.len())?;
        self.learned.has_answered.store(true, Ordering::Relaxed);
        Ok(vectors)
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn model(&self) -> &str {
        &self.config.model
    }

    fn limit_key(&self) -> Option<&str> {
        Some(&self.limit_key)
    }

    async fn embed_counting(&self, texts: &[String], tokens: &Tokens) -> Result<Vectors, ProviderError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let size = self.learned.batch.load(Ordering::Relaxed).clamp(1, rest.len());
            let (batch, after) = rest.split_at(size);
            vectors.extend(self.embed_batch(batch, tokens).await?.vectors);
            rest = after;
        }
        let lengths: Vec<usize> = vectors.iter().flatten().map(Vec::len).collect();
        if lengths.iter().any(|length| *length != lengths[0]) {
            return Err(self.provider.bad_reply("the vectors are not all of one length"));
        }
        Ok(vectors)
    }
}

/// True for a refusal that another text, or fewer of them, might not meet.
fn blames_the_texts(error: &ProviderError) -> bool {
    matches!(error.cause, Cause::Status(400 | 413 | 422) | Cause::TooLarge)
}

/// True for a failure that some servers answer a large batch with.
fn may_be_the_size(error: &ProviderError) -> bool {
    matches!(error.cause, Cause::Status(500) | Cause::Timeout)
}

/// Both halves of a text, cut at a space where there is one near enough.
fn halves(text: &str) -> Option<(&str, &str)> {
    let middle = text.floor_char_boundary(text.len() / 2);
    let near = text.floor_char_boundary(text.len() / 4);
    let cut = text[near..middle].rfind(char::is_whitespace).map_or(middle, |at| near + at);
    let (left, right) = text.split_at(cut);
    let is_text = |part: &str| !part.trim().is_empty();
    (is_text(left) && is_text(right)).then_some((left, right))
}

#[derive(Deserialize)]
struct Listed {
    data: Vec<Numbered>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Numbered {
    /// Null is as good as absent.
    index: Option<usize>,
    embedding: Vec<f32>,
}
