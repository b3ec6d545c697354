use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul::{JobRecord, Lookup};
use sha2::{Digest, Sha256};

use super::body::JobBody;
use crate::auth::Reader;
use crate::canonical::hex;
use crate::path::no_such_job;
use crate::prefer;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Looks a job up
///
/// With `If-None-Match`, an answer that would be the same to the byte is 304 without a body.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    operation_id = "getJob",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("token" = Option<String>, Query, description = "The job's read token, where no header can be sent"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` holds the answer up to N seconds (at most \
            60) until the job has ended", example = "wait=30"),
    ),
    responses(
        (status = 200, description = "The job", body = JobBody, headers(
            ("ETag" = String, description = "Changes with every byte of the answer"),
            ("Retry-After" = Option<u64>, description = "While the job is unfinished: when to ask again, in \
                seconds"),
            ("Preference-Applied" = Option<String>, description = "The wait that was applied"),
        )),
        (status = 304, description = "The job is as it was"),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn read(
    State(api): State<Api>,
    reader: Reader,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = prefer::wait(&headers);
    // How long the answer takes must not tell of a job that is not shown.
    if reader.is_bound() && wait.is_some() {
        readable(&api, &reader).await?;
    }
    let record = found(api.hold(&reader.id, wait).await?)?;
    reader.check(&record)?;
    let mut response = answer(&api, &record, &headers);
    prefer::applied(wait, response.headers_mut());
    Ok(response)
}

fn answer(api: &Api, record: &JobRecord, headers: &HeaderMap) -> Response {
    let estimate = api.estimator.of(record);
    let mut body = JobBody::from(record);
    body.eta_seconds = estimate.eta_seconds();
    let body = body.to_vec();
    // The digest of the body itself: a tag made of some of its fields would have to be changed with them.
    let tag = format!("\"{}\"", &hex(&Sha256::digest(&body))[..32]);
    let unchanged = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|known| known.to_str().is_ok_and(|known| names_tag(known, &tag)));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    };
    let out = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(ETAG, tag);
    }
    out.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if !record.state.is_finished() {
        out.insert(RETRY_AFTER, HeaderValue::from(estimate.retry_after()));
    }
    response
}

/// True where an `If-None-Match` names this tag, by the weak comparison that RFC 9110 asks for there.
fn names_tag(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// The job that a reader may read, as it is now.
pub(super) async fn readable(api: &Api, reader: &Reader) -> Result<Box<JobRecord>, Problem> {
    let record = found(api.longhaul.get(&reader.id).await?)?;
    reader.check(&record)?;
    Ok(record)
}

/// The job of a look-up, or the problem that there is none.
pub(crate) fn found(lookup: Lookup) -> Result<Box<JobRecord>, Problem> {
    match lookup {
        Lookup::Found(record) => Ok(record),
        Lookup::Gone => Err(Problem::new(Code::JobGone, "the job was pruned or deleted")),
        Lookup::Unknown => Err(no_such_job()),
    }
}
