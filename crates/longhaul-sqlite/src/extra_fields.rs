//! Job fields that few jobs have and no index needs: they are stored in the JSON of the policy instead of columns of
//! their own.

use longhaul::lifecycle::Times;
use longhaul::lifecycle::unique::Hold;
use longhaul::{Dependency, JobId, Json, Policy, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// The fields stored with a policy. SQL statements use them by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ExtraFields {
    /// The time at which the job expires unless it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// The time by which it must have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<Timestamp>,
    /// The token of its first claim, if it has an expiry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_token: Option<i64>,
    /// The jobs that it depends on, as enqueued.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<Dependency>,
    /// The job that it is a fork of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forked_from: Option<JobId>,
    /// The hold of its unique key, if it is more than a period after its completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Hold>,
}

impl ExtraFields {
    pub(crate) fn times(&self) -> Times {
        Times { expires_at: self.expires_at, deadline: self.deadline }
    }
}

/// The stored JSON of a policy and its extra fields; `None` if both are the defaults.
pub(crate) fn stored(policy: &Policy, extra: &ExtraFields) -> Result<Option<Json>> {
    #[derive(Serialize)]
    struct Stored<'a> {
        #[serde(flatten)]
        policy: &'a Policy,
        #[serde(flatten)]
        extra: &'a ExtraFields,
    }
    match (*policy == Policy::default(), *extra == ExtraFields::default()) {
        (true, true) => Ok(None),
        (false, true) => Json::new(policy).map(Some),
        (_, false) => Json::new(&Stored { policy, extra }).map(Some),
    }
}
