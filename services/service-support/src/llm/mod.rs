//! Texts written by a model, or by the outline where none is configured.

mod asking;
mod chat;
mod json;
mod outline;
mod reading;
mod reasoning;
mod relaxed;
mod reply;
mod schema;
pub(crate) mod sse;
mod tokens;

pub use asking::Asking;
pub use chat::{ChatClient, ChatRequest, JsonSchema};
pub use outline::Outline;
pub use tokens::Tokens;
pub(crate) use tokens::usage;

use std::fmt::Debug;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::provider::ProviderError;

/// Writes the texts that services need. A caller does not know whether a model or the outline does it, except by
/// [`generator`](Self::generator), which is stored with the text.
#[async_trait]
pub trait Composer: Debug + Send + Sync + 'static {
    /// The writer: the model's name, or `outline`.
    fn generator(&self) -> &str;

    /// The limit key of jobs whose texts it writes; `None` where it asks nobody.
    fn limit_key(&self) -> Option<&str> {
        None
    }

    /// Writes a draft out, piece by piece as it is written; where the draft's request has a schema, the whole
    /// is for [`Asking::read`].
    ///
    /// # Errors
    /// A failed model is a failure, now or within the stream; the outline never stands in for it.
    async fn write(&self, draft: &dyn Draft) -> Result<TextStream, ProviderError>;

    /// The same as [`write`](Self::write), whole.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    async fn write_whole(&self, draft: &dyn Draft) -> Result<String, ProviderError> {
        let mut pieces = self.write(draft).await?;
        let mut text = String::new();
        while let Some(piece) = pieces.next().await {
            text.push_str(&piece?);
        }
        Ok(text)
    }
}

/// A text that a service wants written: the request to a model, and the text that stands in for the reply where there
/// is none. A service has one for each sort of text that it needs.
pub trait Draft: Send + Sync {
    /// The request to a model.
    fn request(&self) -> ChatRequest;

    /// The text without a model, from the request and its sources alone: worth reading, always the same for
    /// the same request, and in the form of the request's schema where that has one.
    fn outline(&self) -> String;

    /// Counts the tokens that the text takes; by default nobody asks for them.
    fn meter(&self) -> Tokens {
        Tokens::default()
    }
}

/// Pieces of a text, in order.
pub type TextStream = BoxStream<'static, Result<String, ProviderError>>;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The speaker.
    pub role: MessageRole,
    /// The words.
    pub content: String,
}

/// A speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Sets the rules.
    System,
    /// Asks.
    User,
    /// Answers.
    Assistant,
}
