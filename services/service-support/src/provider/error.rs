use std::fmt;
use std::time::Duration;

use longhaul::JobError;

/// An outside system did not do what it was asked. Whether asking again makes sense is decided here and nowhere
/// else: a job that returns this with `?` pauses its limit key, retries or fails as it should. (It is no `std::error::Error`,
/// because the engine retries every one of those.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// The name of the system.
    pub provider: String,
    /// The sort of failure.
    pub cause: Cause,
    /// The wait that it asked for.
    pub waiting: Waiting,
    /// The system's own words, or the event.
    pub message: String,
}

/// A sort of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client could not be made, or the request had no valid form.
    Setup,
    /// It could not be reached, or the connection broke.
    Connection,
    /// It took too long.
    Timeout,
    /// It answered with this status.
    Status(u16),
    /// Its reply passed the bound.
    TooLarge,
    /// Its reply makes no sense.
    BadReply,
    /// It answered, and declined: what it was asked for will not come, however often it is asked.
    Refused,
    /// Its account has nothing left.
    Spent,
}

/// The wait that a refusal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing.
    NotTold,
    /// After this long.
    For(Duration),
    /// After this long, which is more than a job is let to wait.
    TooLong(Duration),
}

impl ProviderError {
    pub(crate) fn new(provider: &str, cause: Cause, message: impl Into<String>) -> Self {
        Self { provider: provider.to_owned(), cause, waiting: Waiting::NotTold, message: message.into() }
    }

    /// True if the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.cause {
            Cause::Connection | Cause::Timeout | Cause::BadReply => true,
            // 408 and 425: it was the server that did not want to wait, or to be first.
            Cause::Status(status) => matches!(status, 408 | 425 | 429) || status >= 500,
            Cause::Setup | Cause::TooLarge | Cause::Refused | Cause::Spent => false,
        }
    }
}

/// A limit with a bearable wait costs no attempt; a wait that is too long, or a refusal that will not change, fails
/// the job at once; the rest is tried again.
impl From<ProviderError> for JobError {
    fn from(error: ProviderError) -> Self {
        match (error.cause, error.waiting) {
            (_, Waiting::TooLong(_)) => JobError::fatal(error),
            (Cause::Status(429), Waiting::For(wait)) => JobError::rate_limited(wait, error),
            (_, Waiting::For(wait)) if error.is_retryable() => JobError::retry_after(wait, error),
            _ if error.is_retryable() => JobError::retry(error),
            _ => JobError::fatal(error),
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.provider, self.message)
    }
}

#[cfg(test)]
mod tests {
    use longhaul::Verdict;

    use super::*;

    fn verdict(cause: Cause, waiting: Waiting) -> Verdict {
        JobError::from(ProviderError { waiting, ..ProviderError::new("llm", cause, "no") }).verdict
    }

    #[test]
    fn the_failure_decides_what_becomes_of_the_job() {
        let minute = Duration::from_secs(60);
        assert_eq!(verdict(Cause::Status(429), Waiting::For(minute)), Verdict::RateLimited(minute));
        assert_eq!(verdict(Cause::Status(429), Waiting::TooLong(minute)), Verdict::Fatal);
        assert_eq!(verdict(Cause::Status(429), Waiting::NotTold), Verdict::Retry(None));
        assert_eq!(verdict(Cause::Status(503), Waiting::For(minute)), Verdict::Retry(Some(minute)));
        for status in [408, 425, 500] {
            assert_eq!(verdict(Cause::Status(status), Waiting::NotTold), Verdict::Retry(None));
        }
        assert_eq!(verdict(Cause::Status(404), Waiting::NotTold), Verdict::Fatal);
        assert_eq!(verdict(Cause::Connection, Waiting::NotTold), Verdict::Retry(None));
        assert_eq!(verdict(Cause::Timeout, Waiting::NotTold), Verdict::Retry(None));
        for cause in [Cause::TooLarge, Cause::Refused, Cause::Spent] {
            assert_eq!(verdict(cause, Waiting::NotTold), Verdict::Fatal);
        }
    }
}
