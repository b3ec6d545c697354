use axum::extract::State;
use axum::http::StatusCode;
use longhaul::Action;

use super::again::finished_only;
use crate::auth::Caller;
use crate::path::JobPath;
use crate::problem::Problem;
use crate::state::Api;

/// Removes a finished job
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    operation_id = "deleteJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 204, description = "The job was removed"),
        (status = 404, description = "No job of this id is known"),
        (status = 409, description = "The job is unfinished"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    _: Caller,
    JobPath(id): JobPath,
) -> Result<StatusCode, Problem> {
    finished_only(&api, &id, Action::Delete).await?;
    Ok(StatusCode::NO_CONTENT)
}
