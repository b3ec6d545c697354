use std::sync::Arc;

use super::{JobId, State};
use crate::clock::Timestamp;

/// One change of a job's state, as a store tells it to whoever [observes](crate::Changes) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'c> {
    /// The job.
    pub id: &'c JobId,
    /// Its kind.
    pub kind: &'c str,
    /// Its queue.
    pub queue: &'c str,
    /// The state before; `None` for a new job.
    pub from: Option<State>,
    /// The state now; `None` for a job that was removed.
    pub to: Option<State>,
    /// Attempts begun that count, after the change.
    pub attempt: u32,
    /// When it changed.
    pub at: Timestamp,
    /// When what has ended began: for a job that starts to run, when it fell due; for one whose run is over, when the run began.
    pub since: Option<Timestamp>,
    /// The message of the failure that ended the run.
    pub error: Option<&'c str>,
}

/// A [`Change`] that is kept: until its transaction has committed, say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptChange {
    /// The job.
    pub id: JobId,
    /// Its kind; jobs share a few, so a store may keep each name once.
    pub kind: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// The state before; `None` for a new job.
    pub from: Option<State>,
    /// The state now; `None` for a job that was removed.
    pub to: Option<State>,
    /// Attempts begun that count, after the change.
    pub attempt: u32,
    /// When it changed.
    pub at: Timestamp,
    /// When what has ended began, as in [`Change::since`].
    pub since: Option<Timestamp>,
    /// The message of the failure that ended the run.
    pub error: Option<String>,
}

impl KeptChange {
    /// Keeps a change whose kind and queue are kept already.
    #[must_use]
    pub fn named(change: &Change<'_>, kind: Arc<str>, queue: Arc<str>) -> Self {
        Self {
            id: change.id.clone(),
            kind,
            queue,
            from: change.from,
            to: change.to,
            attempt: change.attempt,
            at: change.at,
            since: change.since,
            error: change.error.map(str::to_owned),
        }
    }

    /// The change, to be told.
    #[must_use]
    pub fn change(&self) -> Change<'_> {
        Change {
            id: &self.id,
            kind: &self.kind,
            queue: &self.queue,
            from: self.from,
            to: self.to,
            attempt: self.attempt,
            at: self.at,
            since: self.since,
            error: self.error.as_deref(),
        }
    }
}

impl From<&Change<'_>> for KeptChange {
    fn from(change: &Change<'_>) -> Self {
        Self::named(change, change.kind.into(), change.queue.into())
    }
}
