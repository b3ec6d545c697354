//! What few jobs have, and no index needs: it stands beside the policy in the policy's JSON, so that it is no column of all.

use longhaul::lifecycle::Times;
use longhaul::lifecycle::unique::Hold;
use longhaul::{Dependency, JobId, Json, Policy, Result, Timestamp};
use serde::{Deserialize, Serialize};

/// The fields beside a policy. The statements know them by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Beside {
    /// When the job expires unless it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// When it must have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline: Option<Timestamp>,
    /// The token of its first claim, where it may expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_token: Option<i64>,
    /// The jobs that it depends on, as they were given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends_on: Vec<Dependency>,
    /// The job that it is a fork of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forked_from: Option<JobId>,
    /// How long it holds its unique key, where that is more than a period after its completion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<Hold>,
}

impl Beside {
    pub(crate) fn times(&self) -> Times {
        Times { expires_at: self.expires_at, deadline: self.deadline }
    }
}

/// A policy with what stands beside it, as a job's row has them; `None` where there is nothing to say.
pub(crate) fn stored(policy: &Policy, beside: &Beside) -> Result<Option<Json>> {
    #[derive(Serialize)]
    struct Stored<'a> {
        #[serde(flatten)]
        policy: &'a Policy,
        #[serde(flatten)]
        beside: &'a Beside,
    }
    match (*policy == Policy::default(), *beside == Beside::default()) {
        (true, true) => Ok(None),
        (false, true) => Json::new(policy).map(Some),
        (_, false) => Json::new(&Stored { policy, beside }).map(Some),
    }
}
