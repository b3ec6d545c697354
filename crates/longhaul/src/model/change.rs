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
