use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobId, JobRecord, State};

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
    /// That belong to any of these jobs.
    #[serde(default)]
    pub parents: Vec<JobId>,
    /// With all of these labels.
    pub labels: Vec<(String, String)>,
    /// With this text (its case aside, for ASCII) in the id, the kind, the args or the last error.
    pub text: Option<String>,
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
    /// Where the last page ended; `None` for the first.
    pub cursor: Option<String>,
    /// The most jobs to return, 1 to 1,000.
    pub limit: usize,
}

/// Part of a list, newest job first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    /// The jobs. A page may be short, even empty, and yet not be the last: each page reads a bounded number
    /// of rows.
    pub jobs: Vec<JobRecord>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// What to do to jobs from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Ends waiting jobs at once, and asks running ones to stop.
    Cancel {
        /// How long a running job may take to stop before it is fenced off.
        grace: Duration,
    },
    /// Makes finished jobs available again, with all their attempts.
    Retry,
    /// Removes finished jobs.
    Delete,
}
