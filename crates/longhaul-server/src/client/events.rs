//! A job's event stream, read to the job's end across cuts.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures::StreamExt;
use longhaul::Backoff;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Client, Refusal, Sent, State, encoded};
use crate::Result;

/// An event of a job's log.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its number; the stream goes on after it.
    pub(crate) seq: u64,
    /// Its name in the contract.
    pub(crate) name: String,
    /// Its data, as it was sent.
    pub(crate) data: String,
    pub(crate) attempt: u32,
    pub(crate) at: String,
    pub(crate) said: Said,
}

/// The content of an event.
#[derive(Debug)]
pub(crate) enum Said {
    State {
        state: State,
        error: Option<String>,
        children: Option<super::job::Children>,
        /// The reason why it is asked to stop, while it runs.
        stopping: Option<String>,
    },
    Progress {
        percent: f64,
        message: String,
    },
    Log {
        level: String,
        message: String,
    },
    Chunk(Box<RawValue>),
    Output(Box<RawValue>),
    /// The chunks of the attempts before are void.
    Reset,
    /// Entries before this one are no longer kept.
    Gap,
    /// An event that this version does not know.
    Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    attempt: u32,
    at: String,
    state: Option<State>,
    error: Option<Failure>,
    children: Option<super::job::Children>,
    cancel_requested: bool,
    cancel_reason: Option<String>,
    percent: f64,
    message: String,
    level: String,
    data: Option<Box<RawValue>>,
    output: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: String,
}

/// The times that a stream is asked for again that was cut and gave nothing, and the waits between.
const AGAIN: u32 = 8;
const AGAIN_AFTER: Backoff =
    Backoff { base: Duration::from_millis(200), factor: 2.0, max: Duration::from_secs(10), jitter: 0.3 };

impl Client {
    /// Calls `tell` with each event of a job after number `after`, until the job has ended or `tell` breaks off. A
    /// stream that is cut is resumed after the last event, so that no event is passed twice. Returns the number of the
    /// last one.
    pub(crate) async fn follow(
        &self,
        id: &str,
        mut after: u64,
        mut tell: impl FnMut(&Event) -> Result<Flow>,
    ) -> Result<u64> {
        let path = format!("/jobs/{}/events", encoded(id));
        let mut tried = 0;
        loop {
            let (method, last_event) = (reqwest::Method::GET, Some(after));
            let sent = self.send(Sent { method, path: &path, body: None, last_event, key: None }).await;
            let cut = match sent {
                // The job has ended, and every event was seen.
                Ok((status, _)) if status == reqwest::StatusCode::NO_CONTENT => return Ok(after),
                Ok((_, chunks)) => {
                    let mut events = Box::pin(chunks.eventsource());
                    loop {
                        let event = match events.next().await {
                            Some(Ok(event)) => event,
                            Some(Err(error)) => break error.to_string(),
                            None => break "the stream ended before the job".to_owned(),
                        };
                        let Some(event) = read(&event) else { continue };
                        (after, tried) = (event.seq, 0);
                        let has_ended =
                            matches!(event.said, Said::State { state, .. } if state.is_finished());
                        if tell(&event)? == Flow::Stop || has_ended {
                            return Ok(after);
                        }
                    }
                }
                // A job that is not there, or a token that is not good, will not be better in a second.
                Err(error)
                    if error
                        .downcast_ref::<Refusal>()
                        .is_some_and(|refusal| refusal.status.is_client_error()) =>
                {
                    return Err(error);
                }
                Err(error) => error.to_string(),
            };
            tried += 1;
            if tried > AGAIN {
                return Err(format!("failed to follow {id}: {cut}").into());
            }
            tokio::time::sleep(AGAIN_AFTER.delay(tried)).await;
        }
    }
}

/// The decision of the callback after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    GoOn,
    Stop,
}

/// None for what is no event of a job's.
fn read(event: &eventsource_stream::Event) -> Option<Event> {
    let data: Data = serde_json::from_str(&event.data).ok()?;
    let said = match event.event.as_str() {
        "state" => Said::State {
            state: data.state?,
            error: data.error.map(|error| error.message),
            children: data.children,
            stopping: data.cancel_reason.filter(|_| data.cancel_requested),
        },
        "progress" => Said::Progress { percent: data.percent, message: data.message },
        "log" => Said::Log { level: data.level, message: data.message },
        "chunk" => Said::Chunk(data.data?),
        "output" => Said::Output(data.output?),
        "reset" => Said::Reset,
        "gap" => Said::Gap,
        _ => Said::Other,
    };
    let seq = event.id.parse().ok()?;
    Some(Event {
        seq,
        name: event.event.clone(),
        data: event.data.clone(),
        attempt: data.attempt,
        at: data.at,
        said,
    })
}
