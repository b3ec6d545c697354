use std::sync::Arc;

use super::{JobId, State};
use crate::clock::Timestamp;

/// A change of a job's state, as a store reports it to [observers](crate::Changes).
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
    /// The time of the change.
    pub at: Timestamp,
    /// The begin of the phase that this change ends: the time at which the job fell due, if it starts to run; the begin
    /// of the run, if a run ends.
    pub since: Option<Timestamp>,
    /// The message of the failure that ended the run.
    pub error: Option<&'c str>,
}

/// An owned [`Change`]: a store keeps it until its transaction has committed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptChange {
    /// The job.
    pub id: JobId,
    /// Its kind; shared, because many jobs have the same.
    pub kind: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// The state before; `None` for a new job.
    pub from: Option<State>,
    /// The state now; `None` for a job that was removed.
    pub to: Option<State>,
    /// Attempts begun that count, after the change.
    pub attempt: u32,
    /// The time of the change.
    pub at: Timestamp,
    /// The begin of the phase that this change ends, as in [`Change::since`].
    pub since: Option<Timestamp>,
    /// The message of the failure that ended the run.
    pub error: Option<String>,
}

impl KeptChange {
    /// Makes an owned change with names of the kind and the queue that are shared already.
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

    /// The change, borrowed.
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
