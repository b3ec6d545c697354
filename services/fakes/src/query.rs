use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::Desk;
use crate::fault::Incomplete;

/// The Python API that sessions are dispatched to.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/api/v1/llm/query", post(query))
}

/// The number of keywords in its answer.
const KEYWORDS: usize = 10;

async fn query(
    State(desk): State<Arc<Desk>>,
    incomplete: Option<Extension<Incomplete>>,
    body: Bytes,
) -> Response {
    desk.flow.pass().await;
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refuse("Request must be JSON");
    };
    if !request.is_object() {
        return refuse("Request body must be a JSON object");
    }
    let (Some(topic), Some(sub_topics)) = (request["topic"].as_str(), request["sub_topics"].as_array())
    else {
        return refuse("Request body must contain 'topic' (string) and 'sub_topics' (list)");
    };
    if incomplete.is_some() {
        return Json(json!({})).into_response();
    }
    let names: Vec<&str> = sub_topics.iter().filter_map(Value::as_str).chain([topic]).collect();
    let keywords: Vec<String> = (0..KEYWORDS)
        .map(|number| format!("{} {}", names[number % names.len()], number / names.len() + 1))
        .collect();
    Json(json!({ "response": keywords })).into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
