use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use longhaul::{Clock, Longhaul};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::metrics;
use crate::config::HttpConfig;
use crate::frame;
use crate::nearest::Known;
use crate::problem::{Code, Problem};

/// `/health` (the process answers), `/ready` (its store takes writes) and `/metrics` (the depth of its queues, for
/// Prometheus), for whoever watches over the server.
/// They are open to everyone and say nothing that is not in [`HttpConfig::health`].
pub fn health_router(longhaul: Longhaul, config: HttpConfig) -> Router {
    let (routes, document) = documented().split_for_parts();
    let known = config.known(|| Known::of(&document));
    let probes = Probes { longhaul, clock: config.clock, details: Arc::new(config.health) };
    frame::around(routes.with_state(probes), known, None)
}

/// `/health`, `/ready` and the `/metrics` of a process that runs jobs and serves nothing else. `/metrics` does not ask the store.
pub fn worker_router(longhaul: Longhaul, config: HttpConfig) -> Router {
    let probes = Probes { longhaul, clock: config.clock, details: Arc::new(config.health) };
    let routes = OpenApiRouter::default().routes(routes!(health)).routes(routes!(ready));
    let (routes, document) = routes.routes(routes!(metrics::worker_metrics)).split_for_parts();
    frame::around(routes.with_state(probes), Known::of(&document), None)
}

/// The probes with their documentation.
pub(super) fn documented() -> OpenApiRouter<Probes> {
    OpenApiRouter::default().routes(routes!(health)).routes(routes!(ready)).routes(routes!(metrics::metrics))
}

/// The longest that the store may take to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Probes {
    longhaul: Longhaul,
    clock: Clock,
    details: Arc<BTreeMap<String, String>>,
}

impl FromRef<Probes> for Longhaul {
    fn from_ref(probes: &Probes) -> Self {
        probes.longhaul.clone()
    }
}

impl FromRef<Probes> for Clock {
    fn from_ref(probes: &Probes) -> Self {
        probes.clock.clone()
    }
}

/// The server answers.
#[derive(Serialize, ToSchema)]
struct Health<'a> {
    /// Always `ok`.
    status: &'a str,
    /// The version of the server.
    version: &'a str,
    /// The parts that the server is made of, a member for each: its services, say.
    #[serde(flatten)]
    #[schema(additional_properties)]
    details: &'a BTreeMap<String, String>,
}

/// Tells that the server answers
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    tag = "about",
    security(()),
    responses((status = 200, description = "It answers", body = Health)),
)]
async fn health(State(probes): State<Probes>) -> Response {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), details: &probes.details })
        .into_response()
}

/// Tells that its store takes writes
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "getReady",
    tag = "about",
    security(()),
    responses(
        (status = 200, description = "It takes jobs"),
        (status = 503, description = "The store does not answer"),
    ),
)]
async fn ready(State(probes): State<Probes>) -> Result<Json<serde_json::Value>, Problem> {
    match tokio::time::timeout(READY_TIMEOUT, probes.longhaul.store().ready()).await {
        Ok(Ok(())) => Ok(Json(serde_json::json!({ "status": "ready" }))),
        Ok(Err(error)) if error.is_outage() => Err(error.into()),
        Ok(Err(error)) => Err(not_ready(error.to_string())),
        Err(_) => Err(not_ready(format!("the store did not answer within {} s", READY_TIMEOUT.as_secs()))),
    }
}

fn not_ready(cause: String) -> Problem {
    Problem { cause: Some(cause), ..Problem::new(Code::Unavailable, "the job store does not answer") }
}
