use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use longhaul::{CancelReason, Event, EventBody, Json, LogLevel, State as JobState, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::routes::{ChildrenBody, ErrorBody};
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
        let (name, said) = match &event.body {
            EventBody::State { state, error, children, cancel_reason } => {
                let (error, children) =
                    (error.as_ref().map(ErrorBody::from), children.map(ChildrenBody::from));
                let (state, cancel_reason) = (*state, *cancel_reason);
                let cancel_requested = state == JobState::Running && cancel_reason.is_some();
                ("state", Said::State { state, error, children, cancel_requested, cancel_reason })
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

/// A message of a job's WebSocket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventMessage<'a> {
    /// Its number within the job; as `?after=` it resumes the log.
    id: u64,
    /// `state`, `progress`, `log`, `chunk`, `output`, `reset` or `gap`.
    event: &'a str,
    data: EventData<'a>,
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
        /// True where it runs and is asked to stop: the state is told anew when it is asked. Absent otherwise.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        #[schema(required = false)]
        cancel_requested: bool,
        /// The reason why it was cancelled, or is to stop. Absent otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        cancel_reason: Option<CancelReason>,
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
