use axum::Json;
use axum::extract::State;
use longhaul::{Json as RawJson, StepRecord};
use serde::Serialize;
use utoipa::ToSchema;

use super::read::readable;
use crate::auth::Reader;
use crate::path::no_such_job;
use crate::problem::Problem;
use crate::state::Api;
use crate::time::Rfc3339;

/// A step that is done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(crate) struct StepBody {
    /// Its name.
    name: String,
    /// The attempt that did it; 0 where it was done before attempts were kept.
    attempt: u32,
    /// When it began.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    started_at: Option<Rfc3339>,
    /// When it was done.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    finished_at: Option<Rfc3339>,
    /// Its output, which is kept until the job completes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    output: Option<RawJson>,
}

/// Lists the steps of a job
///
/// Those that are done, in the order in which they were.
#[utoipa::path(
    get,
    path = "/jobs/{id}/steps",
    operation_id = "listSteps",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("token" = Option<String>, Query, description = "The job's read token, where no header can be sent"),
    ),
    responses(
        (status = 200, description = "The steps", body = Vec<StepBody>),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn steps(State(api): State<Api>, reader: Reader) -> Result<Json<Vec<StepBody>>, Problem> {
    readable(&api, &reader).await?;
    let steps = api.longhaul.store().steps(&reader.id).await?.ok_or_else(no_such_job)?;
    Ok(Json(steps.into_iter().map(StepBody::from).collect()))
}

impl From<StepRecord> for StepBody {
    fn from(step: StepRecord) -> Self {
        Self {
            name: step.name,
            attempt: step.attempt,
            started_at: step.started_at.map(Rfc3339),
            finished_at: step.finished_at.map(Rfc3339),
            output: step.output,
        }
    }
}
