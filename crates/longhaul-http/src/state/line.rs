use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use longhaul::{CancelReason, Event, EventBody, Json, LogLevel, Progress, State as JobState, Timestamp};
use serde::Serialize;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::routes::{ChildrenBody, ErrorBody};
use crate::streamed::{self, Streamed};
use crate::time::Rfc3339;

/// An event as readers get it, encoded once for all of them.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    /// The time at which it was stored.
    pub(crate) at: Timestamp,
    /// The job has ended with it.
    pub(crate) is_end: bool,
    name: &'static str,
    /// As a server-sent event.
    frame: Bytes,
    /// The place of its data in the frame.
    data: std::ops::Range<usize>,
    /// As a message of a WebSocket, encoded when it is first needed.
    message: OnceLock<Utf8Bytes>,
}

impl Line {
    pub(crate) fn new(event: &Event) -> Self {
        let place = EventPlace { attempt: event.attempt, at: Rfc3339(event.at) };
        let (name, data) = match &event.body {
            EventBody::State { state, error, children, cancel_reason } => {
                let (error, children) =
                    (error.as_ref().map(ErrorBody::from), children.map(ChildrenBody::from));
                let (state, cancel_reason) = (*state, *cancel_reason);
                let cancel_requested = state == JobState::Running && cancel_reason.is_some();
                let data = StateEvent { place, state, error, children, cancel_requested, cancel_reason };
                (STATE, EventData::State(data))
            }
            EventBody::Progress(Progress { percent, message, data }) => {
                let data = ProgressEvent { place, percent: *percent, message, data: data.as_ref() };
                (PROGRESS, EventData::Progress(data))
            }
            EventBody::Log { level, message } => {
                (LOG, EventData::Log(LogEvent { place, level: *level, message }))
            }
            EventBody::Chunk { data } => (CHUNK, EventData::Chunk(ChunkEvent { place, data })),
            EventBody::Output { output } => (OUTPUT, EventData::Output(OutputEvent { place, output })),
            EventBody::Gap => (GAP, EventData::Place(place)),
            EventBody::Reset => (RESET, EventData::Place(place)),
        };
        // Everything in an event is text, a number or JSON already, so that it always has a JSON form.
        let mut json = serde_json::to_string(&data).unwrap_or_default();
        // A line ends a field of the stream. JSON has line breaks between its words alone.
        json.retain(|c| !matches!(c, '\n' | '\r'));
        let head = format!("id: {}\nevent: {name}\ndata: ", event.seq);
        let data = head.len()..head.len() + json.len();
        let frame = Bytes::from(format!("{head}{json}\n\n"));
        let is_end = matches!(event.body, EventBody::State { state, .. } if state.is_finished());
        Self { seq: event.seq, at: event.at, is_end, name, frame, data, message: OnceLock::new() }
    }

    /// Has a reader whose last event is unknown here drop its events: the whole log follows.
    pub(crate) fn restart(now: Timestamp) -> Self {
        Self::new(&Event { seq: 0, at: now, attempt: 0, body: EventBody::Reset })
    }

    /// As a server-sent event.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// As a message of a WebSocket: an [`EventMessage`].
    pub(crate) fn message(&self) -> Utf8Bytes {
        let write = || {
            let data = std::str::from_utf8(&self.frame[self.data.clone()]).unwrap_or("null");
            format!(r#"{{"id":{},"event":"{}","data":{data}}}"#, self.seq, self.name).into()
        };
        self.message.get_or_init(write).clone()
    }

    /// The bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.frame.len()
    }
}

const STATE: &str = "state";
const PROGRESS: &str = "progress";
const LOG: &str = "log";
const CHUNK: &str = "chunk";
const OUTPUT: &str = "output";
const RESET: &str = "reset";
const GAP: &str = "gap";

/// The place of an event in its job's life: all that `reset` and `gap` tell, and the beginning of every other event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPlace {
    /// The attempt that it belongs to.
    attempt: u32,
    /// The time at which it was written.
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
}

/// The data of `state`: the newest state of the job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StateEvent<'a> {
    #[serde(flatten)]
    place: EventPlace,
    state: JobState,
    #[schema(required)]
    error: Option<ErrorBody<'a>>,
    /// The counts of its children, where it closes a batch; the state is told anew whenever one ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<ChildrenBody>,
    /// True where it runs and is asked to stop: the state is told anew when it is asked. Absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    cancel_requested: bool,
    /// The reason why it was cancelled, or is to stop. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<CancelReason>,
}

/// The data of `progress`: how far the attempt has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProgressEvent<'a> {
    #[serde(flatten)]
    place: EventPlace,
    percent: f64,
    message: &'a str,
    #[schema(value_type = serde_json::Value)]
    data: Option<&'a Json>,
}

/// The data of `log`: a line of the job's log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogEvent<'a> {
    #[serde(flatten)]
    place: EventPlace,
    level: LogLevel,
    message: &'a str,
}

/// The data of `chunk`: a piece of what the job streams.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChunkEvent<'a> {
    #[serde(flatten)]
    place: EventPlace,
    #[schema(value_type = serde_json::Value)]
    data: &'a Json,
}

/// The data of `output`: what the job has returned.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutputEvent<'a> {
    #[serde(flatten)]
    place: EventPlace,
    #[schema(value_type = serde_json::Value)]
    output: &'a Json,
}

/// The data of an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EventData<'a> {
    State(StateEvent<'a>),
    Progress(ProgressEvent<'a>),
    Log(LogEvent<'a>),
    Chunk(ChunkEvent<'a>),
    Output(OutputEvent<'a>),
    Place(EventPlace),
}

/// An event of a job's stream, as the document describes it.
pub(crate) enum StreamedEvent {}

/// A message of a job's WebSocket, as the document describes it.
pub(crate) enum EventMessage {}

/// The events of a job.
fn told() -> [Streamed; 7] {
    [
        event::<StateEvent<'_>>(STATE),
        event::<ProgressEvent<'_>>(PROGRESS),
        event::<LogEvent<'_>>(LOG),
        event::<ChunkEvent<'_>>(CHUNK),
        event::<OutputEvent<'_>>(OUTPUT),
        event::<EventPlace>(RESET),
        event::<EventPlace>(GAP),
    ]
}

fn event<D: ToSchema>(event: &'static str) -> Streamed {
    Streamed { event, data: Ref::from_schema_name(D::name()).into() }
}

/// The schemas that those of the events refer to.
fn add_schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    add::<StateEvent<'_>>(schemas);
    add::<ProgressEvent<'_>>(schemas);
    add::<LogEvent<'_>>(schemas);
    add::<ChunkEvent<'_>>(schemas);
    add::<OutputEvent<'_>>(schemas);
    add::<EventPlace>(schemas);
}

fn add<D: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((D::name().into_owned(), D::schema()));
    D::schemas(schemas);
}

impl PartialSchema for StreamedEvent {
    fn schema() -> RefOr<Schema> {
        streamed::numbered(told()).into()
    }
}

impl ToSchema for StreamedEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schemas(schemas);
    }
}

impl PartialSchema for EventMessage {
    fn schema() -> RefOr<Schema> {
        streamed::messages(told()).into()
    }
}

impl ToSchema for EventMessage {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        add_schemas(schemas);
    }
}
