use axum::Json;
use axum::extract::State;
use longhaul::QueueInfo;

use super::body::QueueBody;
use super::read::{find, look_up};
use crate::auth::Caller;
use crate::path::QueuePath;
use crate::problem::Problem;
use crate::state::Api;

/// Pauses a queue
///
/// No worker is given jobs of it until it is resumed. Jobs that run go on, and delayed ones fall due all the same. A queue
/// may be paused before there is a job in it.
#[utoipa::path(
    post,
    path = "/queues/{queue}/pause",
    operation_id = "pauseQueue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue's name")),
    responses((status = 200, description = "The queue as it is now", body = QueueBody)),
)]
pub(crate) async fn pause(
    State(api): State<Api>,
    _: Caller,
    QueuePath(name): QueuePath,
) -> Result<Json<QueueBody>, Problem> {
    api.longhaul.store().pause_queue(&name).await?;
    Ok(Json(find(&api, &name).await?.into()))
}

/// Resumes a queue
///
/// Workers that wait are given its jobs at once. One that is not paused stays as it is, as does one that no job was in.
#[utoipa::path(
    post,
    path = "/queues/{queue}/resume",
    operation_id = "resumeQueue",
    tag = "queues",
    params(("queue" = String, Path, description = "The queue's name")),
    responses((status = 200, description = "The queue as it is now", body = QueueBody)),
)]
pub(crate) async fn resume(
    State(api): State<Api>,
    _: Caller,
    QueuePath(name): QueuePath,
) -> Result<Json<QueueBody>, Problem> {
    longhaul::admit::queue(&name)?;
    api.longhaul.store().resume_queue(&name).await?;
    let queue = look_up(&api, &name).await?;
    Ok(Json(queue.unwrap_or_else(|| QueueInfo { name, ..QueueInfo::default() }).into()))
}
