//! The HTTP side: validates, enqueues, and shows.

mod plans;
mod step10;
mod workflow;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{self, Error};
use crate::model::is_object_id;

/// The most bytes of a JSON body.
const MAX_JSON_BYTES: usize = 1024 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v3/workflow", post(workflow::create).get(workflow::list))
        .route(
            "/api/v3/workflow/{workflow}",
            get(workflow::get).put(workflow::update).delete(workflow::delete),
        )
        .route("/api/v3/workflow/{workflow}/step10", post(step10::start).get(plans::get))
        .route("/api/v3/workflow/{workflow}/step10/cancel", post(step10::cancel))
        .route("/api/v3/workflow/{workflow}/step10/lessons/{lesson}", get(plans::lesson))
        .route("/api/v3/workflow/{workflow}/step10/lessons/{lesson}/redo", post(plans::redo))
        .route("/api/v3/workflow/{workflow}/step10/status", get(step10::status))
        .method_not_allowed_fallback(async || {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .with_state(app)
}

/// The id in the path: what cannot be one belongs to no workflow.
fn workflow_id(path: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    match path {
        Ok(Path(id)) if is_object_id(&id) => Ok(id),
        _ => Err(error::no_workflow()),
    }
}

/// Reads a JSON body; what is wrong with it is said in the service's own form.
fn json_object(body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body exceeds 1 MB")
        }
        status => Error::new(status, "Request body cannot be read"),
    })?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Error::bad_request("Request body must be a JSON object")),
        Err(_) => Err(Error::bad_request("Request body must be JSON")),
    }
}
