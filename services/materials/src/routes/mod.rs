//! The HTTP side: validates, enqueues, and shows.

mod chat;
mod courses;
mod list;
mod materials;
mod search;
mod text;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use service_support::{Callers, Described, Service, User, without_mark};
use utoipa::openapi::OpenApi;
use utoipa::openapi::server::Server;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::app::{App, Materials};
use crate::error::{self, Detail, Error};

/// Whoever is signed in.
pub(crate) struct Caller(pub(crate) User);

/// The most bytes of a JSON body; uploads have their own bound.
const MAX_JSON_BYTES: usize = 256 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = documented().split_for_parts();
    Router::new().merge(routes.clone()).nest("/api", routes).with_state(app)
}

/// Every route, from the root, with its documentation. The same are there under `/api`.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(courses::create, courses::list))
        .routes(routes!(courses::rename, courses::delete))
        .routes(routes!(search::search))
        .routes(routes!(chat::ask, chat::list))
        .routes(routes!(materials::get, materials::delete))
        .routes(routes!(text::get))
        .routes(routes!(materials::download))
        .routes(routes!(materials::reprocess))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES))
        // The upload bounds itself while it streams.
        .routes(routes!(upload::upload, materials::list).layer(DefaultBodyLimit::disable()))
}

pub(crate) fn document() -> OpenApi {
    let described = Described {
        service: Materials::name(),
        about: Materials::about(),
        callers: Callers::Users,
        parameters: &[("course", "The course's id"), ("material", "The material's id")],
    };
    let mut document = described.complete::<Detail>(documented().into_openapi());
    for item in document.paths.paths.values_mut() {
        item.servers = Some(vec![Server::new("/"), Server::new("/api")]);
    }
    document
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Ok(Self(app.auth.authenticate(&parts.headers).await?))
    }
}

/// Reads a JSON body; what is wrong with it is said in the service's own form.
pub(crate) fn json<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "Request body exceeds 256 KB")
        }
        status => Error::new(status, "Request body cannot be read"),
    })?;
    serde_json::from_slice(without_mark(&body)).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Error::bad_request(format!("Request body is not valid: {e}")),
        _ => Error::bad_request("Request body must be JSON"),
    })
}

impl App {
    /// Refuses a course that is not the caller's as one that is not there.
    pub(crate) async fn check_course(&self, user: &User, course_id: &str) -> Result<(), Error> {
        let sql = "SELECT id FROM courses WHERE id = $1 AND owner = $2";
        let rows = self.db.read(sql, vec![course_id.into(), user.sub.as_str().into()]).await?;
        if rows.is_empty() { Err(error::no_course()) } else { Ok(()) }
    }
}
