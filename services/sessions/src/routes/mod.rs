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
use serde_json::Value;
use service_support::User;
use service_support::{Callers, Described, Service, without_mark};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Sessions};
use crate::error::{Error, Nest};
use crate::object_id::is_object_id;

/// Whoever is signed in.
pub(crate) struct Caller(pub(crate) User);

/// The most bytes of a body, as Express has it.
const MAX_BODY_BYTES: usize = 100 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = documented().split_for_parts();
    routes.layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).method_not_allowed_fallback(no_route).with_state(app)
}

/// Every route with its documentation.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(skills::create, skills::list))
        .routes(routes!(skills::get, skills::update, skills::delete))
        .routes(routes!(sessions::create, lists::mine))
        .routes(routes!(lists::public))
        .routes(routes!(lists::search))
        .routes(routes!(sessions::get, sessions::update, sessions::delete))
        .routes(routes!(members::join))
        .routes(routes!(members::leave))
        .routes(routes!(background::get))
        .routes(routes!(background::retry))
        .routes(routes!(query::query))
}

pub(crate) fn document() -> OpenApi {
    let described = Described {
        service: Sessions::name(),
        about: Sessions::about(),
        callers: Callers::Users,
        parameters: &[("id", "The id, a MongoDB ObjectId")],
    };
    described.complete::<Nest>(documented().into_openapi())
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
    serde_json::from_slice(without_mark(&body))
        .map_err(|e| Error::bad_request(format!("request body is not JSON: {e}")))
}
