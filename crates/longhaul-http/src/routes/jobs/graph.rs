use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use futures::future::try_join_all;
use longhaul::{JobFilter, JobId, JobRecord, OnFailure, Page, Payloads, State as JobState, Store};
use serde::Serialize;
use utoipa::ToSchema;

use super::read::found;
use crate::auth::Caller;
use crate::path::JobPath;
use crate::problem::Problem;
use crate::state::Api;

/// A job and those that are connected with it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Graph)]
pub(crate) struct GraphBody {
    /// The jobs, this one first and the nearest next; at most 1,000.
    nodes: Vec<NodeBody>,
    /// The waits among them.
    edges: Vec<EdgeBody>,
    /// True where every job is there that is connected with this one and has not been removed.
    complete: bool,
}

/// A job of a graph.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GraphNode)]
pub(crate) struct NodeBody {
    /// Its id.
    #[schema(value_type = String)]
    id: JobId,
    /// The job type that runs it.
    kind: String,
    /// Its state.
    state: JobState,
}

/// One job that waits, or waited, for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GraphEdge)]
pub(crate) struct EdgeBody {
    /// The job that ends first.
    #[schema(value_type = String)]
    from: JobId,
    /// The job that waits for it: one that depends on it, or its parent.
    #[schema(value_type = String)]
    to: JobId,
    /// The meaning of a failure of the first for the other. A parent waits for its children however they end: `run`.
    on_failure: OnFailure,
}

/// The most jobs of a graph.
const MAX_NODES: usize = 1_000;
/// The jobs that are looked up at once.
const LOOKED_UP_AT_ONCE: usize = 500;
/// The jobs whose neighbours are looked for at a time.
const AT_A_TIME: usize = 8;

/// Draws the graph around a job
///
/// The jobs that it depends on and those that depend on it, its parent and its children, and so on from each of them. Jobs that
/// were removed are not in it.
#[utoipa::path(
    get,
    path = "/jobs/{id}/graph",
    operation_id = "getGraph",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 200, description = "The graph", body = GraphBody),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn graph(
    State(api): State<Api>,
    _: Caller,
    JobPath(id): JobPath,
) -> Result<Json<GraphBody>, Problem> {
    found(api.longhaul.get(&id).await?)?;
    Ok(Json(around(&**api.longhaul.store(), id).await?))
}

/// The graph around a job, level by level.
async fn around(store: &dyn Store, id: JobId) -> longhaul::Result<GraphBody> {
    let mut seen = HashSet::from([id.clone()]);
    let (mut jobs, mut level, mut complete) = (Vec::new(), vec![id], true);
    while !level.is_empty() {
        let found = look_up(store, &level).await?;
        let mut near = Vec::new();
        for jobs in found.chunks(AT_A_TIME) {
            let asked = jobs.iter().map(|job| neighbours(store, job));
            near.extend(try_join_all(asked).await?.into_iter().flatten());
        }
        let parents: Vec<JobId> = found.iter().filter_map(|job| job.parent.clone()).collect();
        near.extend(waiting_parents(store, &parents).await?);
        jobs.extend(found);
        level.clear();
        for id in near {
            if seen.len() == MAX_NODES && !seen.contains(&id) {
                complete = false;
                break;
            }
            if seen.insert(id.clone()) {
                level.push(id);
            }
        }
    }
    let edges = edges(&jobs);
    let nodes = jobs.into_iter().map(|job| NodeBody { id: job.id, kind: job.kind, state: job.state });
    Ok(GraphBody { nodes: nodes.collect(), edges, complete })
}

/// Those of the jobs that are there, in this order.
async fn look_up(store: &dyn Store, ids: &[JobId]) -> longhaul::Result<Vec<JobRecord>> {
    let mut found = HashMap::new();
    for ids in ids.chunks(LOOKED_UP_AT_ONCE) {
        // A list, because a look-up counts the place of each job in its queue.
        let filter = JobFilter { ids: ids.to_vec(), ..JobFilter::default() };
        found.extend(list(store, filter).await?.into_iter().map(|job| (job.id.clone(), job)));
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The first jobs of a filter, one more than a graph has.
async fn list(store: &dyn Store, filter: JobFilter) -> longhaul::Result<Vec<JobRecord>> {
    let (mut jobs, mut cursor) = (Vec::new(), None);
    loop {
        let page = Page { cursor, limit: MAX_NODES, payloads: Payloads::Short };
        let page = store.list(&filter, page).await?;
        jobs.extend(page.jobs);
        cursor = page.next;
        if cursor.is_none() || jobs.len() > MAX_NODES {
            return Ok(jobs);
        }
    }
}

/// Those of the parents that wait for their children. Of any other job a parent is lineage alone.
async fn waiting_parents(store: &dyn Store, parents: &[JobId]) -> longhaul::Result<Vec<JobId>> {
    let parents = look_up(store, parents).await?;
    Ok(parents.into_iter().filter(|parent| parent.children.is_some()).map(|parent| parent.id).collect())
}

/// The jobs that a job depends on, those that depend on it, and its children.
async fn neighbours(store: &dyn Store, job: &JobRecord) -> longhaul::Result<Vec<JobId>> {
    let mut near: Vec<JobId> = job.depends_on.iter().map(|on| on.id.clone()).collect();
    near.extend(store.dependants(&job.id, MAX_NODES + 1).await?);
    if job.children.is_some() {
        let children = JobFilter { parents: vec![job.id.clone()], ..JobFilter::default() };
        near.extend(list(store, children).await?.into_iter().rev().map(|child| child.id));
    }
    Ok(near)
}

fn edges(jobs: &[JobRecord]) -> Vec<EdgeBody> {
    let by_id: HashMap<&JobId, &JobRecord> = jobs.iter().map(|job| (&job.id, job)).collect();
    let dependencies = jobs.iter().flat_map(|job| {
        let on = job.depends_on.iter().filter(|on| by_id.contains_key(&on.id));
        on.map(|on| EdgeBody { from: on.id.clone(), to: job.id.clone(), on_failure: on.on_failure })
    });
    let children = jobs.iter().filter_map(|job| {
        let parent = by_id.get(job.parent.as_ref()?)?;
        let is_new = parent.children.is_some() && !parent.depends_on.iter().any(|on| on.id == job.id);
        is_new.then(|| EdgeBody { from: job.id.clone(), to: parent.id.clone(), on_failure: OnFailure::Run })
    });
    dependencies.chain(children).collect()
}
