use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use longhaul::Done;

use super::body::ScheduleBody;
use super::read::{find, no_such_schedule};
use super::schedules;
use crate::auth::Caller;
use crate::idempotency::Duplicates;
use crate::path::{Mount, SchedulePath};
use crate::prefer;
use crate::problem::Problem;
use crate::routes::jobs::{JobBody, enqueue};
use crate::state::Api;
use crate::state::inflight::Repeatable;

/// Pauses a schedule
///
/// On every server. Ticks are left out until it is resumed, and are not made up for. Jobs that were enqueued go on.
#[utoipa::path(
    post,
    path = "/schedules/{name}/pause",
    operation_id = "pauseSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The schedule as it is now", body = ScheduleBody),
        (status = 404, description = "There is no schedule of this name"),
    ),
)]
pub(crate) async fn pause(
    State(api): State<Api>,
    _: Caller,
    SchedulePath(name): SchedulePath,
) -> Result<Json<ScheduleBody>, Problem> {
    done(schedules(&api).pause(&name).await?)?;
    Ok(Json(find(&api, &name).await?))
}

/// Resumes a schedule
///
/// Ticks are fired from now on.
#[utoipa::path(
    post,
    path = "/schedules/{name}/resume",
    operation_id = "resumeSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The schedule as it is now", body = ScheduleBody),
        (status = 404, description = "There is no schedule of this name"),
    ),
)]
pub(crate) async fn resume(
    State(api): State<Api>,
    _: Caller,
    SchedulePath(name): SchedulePath,
) -> Result<Json<ScheduleBody>, Problem> {
    done(schedules(&api).resume(&name).await?)?;
    Ok(Json(find(&api, &name).await?))
}

/// Runs a schedule now
///
/// Enqueues its job beside its ticks, which come as before. A paused one is run, too.
#[utoipa::path(
    post,
    path = "/schedules/{name}/run",
    operation_id = "runSchedule",
    tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for a job that is enqueued"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` holds the answer up to N seconds (at most \
            60) until the job has ended", example = "wait=30"),
    ),
    responses(
        (status = 202, description = "The job was accepted", body = JobBody, headers(
            ("Location" = String, description = "Where the job is found"),
            ("Retry-After" = u64, description = "When to ask again, in seconds"),
            ("Preference-Applied" = Option<String>, description = "The wait that was applied"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request with the \
                same key created the job"),
        )),
        (status = 200, description = "The job has ended while the answer was held, or another one of its unique key stands \
            for it", body = JobBody),
        (status = 404, description = "There is no schedule of this name"),
        (status = 409, description = "A request with the same idempotency key is still being answered"),
        (status = 410, description = "The job of the earlier request with the same key was pruned or deleted"),
    ),
)]
pub(crate) async fn run(
    State(api): State<Api>,
    caller: Caller,
    mount: Mount,
    headers: HeaderMap,
    SchedulePath(name): SchedulePath,
) -> Result<Response, Problem> {
    let mut job = schedules(&api).job(&name).await?.ok_or_else(no_such_schedule)?;
    let path = format!("/schedules/{name}/run");
    let repeatable = Repeatable::begin(&headers, &caller, &path, b"null", &api.in_flight)?;
    job.idempotency = repeatable.as_ref().map(Repeatable::one);
    // Its own id is new each time, so it is no other request's.
    let id = job.id.take();
    let duplicates = Duplicates::of(&mut job);
    job.id = id;
    enqueue(&api, job, duplicates, prefer::wait(&headers), mount.base()).await
}

/// Deletes a schedule
///
/// Jobs that its ticks have enqueued stay.
#[utoipa::path(
    delete,
    path = "/schedules/{name}",
    operation_id = "deleteSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 204, description = "The schedule was deleted"),
        (status = 404, description = "There is no schedule of this name"),
    ),
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    _: Caller,
    SchedulePath(name): SchedulePath,
) -> Result<StatusCode, Problem> {
    done(schedules(&api).delete(&name).await?)?;
    Ok(StatusCode::NO_CONTENT)
}

fn done(done: Done) -> Result<(), Problem> {
    match done {
        Done::Yes => Ok(()),
        Done::NotApplicable => Err(no_such_schedule()),
    }
}
