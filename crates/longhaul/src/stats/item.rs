use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Change, JobId, State};

/// A change of a job's state, as the live feed tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedItem {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Its state; `None` once it was removed.
    pub state: Option<State>,
    /// Attempts begun that count.
    pub attempt: u32,
    /// When it changed.
    pub at: Timestamp,
}

/// The next of a feed.
#[derive(Clone, Debug)]
pub enum FeedNews {
    /// Changes, in the order in which each process made them.
    Items(Arc<Vec<FeedItem>>),
    /// Changes were left out: the reader was too slow, there were too many, or the store was away.
    Gap,
}

impl From<&Change<'_>> for FeedItem {
    fn from(change: &Change<'_>) -> Self {
        Self {
            id: change.id.clone(),
            kind: change.kind.to_owned(),
            queue: change.queue.to_owned(),
            state: change.to,
            attempt: change.attempt,
            at: change.at,
        }
    }
}
