use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use longhaul::schedule::Put;
use longhaul::{Schedule, Timing};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{CatchUpWord, ScheduleBody};
use super::read::find;
use super::schedules;
use crate::auth::Caller;
use crate::extract::JsonBody;
use crate::faults::{Faults, FieldPath, duration};
use crate::path::SchedulePath;
use crate::problem::{Code, Problem};
use crate::routes::jobs::{JobRequest, OnDisconnect};
use crate::state::Api;

/// A schedule to be kept: a pattern or an interval, and a job.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSchedule)]
pub(crate) struct ScheduleRequest {
    /// Fires by a cron pattern: minute, hour, day of the month, month, day of the week; or these five with the second before
    /// them; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. Either this or `every`.
    #[schema(example = "0 3 * * *")]
    cron: Option<String>,
    /// Fires whenever the time since 1970-01-01T00:00:00Z is a multiple of this: a whole number of seconds, at most ten years.
    /// Every 900 is at each quarter of an hour.
    #[schema(minimum = 1.0, maximum = 315_360_000.0)]
    every: Option<f64>,
    /// The time zone of the IANA database that the pattern is read in; `UTC` unless it is given.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
    /// Starts the job of a tick up to so many seconds after it, by a part of them that is fixed for each tick: 0 to a day.
    #[schema(minimum = 0.0, maximum = 86_400.0)]
    jitter: Option<f64>,
    /// The fate of ticks that no server was there to fire; `once` unless it is given.
    catch_up: Option<CatchUpWord>,
    /// Pauses or resumes it. Where it is left out, a schedule that is paused stays paused.
    paused: Option<bool>,
    /// The job of each tick, with the fields of a job that is enqueued but `id`, `run_at`, `delay`,
    /// `parent` and `depends_on`.
    job: JobRequest,
}

/// A schedule that is asked for.
pub(super) struct Prepared {
    pub(super) schedule: Schedule,
    pub(super) paused: Option<bool>,
}

/// Keeps a schedule
///
/// In the place of the one that has the name. What is left out is as it is by default, but for `paused`. Its ticks count from now
/// on; where the pattern, the zone or the interval change, those that were due before are fired.
#[utoipa::path(
    put,
    path = "/schedules/{name}",
    operation_id = "putSchedule",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule's name: 1–64 characters of `A–Z a–z 0–9 . _ : -`")),
    request_body(content = ScheduleRequest),
    responses(
        (status = 200, description = "The schedule, which was there before or takes the place of another", body = ScheduleBody),
        (status = 201, description = "The schedule, which was not there before", body = ScheduleBody),
    ),
)]
pub(crate) async fn put(
    State(api): State<Api>,
    _: Caller,
    SchedulePath(name): SchedulePath,
    JsonBody { value, .. }: JsonBody<ScheduleRequest>,
) -> Result<(StatusCode, Json<ScheduleBody>), Problem> {
    let mut faults = Faults::default();
    let prepared = value.prepare(name, &api, &mut faults);
    faults.into_result()?;
    let Some(Prepared { schedule, paused }) = prepared else {
        return Err(Problem::internal("a request without faults made no schedule"));
    };
    let (name, schedules) = (schedule.name.clone(), schedules(&api));
    let put = schedules.put(schedule).await?;
    match paused {
        Some(true) => drop(schedules.pause(&name).await?),
        Some(false) => drop(schedules.resume(&name).await?),
        None => {}
    }
    let status = if put == Put::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(find(&api, &name).await?)))
}

impl ScheduleRequest {
    /// The schedule that is asked for; nothing where something is wrong with it, which is then among the faults.
    pub(super) fn prepare(self, name: String, api: &Api, faults: &mut Faults) -> Option<Prepared> {
        let before = faults.count();
        let jitter = self.jitter.and_then(|jitter| duration("jitter", jitter, faults)).unwrap_or_default();
        let timing = match (self.cron, self.every) {
            (Some(cron), None) => {
                Some(Timing::Cron { cron, timezone: self.timezone.unwrap_or_else(|| "UTC".into()) })
            }
            (None, Some(every)) => {
                if self.timezone.is_some_and(|zone| zone != "UTC") {
                    let message =
                        "is for cron: an interval is the same in every zone. A time of day needs cron";
                    faults.add(Code::Invalid, "timezone", message);
                }
                duration("every", every, faults).map(Timing::Every)
            }
            (Some(_), Some(_)) => {
                faults.add(Code::Invalid, "every", "must not be given together with cron");
                None
            }
            (None, None) => {
                faults.add(Code::Invalid, "cron", "must be given, or every");
                None
            }
        };
        if api.config.redaction.holds_placeholder(self.job.args()) {
            faults.add(Code::Invalid, "job.args", "holds a value that is not shown; give the value itself");
        }
        faults.path = FieldPath::Job;
        let job = self.job.prepare(api, faults);
        if job.as_ref().is_some_and(|job| job.on_disconnect == OnDisconnect::CancelJob) {
            faults.add(Code::Invalid, "cancel_on_disconnect", "is for one job whose answer is held");
        }
        faults.path = FieldPath::Whole;
        let (timing, job) = (timing?, job?.job);
        let catch_up = self.catch_up.unwrap_or_default().into();
        let schedule = Schedule { name, timing, catch_up, jitter, job };
        faults.check(schedule.validate());
        (faults.count() == before).then_some(Prepared { schedule, paused: self.paused })
    }
}
