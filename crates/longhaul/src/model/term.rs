use serde::{Deserialize, Serialize};

use super::{JobId, State};

/// Something that must be true, or must not, of a job that fits a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The condition.
    pub condition: Condition,
    /// True where it must not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub negated: bool,
}

/// A condition that a job meets or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has this id.
    Id(JobId),
    /// Its id has this prefix.
    IdPrefix(String),
    /// It is in this state.
    State(State),
    /// It is of this kind.
    Kind(String),
    /// It is in this queue.
    Queue(String),
    /// It belongs to this job.
    Parent(JobId),
    /// It has this limit key.
    Key(String),
    /// It has this label.
    Label {
        /// The label.
        name: String,
        /// Its value.
        value: String,
    },
    /// Its args have this value at this path.
    Args {
        /// Names and places in arrays, with dots between them.
        path: String,
        /// A string, or the JSON of another scalar. At an array, that of one of its items.
        value: String,
    },
    /// Its last error has this fingerprint, or else has this text in its message (the case aside, for ASCII).
    Error(String),
    /// It has this text (the case aside, for ASCII) in the id, the kind, the args (as they are written, and in their strings as
    /// they are meant) or the last error.
    Text(String),
}
