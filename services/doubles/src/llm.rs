use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Desk;
use crate::vectors::vector;

/// OpenAI's chat completions and embeddings.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/v1/chat/completions", post(chat)).route("/v1/embeddings", post(embed))
}

/// How long its vectors are.
const DIMENSION: usize = 64;

#[derive(Deserialize)]
struct ChatRequest {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

async fn chat(State(desk): State<Arc<Desk>>, Json(request): Json<ChatRequest>) -> Response {
    let last = request.messages.last();
    let Some(question) = last.filter(|last| last.role == "user").map(|last| &last.content) else {
        return refuse("the last message must be the user's");
    };
    let text = desk.chat.lock().pop_front().unwrap_or_else(|| format!("The model was asked: {question}"));
    if request.stream {
        return streamed(&request.model, &text);
    }
    Json(json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": request.model,
        "choices": [{
            "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text },
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    }))
    .into_response()
}

fn streamed(model: &str, text: &str) -> Response {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        });
        format!("data: {chunk}\n\n")
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    let words = text.split_inclusive(' ');
    events.extend(words.map(|word| chunk(json!({ "content": word }), Value::Null)));
    events.push(chunk(json!({}), json!("stop")));
    events.push("data: [DONE]\n\n".to_owned());
    let events = stream::iter(events).map(Ok::<_, std::convert::Infallible>);
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

#[derive(Deserialize)]
struct EmbedRequest {
    model: String,
    input: Vec<String>,
}

async fn embed(Json(request): Json<EmbedRequest>) -> Response {
    if request.input.iter().any(String::is_empty) {
        return refuse("input must not be empty");
    }
    // Two models never agree: each begins to count at another place.
    let seed = request.model.bytes().fold(0_usize, |sum, byte| sum * 31 % 997 + usize::from(byte));
    let mut data: Vec<Value> = request
        .input
        .iter()
        .enumerate()
        .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": vector(text, DIMENSION, seed) }))
        .collect();
    // The protocol does not promise an order, so clients must not count on one.
    data.reverse();
    let usage = json!({ "prompt_tokens": 1, "total_tokens": 1 });
    Json(json!({ "object": "list", "model": request.model, "data": data, "usage": usage })).into_response()
}

fn refuse(message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": "invalid_request_error" } });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
