use axum::Json;
use axum::extract::State;

use super::body::{ScheduleBody, SchedulesBody};
use super::schedules;
use crate::auth::Caller;
use crate::path::SchedulePath;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Lists schedules
///
/// All of them, by name, with their last and next ticks.
#[utoipa::path(
    get,
    path = "/schedules",
    operation_id = "listSchedules",
    tag = "schedules",
    responses((status = 200, description = "The schedules", body = SchedulesBody)),
)]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<SchedulesBody>, Problem> {
    let schedules = schedules(&api).list().await?;
    let body = |info| ScheduleBody::of(info, &api.config.redaction);
    Ok(Json(SchedulesBody { schedules: schedules.into_iter().map(body).collect() }))
}

/// Looks a schedule up
#[utoipa::path(
    get,
    path = "/schedules/{name}",
    operation_id = "getSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name")),
    responses(
        (status = 200, description = "The schedule", body = ScheduleBody),
        (status = 404, description = "There is no schedule of this name"),
    ),
)]
pub(crate) async fn read(
    State(api): State<Api>,
    _: Caller,
    SchedulePath(name): SchedulePath,
) -> Result<Json<ScheduleBody>, Problem> {
    Ok(Json(find(&api, &name).await?))
}

/// The schedule of this name, or the problem that there is none.
pub(super) async fn find(api: &Api, name: &str) -> Result<ScheduleBody, Problem> {
    let info = schedules(api).get(name).await?.ok_or_else(no_such_schedule)?;
    Ok(ScheduleBody::of(info, &api.config.redaction))
}

pub(super) fn no_such_schedule() -> Problem {
    Problem::new(Code::NoSuchSchedule, "there is no schedule of this name")
}
