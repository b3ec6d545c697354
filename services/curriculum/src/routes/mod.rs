//! The HTTP side: validates, enqueues, and shows.

#[expect(dead_code, reason = "they describe")]
mod bodies;
mod plans;
mod step10;
mod workflow;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use service_support::{Callers, Described, Service, without_mark};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Curriculum};
use crate::error::{self, Error, Unsuccessful};
use crate::model::is_object_id;

/// The most bytes of a JSON body.
const MAX_JSON_BYTES: usize = 1024 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = documented().split_for_parts();
    routes
        .method_not_allowed_fallback(async || {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        .with_state(app)
}

/// Every route with its documentation.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(workflow::create, workflow::list))
        .routes(routes!(workflow::get, workflow::update, workflow::delete))
        .routes(routes!(step10::start, plans::get))
        .routes(routes!(step10::cancel))
        .routes(routes!(step10::status))
        .routes(routes!(plans::lesson))
        .routes(routes!(plans::redo))
}

pub(crate) fn document() -> OpenApi {
    let described = Described {
        service: Curriculum::name(),
        about: Curriculum::about(),
        callers: Callers::Anybody,
        parameters: &[
            ("workflow", "The workflow's id, a MongoDB ObjectId"),
            ("lesson", "The lesson's id, `{code}-L{n}`"),
        ],
    };
    described.complete::<Unsuccessful>(documented().into_openapi())
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
    match serde_json::from_slice(without_mark(&body)) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(Error::bad_request("Request body must be a JSON object")),
        Err(_) => Err(Error::bad_request("Request body must be JSON")),
    }
}
