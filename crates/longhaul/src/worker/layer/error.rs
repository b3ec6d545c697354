use std::error::Error;
use std::fmt;

use crate::job::{JobError, Verdict};
use crate::model::Json;

/// The result of a run: the job's output, or the reason for which there is none.
pub type RunResult = Result<Json, RunError>;

/// Any error, as `tower` has it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The end of a run without an output. A [`JobError`] becomes one with `into()`.
#[derive(Debug)]
pub struct RunError {
    /// The consequence, and the reason for people.
    pub error: JobError,
    /// The sort of end.
    pub kind: RunErrorKind,
}

/// The way in which a run came to its end without an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The job or a layer returned an error.
    Returned,
    /// The job or a layer panicked.
    Panicked,
    /// The attempt took longer than the job's timeout.
    TimedOut,
    /// The worker stopped the run: its lease was lost or could not be extended, the worker shuts down, the job's deadline has
    /// passed, or the store cannot keep what the job has said. No layer can change the consequence.
    Stopped,
}

impl RunError {
    pub(super) fn panicked(panic: String) -> Self {
        Self { error: JobError::retry(panic), kind: RunErrorKind::Panicked }
    }
}

impl From<JobError> for RunError {
    fn from(error: JobError) -> Self {
        Self { error, kind: RunErrorKind::Returned }
    }
}

/// The error of a layer: a [`RunError`] as it is; one with a [`RunError`] among its causes with that one's consequence; any other
/// as that of a job.
impl From<BoxError> for RunError {
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(error) => return *error,
            Err(error) => error,
        };
        let mut seen = Self::from(JobError::of(error.as_ref()));
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(known) = error.downcast_ref::<Self>() {
                (seen.kind, seen.error.verdict) = (known.kind, known.error.verdict);
                break;
            }
            cause = error.source();
        }
        seen
    }
}

// So that a layer's error may be a `JobError`, which is no `Error` itself.
impl From<JobError> for BoxError {
    fn from(error: JobError) -> Self {
        RunError::from(error).into()
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl Error for RunError {}

impl RunErrorKind {
    /// The kind as logs have it; that of an error which costs no attempt, or ends the job, by its verdict.
    pub(super) fn name(self, verdict: Verdict) -> &'static str {
        match (self, verdict) {
            (Self::Panicked, _) => "panicked",
            (Self::TimedOut, _) => "timed_out",
            (Self::Stopped, _) => "stopped",
            (Self::Returned, Verdict::Cancel) => "cancelled",
            (Self::Returned, Verdict::Snooze(_)) => "snoozed",
            (Self::Returned, Verdict::RateLimited(_)) => "rate_limited",
            (Self::Returned, Verdict::Waits) => "waits",
            (Self::Returned, Verdict::Retry(_) | Verdict::Fatal) => "erred",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the tenant's quota")]
    struct Quota(#[source] BoxError);

    #[test]
    fn an_error_that_a_layer_wraps_keeps_its_consequence_and_one_of_its_own_is_that_of_a_job() {
        let limit = || JobError::rate_limited(Duration::from_secs(9), "429");
        let plain = RunError::from(BoxError::from(limit()));
        assert_eq!(plain.error.verdict, limit().verdict);
        let wrapped = RunError::from(BoxError::from(Quota(limit().into())));
        assert_eq!((wrapped.kind, wrapped.error.verdict), (RunErrorKind::Returned, limit().verdict));
        assert_eq!(wrapped.to_string(), "the tenant's quota: 429");
        let panic = RunError::panicked("panicked: at the disco".into());
        assert_eq!(RunError::from(BoxError::from(Quota(panic.into()))).kind, RunErrorKind::Panicked);
        let own = RunError::from(BoxError::from("no luck"));
        assert_eq!((own.kind, own.error.verdict), (RunErrorKind::Returned, Verdict::Retry(None)));
        let invalid = crate::Error::Invalid { field: "args".into(), reason: "must be less".into() };
        assert_eq!(RunError::from(BoxError::from(Quota(invalid.into()))).error.verdict, Verdict::Retry(None));
    }
}
