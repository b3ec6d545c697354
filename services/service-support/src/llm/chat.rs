use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use longhaul::Clock;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::sse::Events;
use super::{Composer, Draft, Message, MessageRole, TextStream};
use crate::config::{JsonMode, LlmConfig};
use crate::provider::{Provider, ProviderError};

/// A client of an OpenAI-compatible chat server.
#[derive(Clone, Debug)]
pub struct ChatClient {
    provider: Provider,
    config: LlmConfig,
}

/// A conversation to be continued.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// The form that the reply must have, where it must be JSON.
    pub schema: Option<JsonSchema>,
}

/// The form of a JSON reply.
#[derive(Clone, Debug)]
pub struct JsonSchema {
    /// The name: letters, digits, `_` and `-`.
    pub name: &'static str,
    /// The JSON Schema.
    pub schema: Value,
}

/// A reply is text for people; a megabyte is a fault of the server.
const MAX_REPLY_BYTES: usize = 4 * 1024 * 1024;

impl ChatClient {
    /// Prepares a client; nothing is contacted yet.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(config: &LlmConfig, max_wait: Duration, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("LLM", config.timeout, MAX_REPLY_BYTES, max_wait, clock)?;
        Ok(Self { provider, config: config.clone() })
    }

    /// The reply, whole.
    ///
    /// # Errors
    /// Fails if the server fails, refuses or answers with something else.
    pub async fn complete(&self, request: &ChatRequest) -> Result<String, ProviderError> {
        let reply = self.provider.send(self.request(&self.body(request))).await?;
        let reply: Completion = serde_json::from_slice(&reply.body)
            .map_err(|e| self.provider.bad_reply(format!("the reply is not a chat completion: {e}")))?;
        let content = reply.choices.into_iter().next().and_then(|choice| choice.message.content);
        content
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| self.provider.bad_reply("the reply is empty"))
    }

    /// The reply as a value of the form that the request's schema describes.
    ///
    /// # Errors
    /// As for [`complete`](Self::complete), and where the reply has another form.
    pub async fn complete_json<T: DeserializeOwned>(
        &self,
        request: &ChatRequest,
    ) -> Result<T, ProviderError> {
        let text = self.complete(request).await?;
        let json = json_within(&text).ok_or_else(|| self.provider.bad_reply("the reply holds no JSON"))?;
        serde_json::from_str(json)
            .map_err(|e| self.provider.bad_reply(format!("the reply has another form than asked for: {e}")))
    }

    /// The reply piece by piece. A stream that ends before the server has said that the reply is complete ends in
    /// an error: a cut reply is never taken for a whole one.
    ///
    /// # Errors
    /// Fails if the server fails or refuses, before or within the stream.
    pub async fn stream(&self, request: &ChatRequest) -> Result<TextStream, ProviderError> {
        let mut body = self.body(request);
        body["stream"] = Value::Bool(true);
        let response = self.provider.open(self.request(&body)).await?;
        let events = Events::new(self.provider.clone(), Box::pin(self.provider.pieces(response)));
        Ok(Box::pin(stream::try_unfold(events, next_text)))
    }

    fn request(&self, body: &Value) -> RequestBuilder {
        let url = format!("{}/chat/completions", self.config.base_url);
        let request = self.provider.client().post(url).json(body);
        match &self.config.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn body(&self, request: &ChatRequest) -> Value {
        let mut messages = request.messages.clone();
        let mut body = json!({ "model": self.config.model });
        if let Some(JsonSchema { name, schema }) = &request.schema {
            match self.config.json_mode {
                JsonMode::JsonSchema => {
                    body["response_format"] = json!({
                        "type": "json_schema",
                        "json_schema": { "name": name, "strict": true, "schema": schema },
                    });
                }
                JsonMode::JsonObject => {
                    body["response_format"] = json!({ "type": "json_object" });
                    messages.insert(0, schema_in_words(schema));
                }
                JsonMode::None => messages.insert(0, schema_in_words(schema)),
            }
        }
        body["messages"] = json!(messages);
        body
    }
}

fn schema_in_words(schema: &Value) -> Message {
    let content =
        format!("Reply with one JSON object and nothing else. It must fit this JSON Schema: {schema}");
    Message { role: MessageRole::System, content }
}

/// The JSON object within a reply: models that are not held to it wrap it in a fence or a sentence.
fn json_within(text: &str) -> Option<&str> {
    let (first, last) = (text.find('{')?, text.rfind('}')?);
    text.get(first..=last)
}

async fn next_text(mut events: Events) -> Result<Option<(String, Events)>, ProviderError> {
    loop {
        let Some(data) = events.next().await? else {
            return if events.complete { Ok(None) } else { Err(events.cut_off()) };
        };
        if data == "[DONE]" {
            return Ok(None);
        }
        let chunk: Chunk = events.parse(&data)?;
        if let Some(error) = chunk.error {
            return Err(events.refused(&error));
        }
        let Some(choice) = chunk.choices.into_iter().next() else { continue };
        // Some servers close the stream after this instead of sending `[DONE]`.
        events.complete |= choice.finish_reason.is_some();
        if let Some(text) = choice.delta.content.filter(|text| !text.is_empty()) {
            return Ok(Some((text, events)));
        }
    }
}

#[async_trait]
impl Composer for ChatClient {
    fn generator(&self) -> &str {
        &self.config.model
    }

    async fn write(&self, draft: &dyn Draft) -> Result<TextStream, ProviderError> {
        self.stream(&draft.request()).await
    }

    fn read_json(&self, text: &str) -> Result<Value, ProviderError> {
        let json = json_within(text).ok_or_else(|| self.provider.bad_reply("the reply holds no JSON"))?;
        serde_json::from_str(json).map_err(|e| self.provider.bad_reply(format!("the reply is not JSON: {e}")))
    }

    async fn write_whole(&self, draft: &dyn Draft) -> Result<String, ProviderError> {
        self.complete(&draft.request()).await
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Content,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Delta>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    delta: Content,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Content {
    content: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_in_a_fence_or_a_sentence() {
        assert_eq!(json_within("```json\n{\"a\": {}}\n```"), Some("{\"a\": {}}"));
        assert_eq!(json_within("Sure: {\"a\": 1}. Anything else?"), Some("{\"a\": 1}"));
        assert_eq!(json_within("} no {"), None);
        assert_eq!(json_within("none"), None);
    }
}
