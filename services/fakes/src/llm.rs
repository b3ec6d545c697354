use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Desk;
use crate::fault::Incomplete;
use crate::quirk::{self, Quirk, chunk, event};
use crate::schema::{fitting, not_strict, told_in_words, without_last_fields};
use crate::vectors::vector;

/// OpenAI's chat completions and embeddings.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/v1/chat/completions", post(chat)).route("/v1/embeddings", post(embed))
}

#[derive(Deserialize)]
struct ChatRequest {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    response_format: Value,
    #[serde(default)]
    stream_options: Value,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

async fn chat(
    State(desk): State<Arc<Desk>>,
    incomplete: Option<Extension<Incomplete>>,
    body: Bytes,
) -> Response {
    let quirk = desk.quirks.lock().pop_front().or(*desk.quirk.lock());
    if let Some(refusal) = quirk.and_then(|quirk| quirk.refusal(&body)) {
        return refusal;
    }
    let request: ChatRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refuse(&format!("the body cannot be read: {error}")),
    };
    let last = request.messages.last();
    let Some(question) = last.filter(|last| last.role == "user").map(|last| &last.content) else {
        return refuse("the last message must be the user's");
    };
    let format = match format(&request) {
        Ok(_) if quirk == Some(Quirk::IgnoresFormat) => Format::Text,
        Ok(format) => format,
        Err(reason) => return refuse(&reason),
    };
    let said = desk.chat.lock().pop_front();
    let text = said.unwrap_or_else(|| written(&format, question, incomplete.is_some()));
    let text = quirk.map_or_else(|| text.clone(), |quirk| quirk.written(&text));
    match quirk {
        _ if !request.stream => quirk.unwrap_or(Quirk::IgnoresStream).whole(&request.model, &text),
        Some(quirk @ Quirk::IgnoresStream) => quirk.whole(&request.model, &text),
        _ => {
            let usage =
                (request.stream_options["include_usage"] == true).then(|| usage(&request.messages, &text));
            streamed(desk, quirk, &text, usage)
        }
    }
}

/// The form of the model's text.
enum Format {
    Text,
    /// JSON that the server holds it to.
    Held(Value),
    /// JSON that the prompt asks for, without enforcement.
    Asked(Value),
    /// Some JSON object.
    Object,
}

fn format(request: &ChatRequest) -> Result<Format, String> {
    let rules = request.messages.first().filter(|first| first.role == "system");
    let told = rules.and_then(|rules| told_in_words(&rules.content)).map(Value::Object);
    match request.response_format["type"].as_str() {
        Some("json_schema") => {
            let asked = &request.response_format["json_schema"];
            let Some(name) = asked["name"].as_str().filter(|name| is_name(name)) else {
                return Err("'response_format.json_schema.name' must be letters, digits, _ and -".into());
            };
            let schema = &asked["schema"];
            if asked["strict"] == true
                && let Some(reason) = not_strict(schema, "")
            {
                return Err(format!("Invalid schema for response_format '{name}': {reason}"));
            }
            Ok(Format::Held(schema.clone()))
        }
        Some("json_object") => {
            let speaks_of_json = |message: &Message| message.content.to_lowercase().contains("json");
            if !request.messages.iter().any(speaks_of_json) {
                return Err("'messages' must contain the word 'json' in some form, to use \
                            'response_format' of type 'json_object'."
                    .into());
            }
            Ok(told.map_or(Format::Object, Format::Held))
        }
        Some("text") | None => Ok(told.map_or(Format::Text, Format::Asked)),
        Some(other) => Err(format!("'response_format.type' is '{other}'")),
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn written(format: &Format, question: &str, incomplete: bool) -> String {
    let json = |schema: &Value| {
        let mut value = fitting(schema, question);
        if incomplete {
            without_last_fields(&mut value);
        }
        value
    };
    match format {
        Format::Text => format!("The model was asked: {question}"),
        Format::Held(schema) => json(schema).to_string(),
        // As models do without enforcement.
        Format::Asked(schema) => format!("Here it is:\n```json\n{:#}\n```", json(schema)),
        Format::Object => json!({ "asked": question }).to_string(),
    }
}

/// Of this model a word is a token.
fn usage(messages: &[Message], text: &str) -> Value {
    let words = |text: &str| text.split_whitespace().count();
    let (prompt, completion) = (messages.iter().map(|said| words(&said.content)).sum::<usize>(), words(text));
    json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
}

fn streamed(desk: Arc<Desk>, quirk: Option<Quirk>, text: &str, usage: Option<Value>) -> Response {
    if let Some((quirk, events)) = quirk.and_then(|quirk| Some((quirk, quirk.events(text)?))) {
        let pieces = stream::iter(quirk.pieces(events)).map(Ok::<_, std::convert::Infallible>);
        return quirk::stream(Body::from_stream(pieces));
    }
    let begin = event(&chunk(json!({ "role": "assistant", "content": "" }), None));
    let words = text.split_inclusive(' ').map(|word| event(&chunk(json!({ "content": word }), None)));
    let words: Vec<String> = words.collect();
    let usage = usage.map(|usage| event(&json!({ "choices": [], "usage": usage })));
    let end = [Some(event(&chunk(json!({}), Some("stop")))), usage, Some("data: [DONE]\n\n".to_owned())];
    let words = stream::iter(words).then(move |word| {
        let desk = Arc::clone(&desk);
        async move {
            desk.flow.pass().await;
            word
        }
    });
    let events = stream::iter([begin]).chain(words).chain(stream::iter(end.into_iter().flatten()));
    quirk::stream(Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)))
}

#[derive(Deserialize)]
struct EmbedRequest {
    model: String,
    input: Vec<String>,
}

async fn embed(State(desk): State<Arc<Desk>>, Json(request): Json<EmbedRequest>) -> Response {
    if request.input.iter().any(String::is_empty) {
        return refuse("input must not be empty");
    }
    let (inputs, letters, dimension) = *desk.embeddings.lock();
    if request.input.len() > inputs {
        return refuse(&format!("at most {inputs} inputs at once"));
    }
    if request.input.iter().any(|text| text.chars().count() > letters) {
        return refuse("the input exceeds the context length of the model");
    }
    // Two models never agree: each begins to count at another place.
    let seed = request.model.bytes().fold(0_usize, |sum, byte| sum * 31 % 997 + usize::from(byte));
    let mut data: Vec<Value> = request
        .input
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": vector(text, dimension, seed) }))
        .collect();
    // The protocol does not promise an order, so clients must not count on one.
    data.reverse();
    let words: usize = request.input.iter().map(|text| text.split_whitespace().count()).sum();
    let usage = json!({ "prompt_tokens": words, "total_tokens": words });
    Json(json!({ "object": "list", "model": request.model, "data": data, "usage": usage })).into_response()
}

fn refuse(message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
