use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use longhaul::{Event, EventBody, JobId, Json, LogLevel, Lookup, State as JobState, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{ChildrenBody, ErrorBody};
use super::read::found;
use crate::auth::Reader;
use crate::problem::{Code, FieldError, Problem};
use crate::query;
use crate::state::Api;
use crate::time::Rfc3339;

/// The most events that are held in memory for a reader.
const PAGE: usize = 100;
/// The bytes of events that are held in memory for a reader, beyond the first event. A reader may be slow, and there may
/// be many.
const PAGE_BYTES: usize = 256 * 1024;
/// The longest that the store is asked to wait for something new; then it is asked again.
const LONG_POLL: Duration = Duration::from_secs(30);
/// The longest silence of a stream: a comment keeps proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The pause after which a reader whose stream was cut short comes back, in milliseconds.
const COME_BACK_AFTER: RangeInclusive<u64> = 1_000..=5_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
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
        (status = 200, description = "The events; each `data` is one of these", content_type = "text/event-stream",
            body = EventData),
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
    let now = api.config.clock.now();
    if reader.has_token() {
        reader.check(&*found(api.longhaul.get(&reader.id).await?)?)?;
    }
    let id = reader.id;
    let mut follower =
        Follower { api, id, after: seen.unwrap_or(0), page: Vec::new().into_iter(), phase: Phase::Following };
    let mut first = if seen.is_none() { Some(restart(now)) } else { None };
    if follower.fill(Duration::ZERO).await?.is_none() {
        // The log does not tell a job that is gone from one that never was.
        found(follower.api.longhaul.get(&follower.id).await?)?;
        return Err(Problem::new(Code::JobGone, "the job was pruned or deleted"));
    }
    if follower.page.len() == 0 {
        match follower.standing().await? {
            Standing::Open => {}
            Standing::SeenWhole => return Ok(StatusCode::NO_CONTENT.into_response()),
            Standing::Ahead => {
                follower.after = 0;
                first = Some(restart(now));
            }
        }
    }
    let events = stream::iter(first).chain(stream::unfold(follower, async |mut follower| {
        let event = match follower.next().await {
            Some(event) => write(&event),
            None => follower.farewell()?,
        };
        Some((event, follower))
    }));
    let events = events.map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // Proxies that buffer answers would hold the events back.
    response.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// The number of the last event that the reader has seen; none where what it sent is no number.
fn seen(headers: &HeaderMap, query: Option<&str>) -> Result<Option<u64>, Problem> {
    // A browser that reconnects repeats the URL of its first request, so what the header says is newer.
    if let Some(seen) = headers.get(LAST_EVENT_ID) {
        // An error would end an EventSource for good, and whoever wrote it cannot mend the id of a proxy or of another job.
        let seen = seen.to_str().unwrap_or("none").trim();
        return Ok(if seen.is_empty() { Some(0) } else { seen.parse().ok() });
    }
    match query::value(query, "after") {
        None => Ok(Some(0)),
        Some(after) => query::number(&after, 0..=u64::MAX).map(Some).map_err(|message| {
            let error = FieldError { field: "after".into(), message };
            Problem::fields(Code::Invalid, vec![error])
        }),
    }
}

/// Tells a reader whose last event is unknown here to drop what it has: the whole log follows.
fn restart(now: Timestamp) -> sse::Event {
    write(&Event { seq: 0, at: now, attempt: 0, body: EventBody::Reset })
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

/// A reader's last event, compared with the job's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// More may come.
    Open,
    /// The job has ended, or is gone, and all of its events were seen.
    SeenWhole,
    /// No event of the job has a number as high.
    Ahead,
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
            let stopping = self.api.config.stopping.clone();
            let more = tokio::select! {
                biased;
                () = stopping.cancelled() => {
                    self.phase = Phase::CutShort;
                    return None;
                }
                more = self.more() => more,
            };
            match more {
                Ok(Some(())) => {}
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(job = %self.id, "failed to follow a job's events; its reader must come back: {error}");
                    self.phase = Phase::CutShort;
                    return None;
                }
            }
        }
    }

    /// The last words to a reader whose stream is cut short: when to come back. Each is told another time, so that they do
    /// not all come at once to a server or a store that has just begun.
    fn farewell(&mut self) -> Option<sse::Event> {
        if self.phase != Phase::CutShort {
            return None;
        }
        self.phase = Phase::Told;
        let after = Duration::from_millis(rand::random_range(COME_BACK_AFTER));
        Some(sse::Event::default().retry(after).comment("cut short, come back"))
    }

    async fn more(&mut self) -> longhaul::Result<Option<()>> {
        let filled = self.fill(LONG_POLL).await?;
        // Nothing new is either a wait that is over or a job that has ended; the latter would answer at once,
        // for ever.
        if self.page.len() == 0 && self.standing().await? != Standing::Open {
            return Ok(None);
        }
        Ok(filled)
    }

    /// Reads a page, and keeps as much of it as may be held for a reader. None where there is no such job.
    async fn fill(&mut self, wait: Duration) -> longhaul::Result<Option<()>> {
        let page = self.api.longhaul.events(&self.id, self.after, PAGE, wait).await?;
        let Some(mut page) = page else { return Ok(None) };
        let mut bytes = 0;
        let fitting = page.iter().take_while(|event| {
            let fits = bytes < PAGE_BYTES;
            bytes += size(event);
            fits
        });
        let fitting = fitting.count();
        page.truncate(fitting);
        page.shrink_to_fit();
        self.page = page.into_iter();
        Ok(Some(()))
    }

    async fn standing(&self) -> longhaul::Result<Standing> {
        Ok(match self.api.longhaul.get(&self.id).await? {
            Lookup::Found(job) if job.last_event < self.after => Standing::Ahead,
            Lookup::Found(job) if !job.state.is_finished() || job.last_event > self.after => Standing::Open,
            Lookup::Found(_) | Lookup::Gone | Lookup::Unknown => Standing::SeenWhole,
        })
    }
}

/// About the bytes of an event.
fn size(event: &Event) -> usize {
    let json = |json: Option<&Json>| json.map_or(0, |json| json.as_str().len());
    let body = match &event.body {
        EventBody::State { error, .. } => error.as_ref().map_or(0, |error| error.message.len()),
        EventBody::Progress(progress) => progress.message.len() + json(progress.data.as_ref()),
        EventBody::Log { message, .. } => message.len(),
        EventBody::Chunk { data } => json(Some(data)),
        EventBody::Output { output } => json(Some(output)),
        EventBody::Gap | EventBody::Reset => 0,
    };
    size_of::<Event>() + body
}

/// The data of an event. Its fields depend on the event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventData<'a> {
    /// The attempt that it belongs to.
    attempt: u32,
    /// The time at which it was written.
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
        state: JobState,
        #[schema(required)]
        error: Option<ErrorBody<'a>>,
        /// The counts of its children, where it closes a batch; the state is told anew whenever one ends.
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
    Log { level: LogLevel, message: &'a str },
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
    /// `reset`, `gap`
    Nothing {},
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
        EventBody::Gap => ("gap", Said::Nothing {}),
        EventBody::Reset => ("reset", Said::Nothing {}),
        EventBody::Output { output } => ("output", Said::Output { output }),
    };
    let data = EventData { attempt: event.attempt, at: Rfc3339(event.at), said };
    let written = sse::Event::default().id(event.seq.to_string()).event(name);
    // Everything in an event is text, a number or JSON already, so that it always has a JSON form.
    written.json_data(&data).unwrap_or_default()
}
