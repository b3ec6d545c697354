use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::TaskId;
use crate::app::App;
use crate::error::Error;
use crate::task::Task;

/// Tells how a task stands
///
/// A task that has failed is answered with 200, too.
#[utoipa::path(
    get,
    path = "/task/{task_id}",
    operation_id = "getGithubTask",
    responses(
        (status = 200, description = "The task", body = Task),
        (status = 404, description = "The task is not known, or not any more"),
    ),
)]
pub(super) async fn show(State(app): State<Arc<App>>, TaskId(id): TaskId) -> Result<Json<Task>, Error> {
    Ok(Json(app.task(&id).await?.task))
}
