use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use longhaul::stats::{Totals, Window};
use longhaul::{Lane, WorkerInfo, schedule};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::stats::TimesBody;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Api;
use crate::time::Rfc3339;

/// The route of kinds.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(kinds))
}

/// Kinds of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KindList)]
pub(crate) struct KindsBody {
    /// Those that wait, that workers know, or that ended within the last hour; by name.
    kinds: Vec<KindBody>,
}

/// A kind of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kind)]
pub(crate) struct KindBody {
    /// Its name.
    kind: String,
    /// True where a live worker runs each version that waits. Where it is false, jobs wait that nobody takes.
    known: bool,
    /// The live workers that run it.
    workers: u64,
    /// The newest version that a live worker reads.
    #[schema(required)]
    newest_supported: Option<u32>,
    /// The versions that wait for a worker, by queue.
    versions: Vec<VersionBody>,
    /// Jobs that completed within the last hour.
    completed: u64,
    /// Jobs that failed within the last hour.
    failed: u64,
    /// Their waits, within the last hour.
    wait: TimesBody,
    /// Their runs, within the last hour.
    run: TimesBody,
}

/// Jobs of a version that wait for a worker.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KindVersion)]
pub(crate) struct VersionBody {
    /// The queue.
    queue: String,
    /// The version of the args.
    version: u32,
    /// The number that waits; at most 1,000 are counted.
    waiting: u64,
    /// When the one fell due that is claimed first.
    #[schema(value_type = String, format = DateTime)]
    oldest_at: Rfc3339,
    /// True where a live worker that serves the queue runs it.
    known: bool,
}

/// Lists kinds of jobs
///
/// The kinds of jobs with the number that waits, the workers that know them, and their durations.
#[utoipa::path(
    get,
    path = "/kinds",
    operation_id = "listKinds",
    tag = "stats",
    responses((status = 200, description = "The kinds", body = KindsBody)),
)]
async fn kinds(State(api): State<Api>, _: Caller) -> Result<Json<KindsBody>, Problem> {
    const HOUR: Duration = Duration::from_secs(3600);
    let store = api.longhaul.store();
    let (lanes, workers) = (store.lanes().await?, store.workers().await?);
    let window = Window { length: HOUR, step: HOUR, queue: None, kind: None };
    let mut measured = api.recorder().report(&window, api.config.clock.now()).await?.kinds;
    let mut waiting: BTreeMap<String, Vec<Lane>> = BTreeMap::new();
    // The jobs that move schedules on are the engine's own, whose kind no worker has.
    for lane in lanes.into_iter().filter(|lane| lane.queue != schedule::QUEUE) {
        waiting.entry(lane.kind.clone()).or_default().push(lane);
    }
    let known = workers.iter().flat_map(|worker| &worker.kinds).map(|kind| &kind.kind);
    for name in known.chain(measured.keys()) {
        waiting.entry(name.clone()).or_default();
    }
    let kind = |(name, lanes): (String, Vec<Lane>)| {
        let totals = measured.remove(&name).unwrap_or_default();
        KindBody::of(name, lanes, &workers, totals)
    };
    Ok(Json(KindsBody { kinds: waiting.into_iter().map(kind).collect() }))
}

impl KindBody {
    fn of(kind: String, lanes: Vec<Lane>, workers: &[WorkerInfo], totals: Totals) -> Self {
        let supported = || workers.iter().flat_map(|worker| &worker.kinds).filter(|known| known.kind == kind);
        let version = |lane: Lane| VersionBody {
            known: workers.iter().any(|worker| {
                worker.queues.iter().any(|queue| queue.queue == lane.queue)
                    && worker.knows(&lane.kind, lane.version)
            }),
            queue: lane.queue,
            version: lane.version,
            waiting: lane.waiting,
            oldest_at: Rfc3339(lane.oldest_at),
        };
        let versions: Vec<VersionBody> = lanes.into_iter().map(version).collect();
        let workers = supported().count() as u64;
        Self {
            known: if versions.is_empty() {
                workers > 0
            } else {
                versions.iter().all(|version| version.known)
            },
            newest_supported: supported().map(|known| known.version).max(),
            workers,
            versions,
            completed: totals.counts.completed,
            failed: totals.counts.failed,
            wait: totals.wait.into(),
            run: totals.run.into(),
            kind,
        }
    }
}
