use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use longhaul::{Action, CANCEL_GRACE, JobFilter, JobId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::JobBody;
use super::filter::FilterRequest;
use super::read::found;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::Faults;
use crate::path::{JobPath, Mount};
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Cancels a job
///
/// A waiting job ends at once. A running one is asked to stop, and is fenced off if it has not within 10
/// seconds. A finished one stays as it is.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    operation_id = "cancelJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "The job is running and was asked to stop", body = JobBody),
        (status = 200, description = "The job has ended", body = JobBody),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn cancel(
    State(api): State<Api>,
    _: Caller,
    mount: Mount,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    api.longhaul.cancel(&id).await?;
    let record = found(api.longhaul.get(&id).await?)?;
    let status = if record.state.is_finished() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(JobBody::from(&*record).answer(status, mount.base(), api.estimator.of(&record)))
}

/// Runs a finished job again
///
/// With all its attempts.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    operation_id = "retryJob",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses(
        (status = 202, description = "The job is to run again", body = JobBody),
        (status = 404, description = "No job of this id is known"),
        (status = 409, description = "The job is unfinished, or another job holds its unique key"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn retry(
    State(api): State<Api>,
    _: Caller,
    mount: Mount,
    JobPath(id): JobPath,
) -> Result<Response, Problem> {
    finished_only(&api, &id, Action::Retry).await?;
    let record = found(api.longhaul.get(&id).await?)?;
    Ok(JobBody::from(&*record).answer(StatusCode::ACCEPTED, mount.base(), api.estimator.of(&record)))
}

/// Does what is for finished jobs only, or says why not.
pub(crate) async fn finished_only(api: &Api, id: &JobId, action: Action) -> Result<(), Problem> {
    // Twice, because a job may end between an action that came too early and the look at its state.
    for _ in 0..2 {
        if api.longhaul.store().act(&JobFilter::id(id.clone()), action, 1).await? > 0 {
            return Ok(());
        }
        let record = found(api.longhaul.get(id).await?)?;
        if !record.state.is_finished() {
            let detail = format!("the job is {}; this is for finished jobs, cancel it first", record.state);
            return Err(Problem::new(Code::NotFinished, detail));
        }
    }
    Err(Problem::new(Code::UniqueKeyHeld, "another job holds the unique key of this one"))
}

/// What to do to which jobs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BulkAction)]
pub(crate) struct ActionRequest {
    action: ActionWord,
    filter: FilterRequest,
    /// The most jobs to act on, 1 to 10,000; 1,000 unless given.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
}

/// What to do.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Action)]
enum ActionWord {
    /// Ends waiting jobs, and asks running ones to stop.
    Cancel,
    /// Runs finished jobs again.
    Retry,
    /// Removes finished jobs.
    Delete,
}

/// How many jobs something was done to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ActionCount)]
pub(crate) struct ActionCount {
    count: u64,
    /// Whether the limit was reached, so that more jobs may fit: send the same again until this is false. Then none
    /// was left that fits and that the action is for.
    more: bool,
}

const DEFAULT_ACTIONS: usize = 1_000;
const MAX_ACTIONS: usize = 10_000;

/// Cancels, retries or deletes many jobs
///
/// Jobs that the action is not for (a retry of an unfinished one, or of one whose unique key another job holds) are
/// left alone and not counted. To retry all failed jobs of a queue, or to clean them away:
/// `{"action": "retry", "filter": {"queue": "mail", "state": "failed"}}`, and the same with `"delete"`.
/// The store works in small batches, so that nobody else waits for a large action; one that is cut off half-way has
/// been done to some of the jobs, and may be sent again.
#[utoipa::path(
    post,
    path = "/jobs/actions",
    operation_id = "actOnJobs",
    tag = "jobs",
    request_body(content = ActionRequest),
    responses((status = 200, description = "How many jobs it was done to", body = ActionCount)),
)]
pub(crate) async fn act_on_many(
    State(api): State<Api>,
    _: Caller,
    JsonBody { value, .. }: JsonBody<ActionRequest>,
) -> Result<Json<ActionCount>, Problem> {
    let mut faults = Faults::default();
    let filter = value.filter.prepare(&mut faults);
    let limit = value.limit.unwrap_or(DEFAULT_ACTIONS);
    if !(1..=MAX_ACTIONS).contains(&limit) {
        faults.add(Code::Invalid, "limit", format!("must be from 1 to {MAX_ACTIONS}"));
    }
    faults.into_result()?;
    let action = match value.action {
        ActionWord::Cancel => Action::Cancel { grace: CANCEL_GRACE },
        ActionWord::Retry => Action::Retry,
        ActionWord::Delete => Action::Delete,
    };
    let Some(filter) = filter else { return Ok(Json(ActionCount { count: 0, more: false })) };
    let count = api.longhaul.store().act(&filter, action, limit).await?;
    Ok(Json(ActionCount { count, more: count >= limit as u64 }))
}
