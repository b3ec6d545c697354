use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CancelReason, JobId, JobRecord, Json, State, Term};

/// Which jobs are meant: those that fit every field that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFilter {
    /// Any of these ids.
    pub ids: Vec<JobId>,
    /// In any of these states.
    pub states: Vec<State>,
    /// Of any of these kinds.
    pub kinds: Vec<String>,
    /// In any of these queues.
    pub queues: Vec<String>,
    /// Children of any of these jobs.
    #[serde(default)]
    pub parents: Vec<JobId>,
    /// With all of these labels.
    pub labels: Vec<(String, String)>,
    /// With this text in the id, the kind, the args or the last error; ASCII letters match in either case.
    pub text: Option<String>,
    /// Meeting all of these terms. A store checks them job by job, because no index covers them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Term>,
}

impl JobFilter {
    /// Just this job.
    #[must_use]
    pub fn id(id: JobId) -> Self {
        Self { ids: vec![id], ..Self::default() }
    }
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The end of the last page; `None` for the first.
    pub cursor: Option<String>,
    /// The most jobs to return, 1 to 1,000.
    pub limit: usize,
    /// The part of each job's args and output that is returned.
    #[serde(default)]
    pub payloads: Payloads,
}

impl Default for Page {
    /// The first 100 jobs, whole.
    fn default() -> Self {
        Self { cursor: None, limit: 100, payloads: Payloads::Whole }
    }
}

/// The part of the args and outputs of jobs that a list carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payloads {
    /// All.
    #[default]
    Whole,
    /// Those of at most [`SHORT_PAYLOAD_BYTES`]; of a larger one only its size, in
    /// [`args_bytes`](JobRecord::args_bytes) and [`output_bytes`](JobRecord::output_bytes).
    Short,
}

/// The most bytes of args or of an output that a list with [`Payloads::Short`] carries.
pub const SHORT_PAYLOAD_BYTES: usize = 1024;

/// Part of a list, newest job first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// The jobs. A page may be short, even empty, and yet not be the last: each page reads a bounded number
    /// of rows.
    pub jobs: Vec<JobRecord>,
    /// The begin of the next page; `None` after the last.
    pub next: Option<String>,
    /// The number of jobs that were looked at for this page, fitting or not.
    #[serde(default)]
    pub searched: u64,
}

/// A deed to jobs from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Ends waiting jobs at once, and asks running ones to stop.
    Cancel {
        /// The time that a running job has to stop before it is fenced off.
        grace: Duration,
        /// Why.
        #[serde(default)]
        reason: CancelReason,
    },
    /// Makes finished jobs available again, with all their attempts, and those that wait for a person.
    Retry,
    /// The same with other args. The steps were those of the former args, and are forgotten.
    RetryWith {
        /// The args, at most [`MAX_ARGS_BYTES`](super::MAX_ARGS_BYTES) of JSON.
        #[serde(with = "json_as_text")]
        args: Json,
    },
    /// Retries, but keeps the steps that were recorded before one, and forgets that one and those after it. Does nothing to a
    /// job that has no step of the name, nor to a completed one, whose outputs are forgotten.
    RetryFrom {
        /// The first step that is done again.
        step: String,
        /// Other args; `None` leaves them.
        #[serde(default, with = "optional_json_as_text")]
        args: Option<Json>,
    },
    /// Removes finished jobs.
    Delete,
    /// Gives unfinished jobs another priority: those that wait take the place that it gives them, and a running one once it
    /// waits again.
    SetPriority {
        /// −100 to 100, higher first.
        priority: i32,
    },
}

impl Action {
    /// A cancel on request.
    #[must_use]
    pub const fn cancel(grace: Duration) -> Self {
        Self::Cancel { grace, reason: CancelReason::Asked }
    }
}

/// JSON within JSON as a string: an enum that is tagged from inside cannot hold raw JSON (see [`Json`]).
mod json_as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Json;

    pub(super) fn serialize<S: Serializer>(json: &Json, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(json.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        Json::parse(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The same for JSON that may be left out.
mod optional_json_as_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Json;

    pub(super) fn serialize<S: Serializer>(json: &Option<Json>, serializer: S) -> Result<S::Ok, S::Error> {
        json.as_ref().map(Json::as_str).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| Json::parse(text).map_err(D::Error::custom)).transpose()
    }
}

/// The effect of an action on many jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Jobs that fitted the filter, of those that were looked at. At least `done`: a job that the action does not apply
    /// to (a retry of an unfinished one) fits and is left alone.
    pub matched: u64,
    /// Jobs that were changed.
    pub done: u64,
    /// True where no job that fits was left unlooked at; false where the limit ended the call before.
    pub complete: bool,
}
