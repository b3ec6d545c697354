//! The HTTP side: validates, enqueues, and shows.

mod background;
mod lists;
mod members;
mod query;
mod sessions;
mod skills;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use serde_json::Value;
use service_support::User;

use crate::app::App;
use crate::error::Error;
use crate::object_id::is_object_id;

/// Whoever is signed in.
pub(crate) struct Caller(pub(crate) User);

/// The most bytes of a body, as Express has it.
const MAX_BODY_BYTES: usize = 100 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/skills", post(skills::create).get(skills::list))
        .route("/skills/{id}", get(skills::get).put(skills::update).delete(skills::delete))
        .route("/sessions", post(sessions::create).get(lists::mine))
        .route("/sessions/public", get(lists::public))
        .route("/sessions/search", get(lists::search))
        .route("/sessions/{id}", get(sessions::get).put(sessions::update).delete(sessions::delete))
        .route("/sessions/{id}/join", post(members::join))
        .route("/sessions/{id}/leave", post(members::leave))
        .route("/sessions/{id}/background", get(background::get))
        .route("/sessions/{id}/background/retry", post(background::retry))
        .route("/api/v1/llm/query", post(query::query))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .method_not_allowed_fallback(no_route)
        .with_state(app)
}

/// A method that a path does not take is, in the framework of the original service, a route that is not there.
async fn no_route(request: Request) -> Error {
    Error::not_found(format!("Cannot {} {}", request.method(), request.uri().path()))
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Ok(Self(app.auth.authenticate(&parts.headers).await?))
    }
}

/// The id that a path names, in lower case; `None` where it is none that anything could have.
pub(crate) fn named(path: Result<Path<String>, PathRejection>) -> Option<String> {
    path.ok().map(|Path(id)| id.to_ascii_lowercase()).filter(|id| is_object_id(id))
}

/// Reads a JSON body, whatever type it claims to be of; no body at all is an object without fields.
pub(crate) fn json(body: Result<Bytes, BytesRejection>) -> Result<Value, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large")
        }
        status => Error::new(status, "request body cannot be read"),
    })?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|e| Error::bad_request(format!("request body is not JSON: {e}")))
}
