use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::enqueue::{check_key, invalid};
use super::{JobId, State};
use crate::store::Result;

/// One job at a time, or one in a period, per key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    /// The key, 1–512 bytes, shared by all kinds and queues; begin it with the kind where it is the kind's own.
    pub key: String,
    /// Holds the key for this long after the job has *completed* too, which makes it a cache of results; after another end,
    /// where `states` names that one. A [throttled](OnClash::Throttle) job holds it for this long from its creation, and no
    /// longer.
    pub period: Option<Duration>,
    /// The states in which another job that holds the key keeps it from this one; a holder in any other gives the key up.
    /// `None` is all but `failed` and `cancelled`. Where it names an end, this job keeps the key after that end, too: for the
    /// period, or without one until the job is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<State>>,
    /// The fate of the second job.
    pub on_clash: OnClash,
}

/// The unique key of a job, as a look-up shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// The key.
    pub key: String,
    /// The job that holds it now: this one, one that was given it since, or none where it is free. Only
    /// [`Store::get`](crate::Store::get) fills it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<JobId>,
}

impl UniqueKey {
    /// A key of which no holder is told.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), holder: None }
    }
}

/// The fate of a job whose unique key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnClash {
    /// It is not created; its caller is given the job that holds the key, and shares that one's run and result.
    #[default]
    Join,
    /// The same while the job that holds the key has not ended; one that has ended gives the key up to the new job.
    Refresh,
    /// It is not created, and its caller is told so, with the job that holds the key.
    Reject,
    /// A holder that waits takes on this one's args, version and time in place of its own, and forgets the steps that it has
    /// done. Where the holder runs or has ended, it is too late: as `Join`. A holder of another kind: as `Reject`.
    Replace,
    /// Of jobs that come in quick succession one runs.
    Debounce {
        /// The time without another that ends a succession.
        delay: Duration,
        /// The longest that a succession may last; `None` is no bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_delay: Option<Duration>,
        /// Which of them runs.
        #[serde(default)]
        edge: Edge,
    },
    /// As `Join`, but the key is held for [`Unique::period`] from the holder's creation, whatever becomes of the holder: at
    /// most one job is created in each period.
    Throttle,
    /// It is created and takes the key. A holder that waits is cancelled, and one that runs is asked to stop within
    /// [`STOP_GRACE`](crate::STOP_GRACE): the two may overlap until then, unless a limit key of one slot keeps them apart.
    Supersede,
    /// Behind a holder that runs, or that has begun and is blocked, one job waits: the first newcomer is created to depend on
    /// the holder's end, whatever that is, and takes the key; later ones replace that one as by `Replace`. It gives the key
    /// back where it ends before the job that it follows. A holder that waits is replaced as by `Replace`, and one that has
    /// ended gives the key up. A newcomer whose parent, or an earlier ancestor, is the holder that it would wait behind is
    /// rejected: the ancestor may wait for its children, and both would wait for ever.
    Follow,
}

/// The job of a succession that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// The last: the first job is created to run after the delay, and while it waits for that, each newcomer gives it its
    /// args and makes it wait for the delay anew. Once it is due, the next one begins a new succession.
    #[default]
    Trailing,
    /// The first, at once. It holds the key for the delay, whatever becomes of it; each newcomer in that time joins it, and
    /// makes it hold the key for the delay anew.
    Leading,
}

impl Unique {
    /// One unfinished job per key, which others join.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), period: None, states: None, on_clash: OnClash::Join }
    }

    pub(super) fn validate(&self) -> Result<()> {
        check_key("unique.key", &self.key)?;
        if self.states.as_ref().is_some_and(Vec::is_empty) {
            return invalid("unique.states", "must name a state, or be left out for all unfinished ones");
        }
        match self.on_clash {
            OnClash::Throttle if self.period.is_none_or(|period| period.is_zero()) => invalid(
                "unique.period",
                "must be more than zero for a throttle: one job is created in each period",
            ),
            OnClash::Debounce { delay, .. } if delay.is_zero() => {
                invalid("unique.delay", "must be more than zero for a debounce")
            }
            OnClash::Debounce { delay, max_delay: Some(max), .. } if max < delay => {
                invalid("unique.max_delay", "must not be less than the delay")
            }
            _ => Ok(()),
        }
    }

    /// True where a newcomer may be merged into a holder, so that its own start and id come to nothing.
    pub(super) fn is_merged(&self) -> bool {
        matches!(
            self.on_clash,
            OnClash::Replace | OnClash::Follow | OnClash::Debounce { edge: Edge::Trailing, .. }
        )
    }

    /// True where the key's time decides when the job starts.
    pub(super) fn sets_start(&self) -> bool {
        matches!(self.on_clash, OnClash::Debounce { edge: Edge::Trailing, .. })
    }
}
