//! The HTTP side: validates, enqueues, and shows.

mod analyze;
mod batch;
mod caller;
mod live;
mod task;
mod user;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::app::App;
use crate::error::{self, Error};
use crate::name::Username;

pub(crate) use caller::Caller;

/// The most bytes of a body: a hundred names are four thousand.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/analyze", post(analyze::start))
        .route("/analyze/sync", post(analyze::wait))
        .route("/analyze/stream", post(live::stream))
        .route("/analyze/batch", post(batch::start))
        .route("/task/{task_id}", get(task::show))
        .route("/task/{task_id}/ws", get(live::socket))
        .route("/user/{username}", get(user::wait))
        .route("/user/{username}/async", get(user::start))
        .route("/user/{username}/history", get(user::history))
        .route("/health", get(health))
        .fallback(async || Error::new(StatusCode::NOT_FOUND, "Not Found"));
    Router::new()
        .nest("/api/v1/github", routes)
        // The original document's own address for its WebSocket; without an upgrade it shows the task once.
        .route("/task/{task_id}", get(live::socket_or_task))
        .method_not_allowed_fallback(async || {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(app)
}

/// `GET /health`: what the service knows of GitHub without asking it.
async fn health(State(app): State<Arc<App>>) -> Response {
    let quota = app.client.quota().map(|quota| {
        json!({
            "limit": quota.limit,
            "remaining": quota.remaining,
            "resets_in": quota.resets_in.as_secs(),
        })
    });
    Json(json!({
        "status": "healthy",
        "service": "github",
        "authenticated": app.client.has_token(),
        "cache_ttl": app.config.cache_ttl.as_secs(),
        "rate_limit": quota,
    }))
    .into_response()
}

/// A user's name in the path.
pub(crate) struct Named(pub(crate) Username);

impl FromRequestParts<Arc<App>> for Named {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        named(path.map(|Path(name)| name).unwrap_or_default()).map(Self)
    }
}

/// A task's id in the path.
pub(crate) struct TaskId(pub(crate) String);

impl FromRequestParts<Arc<App>> for TaskId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, app).await;
        path.map(|Path(id)| Self(id)).map_err(|_| error::no_task("?"))
    }
}

pub(crate) fn named(name: String) -> Result<Username, Error> {
    Username::try_from(name).map_err(|error| Error::bad_request(error.to_string()))
}

/// Reads a JSON body; what is wrong with it is said in the service's own form.
pub(crate) fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body exceeds 64 KB")
        }
        _ => Error::bad_request("Request body cannot be read"),
    })?;
    serde_json::from_slice(&body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Error::bad_request(format!("Request body is not valid: {e}")),
        _ => Error::bad_request("Request body must be JSON"),
    })
}
