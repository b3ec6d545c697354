//! The HTTP side: validates, enqueues, and shows.

mod lessons;
mod search;
mod tasks;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use service_support::{Callers, Described, Service, without_mark};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Lessons};
use crate::error::{Error, Suggesting};

/// The most bytes of a body: a request for a lesson is a few lines.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = documented().split_for_parts();
    routes.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).method_not_allowed_fallback(no_method).with_state(app)
}

/// Every route with its documentation.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(tasks::create))
        .routes(routes!(tasks::status))
        .routes(routes!(tasks::cancel))
        .routes(routes!(tasks::list))
        .routes(routes!(lessons::get))
        .routes(routes!(lessons::versions))
        .routes(routes!(search::search))
}

pub(crate) fn document() -> OpenApi {
    let described = Described {
        service: Lessons::name(),
        about: Lessons::about(),
        callers: Callers::Anybody,
        parameters: &[
            ("task", "The task's id"),
            ("subject", "The subject, in any case of letters"),
            ("topic", "The topic, in any case of letters"),
        ],
    };
    described.complete::<Suggesting>(documented().into_openapi())
}

/// As the framework of the original service says it.
async fn no_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "detail": "Method Not Allowed" }))).into_response()
}

/// Reads a body that must be a JSON object, whatever type it claims to be of.
fn object(body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body exceeds 64 KB")
        }
        status => Error::new(status, "Request body cannot be read"),
    })?;
    match serde_json::from_slice(without_mark(&body)) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Error::bad_request("Request body must be a JSON object")),
        Err(_) => Err(Error::bad_request("Request body must be JSON")),
    }
}
