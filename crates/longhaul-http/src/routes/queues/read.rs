use axum::Json;
use axum::extract::State;
use longhaul::QueueInfo;

use super::body::{QueueBody, QueuesBody};
use crate::auth::Caller;
use crate::path::QueuePath;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Lists queues
///
/// Every queue that has, or had, jobs, by name.
#[utoipa::path(
    get,
    path = "/queues",
    operation_id = "listQueues",
    tag = "queues",
    responses((status = 200, description = "The queues", body = QueuesBody)),
)]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<QueuesBody>, Problem> {
    let mut queues = api.longhaul.store().queues().await?;
    queues.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(QueuesBody { queues: queues.into_iter().map(QueueBody::from).collect() }))
}

/// Looks a queue up
#[utoipa::path(
    get,
    path = "/queues/{queue}",
    operation_id = "getQueue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue's name")),
    responses(
        (status = 200, description = "The queue", body = QueueBody),
        (status = 404, description = "No job was ever enqueued in a queue of this name"),
    ),
)]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Caller,
    QueuePath(name): QueuePath,
) -> Result<Json<QueueBody>, Problem> {
    Ok(Json(find(&api, &name).await?.into()))
}

/// The queue of this name, or the problem that there is none.
pub(crate) async fn find(api: &Api, name: &str) -> Result<QueueInfo, Problem> {
    look_up(api, name)
        .await?
        .ok_or_else(|| Problem::new(Code::NoSuchQueue, "no job was ever enqueued in a queue of this name"))
}

pub(super) async fn look_up(api: &Api, name: &str) -> longhaul::Result<Option<QueueInfo>> {
    let queues = api.longhaul.store().queues().await?;
    Ok(queues.into_iter().find(|queue| queue.name == name))
}
