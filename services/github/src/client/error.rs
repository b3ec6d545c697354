use std::time::Duration;

use longhaul::JobError;
use service_support::{Cause, DbError, ProviderError, Waiting};

use crate::failure::{self, LIMIT_EXCEEDED};

/// A call to GitHub did not come to anything.
#[derive(Debug)]
pub(crate) enum CallError {
    /// A limit, GitHub's or our own, that ends after this long.
    Limited(Duration),
    /// A limit that lasts longer than a job is let to wait.
    Exceeded,
    /// GitHub refuses our token, with these words.
    Token(String),
    /// It leads to another host, or in a circle.
    Astray,
    /// GitHub failed.
    Provider(ProviderError),
    /// The count against our own limit is not known.
    Database(DbError),
}

impl CallError {
    pub(super) fn limited(wait: Duration, max_wait: Duration) -> Self {
        if wait > max_wait { CallError::Exceeded } else { CallError::Limited(wait) }
    }

    /// True if the failure is about the one thing that was asked for and will not change: it is blocked, its history is too
    /// large, its reply is. The rest of an analysis can do without.
    pub(crate) fn is_of_one_thing(&self) -> bool {
        match self {
            CallError::Provider(error) => !error.is_retryable() && error.cause != Cause::Setup,
            CallError::Astray => true,
            _ => false,
        }
    }

    /// True if GitHub itself did not do what it was asked, be it now or for good.
    pub(crate) fn is_githubs(&self) -> bool {
        matches!(self, CallError::Provider(_))
    }

    /// The words for the user: no address, no text of a page that a proxy has put up.
    pub(crate) fn words(&self) -> String {
        match self {
            CallError::Limited(_) | CallError::Exceeded => LIMIT_EXCEEDED.to_owned(),
            CallError::Token(reason) => format!("{}: {reason}", failure::TOKEN_REFUSED),
            CallError::Astray => format!("{}: it leads to another host or in a circle", failure::UNREADABLE),
            CallError::Database(error) => error.to_string(),
            CallError::Provider(error) => match error.cause {
                Cause::Timeout => failure::TIMED_OUT.to_owned(),
                Cause::Connection | Cause::Setup => failure::UNREACHABLE.to_owned(),
                Cause::TooLarge | Cause::BadReply => format!("{}: {}", failure::UNREADABLE, error.message),
                Cause::Status(_) | Cause::Refused | Cause::Spent => match error.message.split_once(": ") {
                    Some((status, page)) if page.trim_start().starts_with('<') => {
                        format!("{} failed: {status}", error.provider)
                    }
                    _ => error.to_string(),
                },
            },
        }
    }
}

impl From<ProviderError> for CallError {
    fn from(error: ProviderError) -> Self {
        CallError::Provider(error)
    }
}

impl From<CallError> for JobError {
    fn from(error: CallError) -> Self {
        let message = error.words();
        match error {
            CallError::Limited(wait) => JobError::rate_limited(wait, message),
            CallError::Exceeded | CallError::Token(_) | CallError::Astray => JobError::fatal(message),
            CallError::Provider(error) => {
                if matches!(error.cause, Cause::Connection | Cause::Timeout | Cause::Setup) {
                    // The message leaves the address out; the operator needs it.
                    tracing::warn!("failed to call GitHub: {}", error.message);
                }
                match error.waiting {
                    Waiting::TooLong(_) => JobError::fatal(message),
                    Waiting::For(wait) if error.is_retryable() => JobError::retry_after(wait, message),
                    _ if error.is_retryable() => JobError::retry(message),
                    _ => JobError::fatal(message),
                }
            }
            CallError::Database(error) => error.into(),
        }
    }
}
