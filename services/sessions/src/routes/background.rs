use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use longhaul::{JobId, State};
use longhaul_http::JobBody;
use service_support::RowJob;

use super::{Caller, named};
use crate::app::App;
use crate::error::Error;
use crate::jobs::dispatch_job;
use crate::model::{Session, job_id};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The longest that a request is held, in seconds.
const MAX_WAIT: u64 = 60;

/// Looks a session's job up
///
/// For its host, in the form that every job has.
#[utoipa::path(
    get,
    path = "/sessions/{id}/background",
    operation_id = "getSessionBackground",
    params(("Prefer" = Option<String>, Header, description = "`wait=N` holds the answer up to N seconds (at most 60) \
        until the job has ended", example = "wait=30")),
    responses(
        (status = 200, description = "The job", body = JobBody, headers(
            ("Preference-Applied" = Option<String>, description = "The wait that was applied"),
        )),
        (status = 404, description = "The session is not dispatched, or is not there"),
    ),
)]
pub(crate) async fn get(
    Shared(app): Shared<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let session = app.own_session(&user, named(path), "view the background process of").await?;
    let wait = wanted_wait(&headers);
    let job = app.background(&session, Duration::from_secs(wait.unwrap_or(0))).await?;
    let mut response = shown(&session, &job.ok_or_else(no_background)?)?;
    if let Some(applied) = wait.and_then(|wait| HeaderValue::try_from(format!("wait={wait}")).ok()) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// Runs a session's job again
///
/// One whose record was cleared away is begun anew.
#[utoipa::path(
    post,
    path = "/sessions/{id}/background/retry",
    operation_id = "retrySessionBackground",
    responses((status = 200, description = "The job", body = JobBody)),
)]
pub(crate) async fn retry(
    Shared(app): Shared<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Error> {
    let session = app.own_session(&user, named(path), "retry the background process of").await?;
    let id = job_id(&session.id, session.dispatch);
    match app.background(&session, Duration::ZERO).await? {
        Some(RowJob::Enqueued(job)) if matches!(job.state, State::Failed | State::Cancelled) => {
            app.longhaul.retry(&id).await?;
        }
        Some(_) => return Err(Error::bad_request("The background process has not failed")),
        None if session.to_dispatch().is_none() => return Err(no_background()),
        None => {
            app.db.commit(vec![], vec![dispatch_job(&app, &session)?]).await?;
        }
    }
    tracing::info!(target: "SessionsService", "Triggering background process for session: {}", session.id);
    let job = app.background(&session, Duration::ZERO).await?;
    shown(&session, &job.ok_or_else(no_background)?)
}

impl App {
    /// The job of a session, which has `wait` to end.
    async fn background(&self, session: &Session, wait: Duration) -> Result<Option<RowJob>, Error> {
        let id = job_id(&session.id, session.dispatch);
        let look = |ids: Vec<JobId>| async move {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(self.longhaul.wait(&id, wait).await?.found());
            }
            longhaul::Result::Ok(found)
        };
        Ok(self.db.find_jobs(vec![id.clone()], |_| true, look).await?.remove(&id))
    }
}

/// A session's job; one that is on its way to its store looks as it will when it is there.
fn shown(session: &Session, job: &RowJob) -> Result<Response, Error> {
    Ok(match job {
        RowJob::Enqueued(job) => Json(JobBody::from(&**job)).into_response(),
        RowJob::Waiting(waiting) => {
            let id = job_id(&session.id, session.dispatch);
            Json(JobBody::accepted(&id, &waiting.job()?, waiting.since)).into_response()
        }
    })
}

fn no_background() -> Error {
    Error::not_found("No background process for this session")
}

/// The seconds of a `Prefer: wait=N`, whatever its capitals, spaces and quotation marks.
fn wanted_wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split([',', ';']));
    let wait = preferences.find_map(|one| {
        let (name, value) = one.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        value.trim().trim_matches('"').parse::<u64>().ok().filter(|_| is_wait)
    });
    wait.map(|wait| wait.min(MAX_WAIT))
}
