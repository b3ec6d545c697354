use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use longhaul::Clock;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::reading::{MAX_SIGNS, Reading};
use super::reasoning::{Form, Reasoning};
use super::tokens::{Meter, Tokens};
use super::{Composer, Draft, Message, MessageRole, TextStream};
use crate::config::{JsonMode, LlmConfig};
use crate::limits::provider_key;
use crate::provider::{Cause, Provider, ProviderError};

/// A client of an OpenAI-compatible chat server. Cheap to clone; clones share what was learnt about the server.
#[derive(Clone, Debug)]
pub struct ChatClient {
    provider: Provider,
    config: LlmConfig,
    limit_key: String,
    learnt: Arc<Learnt>,
}

/// The habits of a server that only its replies show.
#[derive(Debug, Default)]
struct Learnt {
    /// The steps down from the configured [`JsonMode`] that it has forced.
    steps_down: AtomicU8,
    /// True once it has refused to be asked for the usage.
    tells_no_usage: AtomicBool,
    /// True once a reply began within its reasoning: the server's template opens it.
    begins_in_reasoning: AtomicBool,
}

/// The nature of the words that came before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Reply,
    /// Nobody could know while they came.
    Reasoning,
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

/// Text for people, each token of it in some 300 bytes of a stream; more than this is a fault of the server.
const MAX_REPLY_BYTES: usize = 32 * 1024 * 1024;
/// Words by which a server says that it is the `response_format` that it does not take.
const FORMAT_WORDS: [&str; 8] = [
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "json_object",
    "json mode",
    "guided_json",
    "grammar",
];
/// Words by which a server says that it does not take the wish for the usage.
const USAGE_WORDS: [&str; 3] = ["stream_options", "stream options", "include_usage"];
/// The shortest run of a request's characters that counts as a quotation of it in an error.
const MIN_QUOTED: usize = 32;

impl ChatClient {
    /// Prepares a client; nothing is contacted yet.
    ///
    /// # Errors
    /// Fails if the machine's TLS set-up cannot be used.
    pub fn new(config: &LlmConfig, max_wait: Duration, clock: Clock) -> Result<Self, ProviderError> {
        let provider = Provider::new("LLM", config.timeout, MAX_REPLY_BYTES, max_wait, clock)?;
        let provider = provider.hiding(config.api_key.as_deref()).hiding_address(&config.base_url);
        let limit_key = provider_key(&config.provider);
        Ok(Self { provider, config: config.clone(), limit_key, learnt: Arc::default() })
    }

    /// The reply piece by piece, without the model's reasoning. A stream that ends before the server has said that the
    /// reply is complete ends in an error, and so does one that stopped at a limit: a part is never taken for the whole.
    /// `tokens` counts what it takes.
    ///
    /// # Errors
    /// Fails if the server fails or refuses, before or within the stream.
    pub async fn stream(&self, request: &ChatRequest, tokens: Tokens) -> Result<TextStream, ProviderError> {
        let reading = self.read(request, tokens).await?;
        let state = (self.clone(), request.clone(), reading);
        Ok(Box::pin(stream::try_unfold(state, |(client, request, mut reading)| async move {
            let next = client.next(&mut reading, &request).await?;
            Ok(next.map(|(text, _)| (text, (client, request, reading))))
        })))
    }

    /// Begins to read the reply.
    async fn read(&self, request: &ChatRequest, tokens: Tokens) -> Result<Reading, ProviderError> {
        let about = |error| self.without_quotations(error, request);
        let response = self.open(request).await.map_err(about)?;
        // From here on the server is at work, and whatever becomes of it is paid for.
        let meter = Meter::new(tokens, request);
        let mut pieces = self.provider.pieces_alive(response).boxed();
        let head = self.head(&mut pieces).await.map_err(about)?;
        let form = if request.schema.is_some() { Form::Json } else { Form::Words };
        let is_opened = self.learnt.begins_in_reasoning.load(Ordering::Relaxed);
        let reasoning = if is_opened { Reasoning::opened(form) } else { Reasoning::new(form) };
        let is_stream = !matches!(first_byte(&head), Some(b'{' | b'[' | b'<'));
        let pieces = stream::iter([Ok(head.freeze())]).chain(pieces).boxed();
        let mut reading = Reading::new(self.provider.clone(), reasoning, meter);
        if is_stream {
            reading.follow(pieces);
        } else {
            // A server that does not stream answers as if it had not been asked to.
            reading.take_whole(pieces).await.map_err(about)?;
        }
        Ok(reading)
    }

    /// The beginning of a reply, up to its first byte that is no white space. Servers send that while a request waits, too.
    async fn head(
        &self,
        pieces: &mut BoxStream<'static, Result<Bytes, ProviderError>>,
    ) -> Result<BytesMut, ProviderError> {
        let clock = self.provider.clock();
        let opened = clock.monotonic();
        let mut head = BytesMut::new();
        while first_byte(&head).is_none() {
            if clock.since(opened) >= self.provider.timeout() * MAX_SIGNS {
                return Err(self.provider.timed_out("no word came, only signs of life"));
            }
            let Some(piece) = pieces.next().await else { break };
            head.extend_from_slice(&piece?);
        }
        Ok(head)
    }

    /// The next words, and what becomes of those before them.
    async fn next(
        &self,
        reading: &mut Reading,
        request: &ChatRequest,
    ) -> Result<Option<(String, Before)>, ProviderError> {
        let next = reading.next().await.map_err(|error| self.without_quotations(error, request))?;
        let before = if reading.takes_back() { Before::Reasoning } else { Before::Reply };
        if before == Before::Reasoning {
            self.learnt.begins_in_reasoning.store(true, Ordering::Relaxed);
        }
        Ok(next.map(|text| (text, before)))
    }

    /// Sends the request, a step further down where the server does not take the form in which JSON is asked for.
    async fn open(&self, request: &ChatRequest) -> Result<Response, ProviderError> {
        loop {
            let steps = self.learnt.steps_down.load(Ordering::Relaxed);
            let mode = stepped_down(self.config.json_mode, steps);
            let tells_usage = !self.learnt.tells_no_usage.load(Ordering::Relaxed);
            let mut body = self.body(request, mode);
            if tells_usage {
                body["stream_options"] = json!({ "include_usage": true });
            }
            let mut error = match self.provider.open(self.request(&body)).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if !matches!(error.cause, Cause::Status(400 | 422 | 501)) {
                return Err(error);
            }
            let told = error.message.to_lowercase();
            if tells_usage && USAGE_WORDS.iter().any(|word| told.contains(word)) {
                tracing::warn!("the LLM's server takes no stream_options, so tokens are estimated: {told}");
                self.learnt.tells_no_usage.store(true, Ordering::Relaxed);
                continue;
            }
            if request.schema.is_none() || mode == JsonMode::None {
                return Err(error);
            }
            if !FORMAT_WORDS.iter().any(|word| told.contains(word)) {
                error.message.push_str(" (if the server takes no response_format, set LLM_JSON_MODE)");
                return Err(error);
            }
            tracing::warn!(
                "the LLM's server takes no response_format in mode {mode:?}, so the next one is used: {told}"
            );
            // Of two requests that learn it at once, one counts.
            self.learnt.steps_down.fetch_max(steps + 1, Ordering::Relaxed);
        }
    }

    fn request(&self, body: &Value) -> RequestBuilder {
        let url = format!("{}/chat/completions", self.config.base_url);
        let request = self.provider.client().post(url).json(body);
        match &self.config.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn body(&self, request: &ChatRequest, mode: JsonMode) -> Value {
        let mut messages = request.messages.clone();
        let mut body = json!({ "model": self.config.model, "stream": true });
        if let Some(JsonSchema { name, schema }) = &request.schema {
            match mode {
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

    /// The error without what it repeats of the request, which may be a document of somebody's.
    fn without_quotations(&self, mut error: ProviderError, request: &ChatRequest) -> ProviderError {
        let said: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
        error.message = without_quotations(&error.message, &said);
        error
    }
}

fn stepped_down(mode: JsonMode, steps: u8) -> JsonMode {
    match (mode, steps) {
        (mode, 0) => mode,
        (JsonMode::JsonSchema, 1) => JsonMode::JsonObject,
        _ => JsonMode::None,
    }
}

fn schema_in_words(schema: &Value) -> Message {
    let content =
        format!("Reply with one JSON object and nothing else. It must fit this JSON Schema: {schema}");
    Message { role: MessageRole::System, content }
}

/// The first byte that is neither white space nor a byte order mark.
fn first_byte(head: &[u8]) -> Option<u8> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start().first().copied()
}

fn without_quotations(message: &str, said: &[&str]) -> String {
    let characters: Vec<(usize, char)> = message.char_indices().collect();
    let at = |index: usize| characters.get(index).map_or(message.len(), |(at, _)| *at);
    let is_said = |from: usize, to: usize| said.iter().any(|said| said.contains(&message[at(from)..at(to)]));
    let (mut kept, mut index) = (String::new(), 0);
    while index < characters.len() {
        let mut end = index + MIN_QUOTED;
        if end > characters.len() || !is_said(index, end) {
            kept.push(characters[index].1);
            index += 1;
            continue;
        }
        while end < characters.len() && is_said(index, end + 1) {
            end += 1;
        }
        kept.push('…');
        index = end;
    }
    kept
}

#[async_trait]
impl Composer for ChatClient {
    fn generator(&self) -> &str {
        &self.config.model
    }

    fn limit_key(&self) -> Option<&str> {
        Some(&self.limit_key)
    }

    async fn write(&self, draft: &dyn Draft) -> Result<TextStream, ProviderError> {
        self.stream(&draft.request(), draft.meter()).await
    }

    async fn write_whole(&self, draft: &dyn Draft) -> Result<String, ProviderError> {
        let request = draft.request();
        let mut reading = self.read(&request, draft.meter()).await?;
        let mut text = String::new();
        while let Some((words, before)) = self.next(&mut reading, &request).await? {
            if before == Before::Reasoning {
                text.clear();
            }
            text.push_str(&words);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_does_not_repeat_the_request() {
        let document = "The axolotl (Ambystoma mexicanum) is a paedomorphic salamander.";
        let message = format!("invalid prompt: '{document}' is not allowed, axolotl");
        let kept = without_quotations(&message, &["You answer.", document]);
        assert_eq!(kept, "invalid prompt: '…' is not allowed, axolotl");
        assert_eq!(without_quotations("no such model", &[document]), "no such model");
    }

    #[tokio::test]
    async fn white_space_before_a_reply_is_waited_through_for_a_bounded_time() {
        let clock = Clock::manual();
        let config = LlmConfig {
            base_url: "http://127.0.0.1:9/v1".into(),
            provider: "llm".into(),
            model: "m".into(),
            api_key: None,
            timeout: Duration::from_secs(60),
            json_mode: JsonMode::None,
        };
        let client = ChatClient::new(&config, Duration::ZERO, clock.clone()).unwrap();
        let blank = stream::repeat_with(move || {
            clock.advance(Duration::from_secs(5));
            Ok(Bytes::from_static(b"\n"))
        });
        let error = client.head(&mut blank.take(1_000).boxed()).await.unwrap_err();
        assert_eq!(error.cause, Cause::Timeout);
    }

    #[test]
    fn the_steps_go_down_to_words() {
        use JsonMode::{JsonObject, JsonSchema, None};
        assert_eq!(
            [0, 1, 2, 9].map(|steps| stepped_down(JsonSchema, steps)),
            [JsonSchema, JsonObject, None, None]
        );
        assert_eq!([0, 1].map(|steps| stepped_down(JsonObject, steps)), [JsonObject, None]);
    }
}
