use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use longhaul::WorkerInfo;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::state::Api;
use crate::time::Rfc3339;
use crate::wire::{KindBody, SlotsBody};

/// The route of workers.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list))
}

/// The workers that are there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkerList)]
struct WorkersBody {
    /// By id, so that those of one process stand together.
    workers: Vec<WorkerBody>,
}

/// A worker, as it last presented itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
struct WorkerBody {
    /// Its id.
    id: String,
    /// Names the process that it runs in.
    process: String,
    /// The machine's name.
    host: String,
    /// The queues that it serves.
    queues: Vec<SlotsBody>,
    /// The kinds that it runs; empty where it is of a release that does not tell them.
    kinds: Vec<KindBody>,
    /// The program and release that it is of.
    version: String,
    /// When it started, by its own clock.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    started_at: Option<Rfc3339>,
    /// The time of its last sign of life.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Rfc3339,
    /// Its labels, which jobs may prefer.
    labels: BTreeMap<String, String>,
}

/// Lists workers
///
/// Those heard of within the last minute, wherever they run.
#[utoipa::path(
    get,
    path = "/workers",
    operation_id = "listWorkers",
    tag = "workers",
    responses((status = 200, description = "The workers", body = WorkersBody)),
)]
async fn list(State(api): State<Api>, _: Caller) -> Result<Json<WorkersBody>, Problem> {
    let mut workers = api.longhaul.store().workers().await?;
    workers.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(Json(WorkersBody { workers: workers.into_iter().map(WorkerBody::from).collect() }))
}

impl From<WorkerInfo> for WorkerBody {
    fn from(worker: WorkerInfo) -> Self {
        Self {
            id: worker.id,
            process: worker.process,
            host: worker.host,
            queues: worker.queues.iter().map(SlotsBody::from).collect(),
            kinds: worker.kinds.iter().map(KindBody::from).collect(),
            version: worker.version,
            started_at: worker.started_at.map(Rfc3339),
            seen_at: Rfc3339(worker.seen_at),
            labels: worker.labels,
        }
    }
}
