use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The reason for which a job was cancelled, or asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// Somebody asked, or its own code chose to.
    #[default]
    Asked,
    /// It was not started in time.
    Expired,
    /// It did not end in time.
    Deadline,
    /// A newer job has taken its unique key.
    Superseded,
    /// A job that it depended on did not complete.
    Dependency,
    /// Too many jobs waited.
    Dropped,
    /// The job that it belongs to was cancelled.
    Parent,
}

impl CancelReason {
    /// Every reason.
    pub const ALL: [CancelReason; 7] = [
        CancelReason::Asked,
        CancelReason::Expired,
        CancelReason::Deadline,
        CancelReason::Superseded,
        CancelReason::Dependency,
        CancelReason::Dropped,
        CancelReason::Parent,
    ];

    /// The word used for it everywhere: JSON, SQL, Lua, dashboard, docs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            CancelReason::Asked => "asked",
            CancelReason::Expired => "expired",
            CancelReason::Deadline => "deadline",
            CancelReason::Superseded => "superseded",
            CancelReason::Dependency => "dependency",
            CancelReason::Dropped => "dropped",
            CancelReason::Parent => "parent",
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CancelReason {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        CancelReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word)
            .ok_or_else(|| format!("no job is cancelled because of '{word}'"))
    }
}
