use std::sync::Arc;

use axum::extract::{Multipart, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::Desk;
use crate::vectors::vector;

/// The AI Brain service.
pub(crate) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "healthy" })) }))
        .route("/router", post(read_text))
        .route("/utility/embed", post(embed))
}

/// The length of its vectors.
const DIMENSION: usize = 1_024;

async fn read_text(State(desk): State<Arc<Desk>>, mut form: Multipart) -> Response {
    let (mut prompt, mut image) = (None, None);
    while let Ok(Some(field)) = form.next_field().await {
        match field.name() {
            Some("prompt") => prompt = field.text().await.ok(),
            Some("image") => {
                let name = field.file_name().unwrap_or_default().to_owned();
                image = field.bytes().await.ok().map(|bytes| (name, bytes.len()));
            }
            _ => {}
        }
    }
    let (Some(_), Some((name, bytes))) = (prompt, image) else {
        let detail = json!({ "detail": [{ "msg": "Field required", "loc": ["body", "prompt or image"] }] });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(detail)).into_response();
    };
    let text = desk.texts.lock().pop_front();
    let text = text.unwrap_or_else(|| format!("The picture {name} of {bytes} bytes."));
    Json(json!({ "response": text, "model": "double-vision" })).into_response()
}

#[derive(Deserialize)]
struct EmbedQuery {
    text: String,
}

async fn embed(Query(query): Query<EmbedQuery>) -> Response {
    Json(json!({ "embedding": vector(&query.text, DIMENSION, 7) })).into_response()
}
