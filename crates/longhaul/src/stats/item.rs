use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::model::{Change, JobId, State};

/// A change of a job's state in the live feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedItem {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its queue.
    pub queue: Arc<str>,
    /// Its state; `None` once it was removed.
    pub state: Option<State>,
    /// Attempts begun that count.
    pub attempt: u32,
    /// The time of the change.
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

impl FeedItem {
    /// The item of a change. Its names are those of the item `before` where they are equal, which they mostly are, to
    /// save memory.
    pub(super) fn of(change: &Change<'_>, before: Option<&Self>) -> Self {
        let shared = |name: &str, before: Option<&Arc<str>>| match before {
            Some(known) if **known == *name => Arc::clone(known),
            _ => name.into(),
        };
        Self {
            id: change.id.clone(),
            kind: shared(change.kind, before.map(|item| &item.kind)),
            queue: shared(change.queue, before.map(|item| &item.queue)),
            state: change.to,
            attempt: change.attempt,
            at: change.at,
        }
    }
}
