//! `/metrics`: the figures of the store, the same on every server, and the counts of this process.

mod counted;
mod process;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use axum::extract::State as Extract;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use longhaul::{Clock, KeyFilter, KeyInfo, Longhaul, QueueInfo, State, Timestamp};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::problem::Problem;

/// The most limit keys that are told, so that a key for each tenant does not make a series for each.
const KEYS: usize = 100;

/// Queues, keys, runs and readers, for Prometheus
///
/// In the text form of OpenMetrics, for Prometheus and what reads like it. Open to everyone, as scrapers
/// expect: it names queues, kinds and limit keys and counts jobs, and says nothing of what is in them.
///
/// Of the store, the same on every server; a query takes the maximum over servers:
///
/// | metric | labels | meaning |
/// |---|---|---|
/// | `longhaul_queue_jobs` | `queue`, `state` | jobs of a queue in a state, zero too |
/// | `longhaul_queue_paused` | `queue` | 1 while a queue is paused |
/// | `longhaul_queue_slots`, `longhaul_queue_slots_used` | `queue` | the slots of a queue that has a limit, and those that its runs take |
/// | `longhaul_oldest_waiting_seconds` | `queue` | for how long the job that is claimed first has been due |
/// | `longhaul_workers` | | workers heard of within the last minute |
/// | `longhaul_worker_slots` | `queue` | the slots that they have together |
/// | `longhaul_key_slots`, `longhaul_key_slots_used`, `longhaul_key_waiting`, `longhaul_key_paused` | `key` | limit keys: the first 100 by name that have limits, are paused, or of which jobs wait or run |
/// | `longhaul_keys_waiting` | | of these, those of which jobs wait |
///
/// Of this process, from its begin; a query adds them up over processes. Labels are at most a thousand pairs of a queue and a
/// kind; what is beyond is counted as `(other)`:
///
/// | metric | labels | meaning |
/// |---|---|---|
/// | `longhaul_jobs_enqueued_total` | `queue`, `kind` | jobs that were created |
/// | `longhaul_jobs_finished_total` | `queue`, `kind`, `state` | jobs that have completed, failed for good or were cancelled |
/// | `longhaul_attempts_total` | `queue`, `kind`, `outcome` | attempts that completed, failed for good, or failed and are retried |
/// | `longhaul_wait_seconds` | `queue`, `kind` | histogram: from when a job fell due to its start |
/// | `longhaul_run_seconds` | `queue`, `kind` | histogram: from the start of a run to its end |
/// | `longhaul_leases_lost_total` | | runs that were stopped because their lease was another's |
/// | `longhaul_jobs_rescued_total`, `longhaul_jobs_poisoned_total`, `longhaul_jobs_fenced_total`, `longhaul_jobs_pruned_total` | | what the sweeps of this process did |
/// | `longhaul_event_readers` | | readers that follow a job's events |
/// | `longhaul_event_lag_seconds` | | histogram: from when an event was stored to when it was handed to a reader |
/// | `longhaul_process_slots`, `longhaul_process_slots_used` | `queue` | slots of this process' workers, and those of them that are taken |
/// | `longhaul_process_jobs` | | jobs whose leases this process keeps |
/// | `longhaul_process_runs_total` | `queue`, `outcome` | runs of this process that have ended: `completed`, `retried`, `failed`, `cancelled`, `snoozed`, `rate_limited`, `released`, `waiting`, `lease_lost` |
/// | `longhaul_store_up` | | 1 unless the last call that this process made of its store found it away or full |
/// | `longhaul_store_operation_seconds` | `operation`, `outcome` | histogram: calls of the store, `ok`, `refused` or `unavailable`; `claim_waiting` and `events_waiting` may wait for something to come |
/// | `longhaul_commit_calls` | | histogram: the calls that one commit of the store has carried (in Redis: one script) |
/// | `longhaul_trace_spans_exported_total`, `longhaul_trace_spans_dropped_total` | | spans that reached the collector, and those that did not; where traces are exported |
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
pub(super) async fn metrics(
    Extract(longhaul): Extract<Longhaul>,
    Extract(clock): Extract<Clock>,
) -> Result<Response, Problem> {
    let store = longhaul.store();
    let (queues, workers, lanes) = (store.queues().await?, store.workers().await?, store.lanes().await?);
    let keys = store.keys(&KeyFilter { limit: KEYS, ..KeyFilter::default() }).await?;
    let mut slots: BTreeMap<String, i64> = BTreeMap::new();
    for queue in workers.iter().flat_map(|worker| &worker.queues) {
        *slots.entry(queue.queue.clone()).or_default() += gauged(queue.slots);
    }

    // A registry of this answer's own: the figures are the store's, and are asked for when somebody looks.
    let mut registry = Registry::with_prefix("longhaul");
    let jobs = Family::<QueueState, Gauge>::default();
    for queue in &queues {
        for state in State::ALL {
            let count = queue.counts.get(&state).copied().unwrap_or(0);
            let labels = QueueState { queue: queue.name.clone(), state: state.to_string() };
            jobs.get_or_create(&labels).set(gauged(count));
        }
    }
    registry.register("queue_jobs", "Jobs of a queue in a state", jobs);
    let paused = Family::<Queue, Gauge>::default();
    for queue in &queues {
        paused.get_or_create(&Queue { queue: queue.name.clone() }).set(queue.paused.into());
    }
    registry.register("queue_paused", "1 while a queue is paused", paused);
    register_queue_slots(&mut registry, &queues);
    let oldest = Family::<Queue, Gauge<f64, AtomicU64>>::default();
    let now = clock.now();
    for lane in &lanes {
        let waited = now.since(lane.oldest_at).as_secs_f64();
        let gauge = oldest.get_or_create(&Queue { queue: lane.queue.clone() });
        gauge.set(gauge.get().max(waited));
    }
    let help = "For how long the job that is claimed first has been due";
    registry.register_with_unit("oldest_waiting", help, Unit::Seconds, oldest);
    register_keys(&mut registry, &keys, now);
    let known = ConstGauge::new(gauged(workers.len()));
    registry.register("workers", "Workers heard of within the last minute", known);
    let worker_slots = Family::<Queue, Gauge>::default();
    for (queue, count) in slots {
        worker_slots.get_or_create(&Queue { queue }).set(count);
    }
    registry.register("worker_slots", "Slots that workers have for a queue", worker_slots);
    process::register(&mut registry, store);
    told(&registry)
}

/// The process of a worker, for Prometheus
///
/// The part of a server's metrics that is of its process, so that the store is asked for nothing and its absence is told:
/// `longhaul_store_up` is 0 then.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getWorkerMetrics",
    tag = "about",
    security(()),
    responses((status = 200, description = "The metrics", body = String,
        content_type = "application/openmetrics-text")),
)]
pub(super) async fn worker_metrics(Extract(longhaul): Extract<Longhaul>) -> Result<Response, Problem> {
    let mut registry = Registry::with_prefix("longhaul");
    process::register(&mut registry, longhaul.store());
    told(&registry)
}

fn told(registry: &Registry) -> Result<Response, Problem> {
    let mut text = String::new();
    encode(&mut text, registry).map_err(|e| Problem::internal(format!("failed to write metrics: {e}")))?;
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Key {
    key: String,
}

fn register_queue_slots(registry: &mut Registry, queues: &[QueueInfo]) {
    let (most, used) = <(Family<Queue, Gauge>, Family<Queue, Gauge>)>::default();
    for queue in queues {
        let Some(slots) = queue.config.slots else { continue };
        let labels = Queue { queue: queue.name.clone() };
        most.get_or_create(&labels).set(gauged(slots));
        used.get_or_create(&labels).set(gauged(queue.used.unwrap_or_default()));
    }
    registry.register("queue_slots", "The slots of a queue, where they are limited", most);
    registry.register("queue_slots_used", "The slots of a limited queue that its runs take", used);
}

fn register_keys(registry: &mut Registry, keys: &[KeyInfo], now: Timestamp) {
    let gauges: [Family<Key, Gauge>; 4] = Default::default();
    let [slots, used, waiting, paused] = &gauges;
    let set = |family: &Family<Key, Gauge>, key: &str, number: u64| {
        family.get_or_create(&Key { key: key.to_owned() }).set(gauged(number));
    };
    let mut keys_waiting = 0;
    for key in keys.iter().filter(|key| !key.key.ends_with('*')) {
        if let Some(most) = key.limits.slots {
            set(slots, &key.key, most.into());
        }
        set(used, &key.key, key.used);
        set(waiting, &key.key, key.waiting);
        set(paused, &key.key, key.closed_until.is_some_and(|until| until > now).into());
        keys_waiting += i64::from(key.waiting > 0);
    }
    let [slots, used, waiting, paused] = gauges;
    registry.register("key_slots", "The slots of a limit key", slots);
    registry.register("key_slots_used", "The slots of a limit key that its runs take", used);
    registry.register("key_waiting", "Available jobs of a limit key, a thousand at most", waiting);
    registry.register("key_paused", "1 while a limit key is paused", paused);
    registry.register("keys_waiting", "Limit keys of which jobs wait", ConstGauge::new(keys_waiting));
}

/// A number as gauges take it.
fn gauged(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
