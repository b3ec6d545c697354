use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use longhaul::{Event, EventBody, JobId, Json, LogLevel, Lookup, State as JobState};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{ChildrenBody, ErrorBody, state_schema};
use super::read::found;
use crate::auth::Reader;
use crate::problem::{Code, FieldError, Problem};
use crate::query;
use crate::state::Api;
use crate::time::Rfc3339;

/// The most events that are held in memory for a reader.
const PAGE: usize = 100;
/// How long the store is asked to wait for something new; then it is asked again.
const LONG_POLL: Duration = Duration::from_secs(30);
/// How long a stream is silent before it says that it is still there, which keeps proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// When a reader whose stream was cut short is to come back, in milliseconds.
const COME_BACK_AFTER: RangeInclusive<u64> = 1_000..=5_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follows a job's events
///
/// A stream of server-sent events: `state`, `progress`, `log`, `chunk`, `reset` (drop the chunks of the attempt
/// that failed) and `output`. Each has an `id`; sent back as `Last-Event-ID` it resumes the stream with nothing
/// lost and nothing doubled. Only the newest state is told. The stream ends after the state in which the job has
/// ended; asked again after that, the answer is 204, which tells an `EventSource` to stop.
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
        (status = 200, description = "The events; each `data` is one of these", content_type = "text/event-stream",
            body = EventData),
        (status = 204, description = "The job has ended and all of its events were seen"),
        (status = 404, description = "No job of this id is known"),
        (status = 410, description = "The job was pruned or deleted within the last 24 hours"),
    ),
)]
pub(crate) async fn events(
    State(api): State<Api>,
    Reader(id): Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = seen(&headers, query.as_deref())?;
    let Some(page) = api.longhaul.events(&id, after, PAGE, Duration::ZERO).await? else {
        // The log does not tell a job that is gone from one that never was.
        found(api.longhaul.get(&id).await?)?;
        return Err(Problem::new(Code::JobGone, "the job was pruned or deleted"));
    };
    let follower = Follower { api, id, after, page: page.into_iter(), phase: Phase::Following };
    if follower.page.len() == 0 && follower.has_seen_the_end().await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = stream::unfold(follower, async |mut follower| {
        let event = match follower.next().await {
            Some(event) => write(&event),
            None => follower.farewell()?,
        };
        Some((Ok::<_, Infallible>(event), follower))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that buffer answers would hold the events back.
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// The number of the last event that the reader has seen.
fn seen(headers: &HeaderMap, query: Option<&str>) -> Result<u64, Problem> {
    // A browser that reconnects repeats the URL of its first request, so what the header says is newer.
    if let Some(seen) = headers.get(LAST_EVENT_ID) {
        let seen = seen.to_str().ok().map(str::trim);
        return match seen.map(|seen| if seen.is_empty() { Ok(0) } else { seen.parse() }) {
            Some(Ok(seen)) => Ok(seen),
            _ => Err(Problem::new(Code::InvalidHeader, "the last-event-id must be a whole number from 0")),
        };
    }
    match query::value(query, "after") {
        None => Ok(0),
        Some(after) => query::number(&after, 0..=u64::MAX).map_err(|message| {
            let error = FieldError { field: "after".into(), message };
            Problem::fields(Code::Invalid, vec![error])
        }),
    }
}

/// Reads a job's log page by page.
#[derive(Debug)]
struct Follower {
    api: Api,
    id: JobId,
    /// The number of the last event that was handed out.
    after: u64,
    page: std::vec::IntoIter<Event>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Following,
    /// The event that ends the log was handed out.
    Ended,
    /// The stream ends before the log does, because the store fails or the server stops.
    CutShort,
    /// The same, and the reader was told when to come back.
    Told,
}

impl Follower {
    /// The next event; none after the job has ended, when it is gone, when the store fails or when the server
    /// stops. A reader that comes back with the last number it saw goes on where it was.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.phase != Phase::Following {
                return None;
            }
            if let Some(event) = self.page.next() {
                self.after = event.seq;
                if matches!(event.body, EventBody::State { state, .. } if state.is_finished()) {
                    self.phase = Phase::Ended;
                }
                return Some(event);
            }
            let more = tokio::select! {
                biased;
                () = self.api.config.stopping.cancelled() => {
                    self.phase = Phase::CutShort;
                    return None;
                }
                more = self.more() => more,
            };
            match more {
                Ok(Some(page)) => self.page = page.into_iter(),
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(job = %self.id, "failed to follow a job's events; its reader must come back: {error}");
                    self.phase = Phase::CutShort;
                    return None;
                }
            }
        }
    }

    /// What a reader is told whose stream is cut short: when to come back. Each is told another time, so that they do
    /// not all come at once to a server or a store that has just begun.
    fn farewell(&mut self) -> Option<sse::Event> {
        if self.phase != Phase::CutShort {
            return None;
        }
        self.phase = Phase::Told;
        let after = Duration::from_millis(rand::random_range(COME_BACK_AFTER));
        Some(sse::Event::default().retry(after).comment("cut short, come back"))
    }

    async fn more(&self) -> longhaul::Result<Option<Vec<Event>>> {
        let page = self.api.longhaul.events(&self.id, self.after, PAGE, LONG_POLL).await?;
        // Nothing new is either a wait that is over or a job that has ended; the latter would answer at once,
        // for ever.
        if page.as_ref().is_some_and(Vec::is_empty) && self.has_seen_the_end().await? {
            return Ok(None);
        }
        Ok(page)
    }

    async fn has_seen_the_end(&self) -> longhaul::Result<bool> {
        Ok(match self.api.longhaul.get(&self.id).await? {
            Lookup::Found(job) => job.state.is_finished() && job.last_event <= self.after,
            Lookup::Gone | Lookup::Unknown => true,
        })
    }
}

/// What an event says. Which fields there are depends on the event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventData<'a> {
    /// The attempt that it belongs to.
    attempt: u32,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    #[serde(flatten)]
    said: Said<'a>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = EventBody)]
enum Said<'a> {
    /// `state`
    State {
        #[schema(schema_with = state_schema)]
        state: JobState,
        #[schema(required)]
        error: Option<ErrorBody<'a>>,
        /// How its children stand, where it closes a batch; the state is told anew whenever one ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        children: Option<ChildrenBody>,
    },
    /// `progress`
    Progress {
        percent: f64,
        message: &'a str,
        #[schema(value_type = serde_json::Value)]
        data: Option<&'a Json>,
    },
    /// `log`
    Log {
        #[schema(value_type = String)]
        level: LogLevel,
        message: &'a str,
    },
    /// `chunk`
    Chunk {
        #[schema(value_type = serde_json::Value)]
        data: &'a Json,
    },
    /// `output`
    Output {
        #[schema(value_type = serde_json::Value)]
        output: &'a Json,
    },
    /// `reset`
    Reset {},
}

fn write(event: &Event) -> sse::Event {
    let (name, said) = match &event.body {
        EventBody::State { state, error, children } => {
            let (error, children) = (error.as_ref().map(ErrorBody::from), children.map(ChildrenBody::from));
            ("state", Said::State { state: *state, error, children })
        }
        EventBody::Progress(progress) => (
            "progress",
            Said::Progress {
                percent: progress.percent,
                message: &progress.message,
                data: progress.data.as_ref(),
            },
        ),
        EventBody::Log { level, message } => ("log", Said::Log { level: *level, message }),
        EventBody::Chunk { data } => ("chunk", Said::Chunk { data }),
        EventBody::Gap => ("gap", Said::Reset {}),
        EventBody::Reset => ("reset", Said::Reset {}),
        EventBody::Output { output } => ("output", Said::Output { output }),
    };
    let data = EventData { attempt: event.attempt, at: Rfc3339(event.at), said };
    let written = sse::Event::default().id(event.seq.to_string()).event(name);
    // Everything in an event is text, a number or JSON already, so that it always has a JSON form.
    written.json_data(&data).unwrap_or_default()
}
