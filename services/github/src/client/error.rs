use std::time::Duration;

use longhaul::JobError;
use service_support::{DbError, ProviderError};

/// A call to GitHub did not come to anything.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A limit, GitHub's or our own, that ends after this long.
    Limited(Duration),
    /// A limit that lasts longer than a job is let to wait.
    Exceeded,
    /// GitHub failed.
    Provider(ProviderError),
    /// The count against our own limit is not known.
    Database(DbError),
}

/// The error of a task that has to do with a limit for too long; the words of docs/services/github.md.
pub(crate) const LIMIT_EXCEEDED: &str = "GitHub API rate limit exceeded";

impl CallError {
    pub(super) fn limited(wait: Duration, max_wait: Duration) -> Self {
        if wait > max_wait { CallError::Exceeded } else { CallError::Limited(wait) }
    }
}

impl From<ProviderError> for CallError {
    fn from(error: ProviderError) -> Self {
        CallError::Provider(error)
    }
}

impl From<CallError> for JobError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Limited(wait) => JobError::rate_limited(wait, LIMIT_EXCEEDED),
            CallError::Exceeded => JobError::fatal(LIMIT_EXCEEDED),
            CallError::Provider(error) => error.into(),
            CallError::Database(error) => error.into(),
        }
    }
}
