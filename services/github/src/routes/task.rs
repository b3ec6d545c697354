use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::TaskId;
use crate::app::App;
use crate::error::Error;
use crate::task::Task;

/// `GET /task/{task_id}`
pub(super) async fn show(State(app): State<Arc<App>>, TaskId(id): TaskId) -> Result<Json<Task>, Error> {
    Ok(Json(app.task(&id).await?.task))
}
