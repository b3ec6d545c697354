//! The HTTP side: validates, enqueues, and shows.

mod analyze;
mod batch;
mod caller;
mod live;
mod task;
mod user;

use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::{Json, Router};
use longhaul_http::Known;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_support::{Callers, Described, Service, without_mark};
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::{App, Github};
use crate::error::{self, Detail, Error};
use crate::name::Username;

pub(crate) use caller::Caller;

/// The most bytes of a body: a hundred names are four thousand.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, _) = documented().split_for_parts();
    routes
        .method_not_allowed_fallback(async || {
            Error::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(app)
}

/// The path in front of all routes but one.
const PREFIX: &str = "/api/v1/github";

/// Every route with its documentation.
fn documented() -> OpenApiRouter<Arc<App>> {
    let routes = OpenApiRouter::default()
        .routes(routes!(analyze::start))
        .routes(routes!(analyze::wait))
        .routes(routes!(live::stream))
        .routes(routes!(batch::start))
        .routes(routes!(task::show))
        .routes(routes!(live::socket))
        .routes(routes!(user::wait))
        .routes(routes!(user::start))
        .routes(routes!(user::history))
        .routes(routes!(health))
        .fallback(no_route);
    OpenApiRouter::default().nest(PREFIX, routes).routes(routes!(live::socket_or_task))
}

pub(crate) fn document() -> OpenApi {
    let described = Described {
        service: Github::name(),
        about: Github::about(),
        callers: Callers::Anybody,
        parameters: &[("task_id", "The task's id"), ("username", "A user's name on GitHub")],
    };
    described.complete::<Detail>(documented().into_openapi())
}

async fn no_route(request: Request) -> Error {
    static KNOWN: LazyLock<Known> = LazyLock::new(|| Known::of(&document()));
    let near = KNOWN.near(request.method(), &format!("{PREFIX}{}", request.uri().path()));
    let told = near
        .first()
        .map_or_else(|| "Not Found".to_owned(), |near| format!("Not Found: did you mean {near}?"));
    Error::new(StatusCode::NOT_FOUND, told)
}

/// The health of the service: what it knows of GitHub without asking it.
#[derive(Serialize, ToSchema)]
#[schema(as = GithubHealth)]
struct Health {
    /// Always `healthy`.
    status: &'static str,
    /// Always `github`.
    service: &'static str,
    /// True if a token is set.
    authenticated: bool,
    /// For how many seconds a result is fresh.
    cache_ttl: u64,
    /// GitHub's own limit, as it last told it.
    rate_limit: Option<RateLimit>,
}

/// GitHub's limit of calls.
#[derive(Serialize, ToSchema)]
#[schema(as = GithubRateLimit)]
struct RateLimit {
    /// The calls of an hour.
    limit: u32,
    /// Those that are left.
    remaining: u32,
    /// The seconds until they are counted anew.
    resets_in: u64,
}

/// Tells what is known of GitHub
///
/// GitHub is not asked for it.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getGithubHealth",
    responses((status = 200, description = "What is known", body = Health)),
)]
async fn health(State(app): State<Arc<App>>) -> Json<Health> {
    let rate_limit = app.client.quota().map(|quota| RateLimit {
        limit: quota.limit,
        remaining: quota.remaining,
        resets_in: quota.resets_in.as_secs(),
    });
    Json(Health {
        status: "healthy",
        service: "github",
        authenticated: app.client.has_token(),
        cache_ttl: app.config.cache_ttl.as_secs(),
        rate_limit,
    })
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
    serde_json::from_slice(without_mark(&body)).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Error::bad_request(format!("Request body is not valid: {e}")),
        _ => Error::bad_request("Request body must be JSON"),
    })
}
