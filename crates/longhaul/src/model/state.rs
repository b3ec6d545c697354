use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a job. `docs/states.md` names every transition and who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for other jobs to end, for a signal, or for a person; `waits_for` tells which.
    Blocked,
    /// Waits for its `run_at`: a delayed job, a retry (`attempt > 0`) or a snoozed one.
    Scheduled,
    /// May be claimed.
    Available,
    /// Held by a worker under a lease.
    Running,
    /// Ended well; `output` holds what it returned.
    Completed,
    /// Ended badly: attempts used up, a fatal error, or poison.
    Failed,
    /// Ended because somebody asked.
    Cancelled,
}

impl State {
    /// Every state, in the order in which a job passes through them.
    pub const ALL: [State; 7] = [
        State::Blocked,
        State::Scheduled,
        State::Available,
        State::Running,
        State::Completed,
        State::Failed,
        State::Cancelled,
    ];

    /// True where the job has ended and can only be retried by hand.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Cancelled)
    }

    /// The word used for it everywhere: JSON, SQL, Lua, dashboard, docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Blocked => "blocked",
            State::Scheduled => "scheduled",
            State::Available => "available",
            State::Running => "running",
            State::Completed => "completed",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        State::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
            format!("no state is called '{word}': use {}", State::ALL.map(State::as_str).join(", "))
        })
    }
}
