use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use longhaul::Longhaul;
use serde::Serialize;

use super::metrics;
use crate::config::HttpConfig;
use crate::frame;
use crate::problem::{Code, Problem};

/// `/health` (the process answers), `/ready` (its store takes writes) and `/metrics` (the depth of its queues, for
/// Prometheus), for whoever watches over the server.
/// They are open to everyone and say nothing that is not in [`HttpConfig::health`].
pub fn health_router(longhaul: Longhaul, config: HttpConfig) -> Router {
    let probes = Arc::new(Probes { longhaul: longhaul.clone(), details: config.health });
    let probes = Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(probes);
    frame::around(probes.merge(metrics::routes(longhaul)))
}

/// The longest that the store may take to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

struct Probes {
    longhaul: Longhaul,
    details: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'a str,
    version: &'a str,
    #[serde(flatten)]
    details: &'a BTreeMap<String, String>,
}

async fn health(State(probes): State<Arc<Probes>>) -> Response {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), details: &probes.details })
        .into_response()
}

async fn ready(State(probes): State<Arc<Probes>>) -> Result<Json<serde_json::Value>, Problem> {
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
