use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use longhaul::Clock;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;

use crate::config::AiBrainConfig;
use crate::embedding::{Embedder, average, check};
use crate::llm::Tokens;
use crate::provider::{Cause, Provider, ProviderError};

/// A client of the AI Brain service: it reads scans and pictures, and embeds texts.
#[derive(Clone, Debug)]
pub struct AiBrain {
    provider: Provider,
    endpoint: String,
    /// For a whole call.
    pub timeout: Duration,
}

/// A picture to be read.
#[derive(Clone, Debug)]
pub enum Picture<'a> {
    /// A file, which is streamed and never held whole.
    File(&'a Path),
    /// The bytes of a picture that has just been drawn.
    Bytes(Vec<u8>),
}

/// A scan of hundreds of pages is a few megabytes of text.
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;
/// Common servers take URLs of 8 KB, some proxies of 2 KB.
const MAX_QUERY_BYTES: usize = 1_500;
/// The beginning of a reply that is no text.
const ERROR_PREFIX: &str = "Error processing file:";
const PROMPT: &str = "Extract all text from this document, in reading order and in its own language. Reply with the text alone.";

impl AiBrain {
    /// The limit key of jobs that ask it.
    pub const LIMIT_KEY: &str = "provider:ai-brain";

    /// Prepares a client; nothing is contacted yet.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(config: &AiBrainConfig, max_wait: Duration, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("AI Brain", config.timeout, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, endpoint: config.endpoint.clone(), timeout: config.timeout })
    }

    /// Asks whether the service answers at all; a status below 500 is an answer, because not every version has the
    /// route.
    ///
    /// # Errors
    /// Fails if it does not.
    pub async fn check_health(&self) -> Result<(), ProviderError> {
        let request = self.provider.client().get(format!("{}/health", self.endpoint));
        match self.provider.send(request.timeout(Duration::from_secs(5).min(self.timeout))).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.cause, Cause::Status(status) if status < 500) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads the text of a scan or a picture, which goes under `name` and with its media type.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or the service fails or says that it could not read it.
    pub async fn read_text(
        &self,
        picture: Picture<'_>,
        name: &str,
        mime: &str,
    ) -> Result<String, ProviderError> {
        let image = match picture {
            Picture::File(path) => Part::file(path)
                .await
                .map_err(|e| self.setup(format!("failed to read {}: {e}", path.display())))?,
            Picture::Bytes(bytes) => Part::bytes(bytes),
        };
        let image = image
            .file_name(name.to_owned())
            .mime_str(mime)
            .map_err(|e| self.setup(format!("'{mime}' is no media type: {e}")))?;
        let form = Form::new().text("prompt", PROMPT).part("image", image);
        let request = self.provider.client().post(format!("{}/router", self.endpoint)).multipart(form);
        let reply = self.provider.send(request).await?;
        let reply: Routed = serde_json::from_slice(&reply.body)
            .map_err(|e| self.provider.unreadable(&reply.body, "the reply holds no text", &e))?;
        if reply.response.trim_start().starts_with(ERROR_PREFIX) {
            return Err(self.provider.bad_reply(reply.response.trim().chars().take(300).collect::<String>()));
        }
        Ok(reply.response)
    }

    async fn embed_piece(&self, text: &str) -> Result<Vec<f32>, ProviderError> {
        let url = format!("{}/utility/embed", self.endpoint);
        let reply = self.provider.send(self.provider.client().post(url).query(&[("text", text)])).await?;
        let reply: Embedded = serde_json::from_slice(&reply.body)
            .map_err(|e| self.provider.unreadable(&reply.body, "the reply holds no embedding", &e))?;
        Ok(reply.embedding)
    }

    fn setup(&self, message: String) -> ProviderError {
        ProviderError::new(self.provider.name(), Cause::Setup, message)
    }
}

#[async_trait]
impl Embedder for AiBrain {
    /// The service does not tell which model it runs.
    fn model(&self) -> &str {
        "ai-brain"
    }

    fn limit_key(&self) -> Option<&str> {
        Some(Self::LIMIT_KEY)
    }

    /// It counts no tokens.
    async fn embed_counting(
        &self,
        texts: &[String],
        _tokens: &Tokens,
    ) -> Result<Vec<Option<Vec<f32>>>, ProviderError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let mut pieces = Vec::new();
            for piece in url_pieces(text) {
                pieces.push((piece.len(), self.embed_piece(piece).await?));
            }
            let numbers: Vec<Vec<f32>> = pieces.iter().map(|(_, vector)| vector.clone()).collect();
            check(&self.provider, &numbers, pieces.len())?;
            vectors.push(average(&pieces));
        }
        check(&self.provider, &vectors, texts.len())?;
        Ok(vectors.into_iter().map(Some).collect())
    }
}

/// Cuts a text into pieces whose encoded form fits a URL, between words where there are any. At least one piece.
fn url_pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    loop {
        let (mut bytes, mut cut, mut space) = (0, rest.len(), None);
        for (at, character) in rest.char_indices() {
            bytes += encoded_len(character);
            if bytes > MAX_QUERY_BYTES {
                cut = space.unwrap_or(at);
                break;
            }
            if character.is_whitespace() {
                space = Some(at).filter(|at| *at > 0);
            }
        }
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece.trim());
        rest = after.trim_start();
        if rest.is_empty() {
            return pieces;
        }
    }
}

/// The bytes that a character takes in a query string.
fn encoded_len(character: char) -> usize {
    if character.is_ascii_alphanumeric() || character == ' ' { 1 } else { 3 * character.len_utf8() }
}

#[derive(Deserialize)]
struct Routed {
    response: String,
}

#[derive(Deserialize)]
struct Embedded {
    embedding: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_a_url_and_hold_the_whole_text() {
        for text in ["word ".repeat(2_000), "x".repeat(5_000), "水".repeat(1_000), "one".into()] {
            let pieces = url_pieces(&text);
            for piece in &pieces {
                assert!(!piece.is_empty());
                assert!(piece.chars().map(encoded_len).sum::<usize>() <= MAX_QUERY_BYTES);
            }
            let joined: String = pieces.concat().split_whitespace().collect();
            assert_eq!(joined, text.split_whitespace().collect::<String>());
        }
    }
}
