use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::follow::{Ending, Follower, seen};
use crate::auth::Reader;
use crate::problem::Problem;
use crate::state::Api;
use crate::state::line::StreamedEvent;

/// The longest silence of a stream: a comment keeps proxies from closing it.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);
const HEARTBEAT_COMMENT: &[u8] = b": heartbeat\n\n";

/// The pause after which a reader whose stream was cut short comes back, in milliseconds.
const COME_BACK_AFTER: RangeInclusive<u64> = 1_000..=5_000;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follows a job's events
///
/// A stream of server-sent events: `state`, `progress`, `log`, `chunk`, `reset` (drop the chunks of the attempt
/// that failed) and `output`. Each has an `id`; sent back as `Last-Event-ID` it resumes the stream with nothing
/// lost and nothing doubled. A job keeps its newest 10,000 events or 16 MiB of them: a reader who resumes before the
/// oldest is first told `gap`. An id that no event of this job has had is answered with `reset` and the whole log. Only
/// the newest state is told. The stream ends after the state in which the job has ended; asked again after that, the
/// answer is 204, which tells an `EventSource` to stop.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    operation_id = "followJob",
    tag = "jobs",
    params(
        ("id" = String, Path, description = "The job's id"),
        ("after" = Option<u64>, Query, description = "Only events after this one; the header goes first"),
        ("token" = Option<String>, Query, description = "The job's read token, where no header can be sent"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen"),
    ),
    responses(
        (status = 200, description = "The events. The schema is that of each, as a parser of event streams gives it",
            content_type = "text/event-stream", body = StreamedEvent),
        (status = 204, description = "The job has ended and all of its events were seen"),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn events(
    State(api): State<Api>,
    reader: Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = seen(&headers, query.as_deref())?;
    let follower = Follower::start(api, reader, seen).await?;
    if follower.ended().is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let frames = stream::unfold(Some(follower), async |follower| {
        let mut follower = follower?;
        let next = tokio::time::timeout(HEARTBEAT, follower.next()).await;
        let (frame, follower) = match next {
            Err(_) => (Bytes::from_static(HEARTBEAT_COMMENT), Some(follower)),
            Ok(Ok(line)) => (line.frame(), Some(follower)),
            Ok(Err(Ending::Ended | Ending::Gone)) => return None,
            Ok(Err(Ending::Stopping | Ending::StoreAway)) => (farewell(), None),
        };
        Some((Ok::<_, Infallible>(frame), follower))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store, no-transform"),
        // Proxies that buffer answers would hold the events back.
        (X_ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

/// The last words to a reader whose stream is cut short: when to come back. Each is told another time, so that they do
/// not all come at once to a server or a store that has just begun.
fn farewell() -> Bytes {
    let after = rand::random_range(COME_BACK_AFTER);
    format!("retry: {after}\n: cut short, come back\n\n").into()
}
