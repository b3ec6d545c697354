//! Texts written by a model, or by the outline where none is configured.

mod chat;
mod outline;
mod sse;

pub use chat::{ChatClient, ChatRequest, JsonSchema};
pub use outline::Outline;

use std::fmt::Debug;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::provider::ProviderError;

/// Writes the texts that services need, one method for each sort of text. Whoever calls does not know whether a
/// model or the outline does it, except by [`generator`](Self::generator), which is stored with the text.
#[async_trait]
pub trait Composer: Debug + Send + Sync + 'static {
    /// What made the text: the model's name, or `outline`.
    fn generator(&self) -> &str;

    /// Answers a question from sources, piece by piece as it is written.
    ///
    /// # Errors
    /// A failed model is a failure, now or within the stream; the outline never stands in for it.
    async fn answer(&self, question: &Question) -> Result<TextStream, ProviderError>;

    /// Writes a draft out, piece by piece as it is written; where the draft's request has a schema, the whole is JSON
    /// for [`read_json`](Self::read_json).
    ///
    /// # Errors
    /// As for [`answer`](Self::answer).
    async fn write(&self, draft: &dyn Draft) -> Result<TextStream, ProviderError>;

    /// Reads the JSON of a text that was [written](Self::write) for a schema: within a fence or a sentence too, where
    /// the model was not held to more.
    ///
    /// # Errors
    /// Where there is no JSON of that form in it: a failure like any other of the model.
    fn read_json(&self, text: &str) -> Result<serde_json::Value, ProviderError>;

    /// The same as [`answer`](Self::answer), whole.
    ///
    /// # Errors
    /// As for [`answer`](Self::answer).
    async fn answer_whole(&self, question: &Question) -> Result<String, ProviderError> {
        let mut pieces = self.answer(question).await?;
        let mut text = String::new();
        while let Some(piece) = pieces.next().await {
            text.push_str(&piece?);
        }
        Ok(text)
    }
}

/// A text that a service wants written: what a model is asked for, and what stands in for it where there is none.
/// A service has one for each sort of text that it needs.
pub trait Draft: Send + Sync {
    /// What a model is asked.
    fn request(&self) -> ChatRequest;

    /// What can be said without a model, from the request and its sources alone: worth reading, always the same for
    /// the same request, and in the form of the request's schema where that has one.
    fn outline(&self) -> String;
}

/// Pieces of a text, in order.
pub type TextStream = BoxStream<'static, Result<String, ProviderError>>;

/// A question to be answered from sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// What was said before, oldest first.
    pub history: Vec<Message>,
    /// What to answer from, best first.
    pub sources: Vec<Source>,
}

/// A passage to answer from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is from, for people.
    pub name: String,
    /// The passage.
    pub text: String,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: MessageRole,
    /// What is said.
    pub content: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRole {
    /// Who sets the rules.
    System,
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}
