use std::collections::BTreeMap;

use axum::extract::State as Extract;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use longhaul::{Longhaul, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::problem::Problem;

/// The depth of queues, for Prometheus
///
/// In the text form of OpenMetrics, for Prometheus and what reads like it. Open to everyone, as scrapers
/// expect: it names queues and counts jobs, and says nothing of what is in them.
///
/// | metric | labels | meaning |
/// |---|---|---|
/// | `longhaul_queue_jobs` | `queue`, `state` | jobs of a queue in a state, zero too; the store's figure, the same on every server |
/// | `longhaul_workers` | | workers heard of within the last minute |
/// | `longhaul_worker_slots` | `queue` | the slots that they have together |
/// | `longhaul_build_info` | `version` | always 1 |
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "about",
    security(()),
    responses((status = 200, description = "The metrics", body = String,
        content_type = "application/openmetrics-text")),
)]
pub(super) async fn metrics(Extract(longhaul): Extract<Longhaul>) -> Result<Response, Problem> {
    let (queues, workers) = (longhaul.store().queues().await?, longhaul.store().workers().await?);
    let mut slots: BTreeMap<String, i64> = BTreeMap::new();
    for queue in workers.iter().flat_map(|worker| &worker.queues) {
        *slots.entry(queue.queue.clone()).or_default() += i64::try_from(queue.slots).unwrap_or(i64::MAX);
    }

    // A registry of this answer's own: the figures are the store's, and are asked for when somebody looks.
    let mut registry = Registry::with_prefix("longhaul");
    let jobs = Family::<QueueState, Gauge>::default();
    for queue in &queues {
        for state in State::ALL {
            let count = queue.counts.get(&state).copied().unwrap_or(0);
            let labels = QueueState { queue: queue.name.clone(), state: state.to_string() };
            jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    registry.register("queue_jobs", "Jobs of a queue in a state", jobs);
    let known = Gauge::<i64>::default();
    known.set(i64::try_from(workers.len()).unwrap_or(i64::MAX));
    registry.register("workers", "Workers heard of within the last minute", known);
    let worker_slots = Family::<Queue, Gauge>::default();
    for (queue, count) in slots {
        worker_slots.get_or_create(&Queue { queue }).set(count);
    }
    registry.register("worker_slots", "Slots that workers have for a queue", worker_slots);
    registry.register("build", "What runs here", Info::new([("version", env!("CARGO_PKG_VERSION"))]));

    let mut text = String::new();
    encode(&mut text, &registry).map_err(|e| Problem::internal(format!("failed to write metrics: {e}")))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueState {
    queue: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: String,
}
