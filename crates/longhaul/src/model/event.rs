use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AttemptError, CancelReason, Children, Json, Lease, State};
use crate::clock::Timestamp;

/// Something that a running job adds to its log or its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Its progress.
    Progress(Progress),
    /// A line for people.
    Log {
        /// The level.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// A piece of the output, as it comes.
    Chunk {
        /// The piece.
        #[cfg_attr(feature = "schema", schema(value_type = serde_json::Value))]
        data: Json,
    },
    /// A step is done. Kept with the job, not in its log; the first output of a name stays.
    Step {
        /// The step.
        name: String,
        /// Its output.
        #[cfg_attr(feature = "schema", schema(value_type = serde_json::Value))]
        output: Json,
        /// The time that it took; in JSON in seconds.
        #[serde(default, with = "seconds")]
        #[cfg_attr(feature = "schema", schema(value_type = f64))]
        took: Duration,
    },
}

/// A duration as seconds, of which milliseconds are kept.
mod seconds {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::millis;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(millis(*duration) as f64 / 1_000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A step of a job that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its name.
    pub name: String,
    /// The attempt that did it; 0 for a step that an earlier release has written without its attempt.
    pub attempt: u32,
    /// Its begin: its end less the time that it took.
    pub started_at: Option<Timestamp>,
    /// The time at which it was recorded.
    pub finished_at: Option<Timestamp>,
    /// Its output, which is kept until the job completes.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
}

/// Reads an output that is `null` as `Some`, unlike a missing one.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Entries of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = WorkerRecord))]
pub struct Record {
    /// Which run.
    pub lease: Lease,
    /// Entries, in order.
    pub entries: Vec<Entry>,
}

/// The progress of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ProgressEntry))]
pub struct Progress {
    /// 0 to 100.
    pub percent: f64,
    /// For people.
    pub message: String,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<serde_json::Value>))]
    pub data: Option<Json>,
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// The course of the work.
    Info,
    /// A possible fault.
    Warn,
    /// A fault.
    Error,
}

/// One entry of a job's event log.
///
/// Numbers rise and are never used twice within a job, but have gaps: a change of state takes a number
/// without writing a row, and only the latest one is shown. A reader that has seen number `n` has missed
/// nothing up to `n` but states that have since been left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number within the job, from 1.
    pub seq: u64,
    /// The time at which it was written.
    pub at: Timestamp,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// Its content.
    pub body: EventBody,
}

/// The content of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventBody {
    /// The job's present state. Made from the job's row when it is read; never stored.
    State {
        /// The state.
        state: State,
        /// The last attempt's error, where it failed.
        error: Option<AttemptError>,
        /// The counts of its children, if it waits, or waited, for children. Each end of a child makes a new event of
        /// the state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        children: Option<Children>,
        /// The reason of its cancellation or, while it runs, of the request to stop, which makes a new event of the
        /// state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cancel_reason: Option<CancelReason>,
    },
    /// Its progress.
    Progress(Progress),
    /// A line for people.
    Log {
        /// The level.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// A piece of the output.
    Chunk {
        /// The piece.
        data: Json,
    },
    /// Entries before this one have left the log, which is bounded. The first event for a reader that has not seen
    /// them; never stored.
    Gap,
    /// A new attempt begins after one that had written to the log: drop that one's chunks.
    Reset,
    /// The job's output; comes just before the state `completed`. Made from the row, never stored.
    Output {
        /// The output.
        output: Json,
    },
}
