use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use longhaul_http::JobBody;

use super::{Caller, named};
use crate::app::App;
use crate::error::{self, Error};
use crate::model::job_id;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The longest that a request is held, in seconds.
const MAX_WAIT: u64 = 60;

/// `GET /sessions/{id}/background`: the session's job, in the form that every job has. With `Prefer: wait=N` the answer
/// is held up to N seconds, until the job has ended.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Caller(user): Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let session = app.session(named(path)).await?;
    if session.host_id != user.sub {
        return Err(error::forbidden("You can only view the background process of your own sessions"));
    }
    let wait = wanted_wait(&headers);
    let job = app.longhaul.wait(&job_id(&session.id), Duration::from_secs(wait.unwrap_or(0))).await?;
    let Some(job) = job.found() else {
        return Err(Error::not_found("No background process for this session"));
    };
    let mut response = Json(JobBody::from(&job)).into_response();
    if let Some(applied) = wait.and_then(|wait| HeaderValue::try_from(format!("wait={wait}")).ok()) {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// The seconds of a `Prefer: wait=N`.
fn wanted_wait(headers: &HeaderMap) -> Option<u64> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split([',', ';']));
    let wait = preferences.find_map(|one| one.trim().strip_prefix("wait=")?.trim().parse::<u64>().ok());
    wait.map(|wait| wait.min(MAX_WAIT))
}
