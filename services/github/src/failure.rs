//! The causes of an analysis that failed. An engine keeps the words of an error and nothing else, so the words are made
//! from these beginnings here, and the causes are found by them here.

use std::time::Duration;

use axum::http::StatusCode;
use longhaul::{JobRecord, State};

use crate::error::Error;
use crate::name::Username;

/// A limit that lasts for too long; the words of docs/services/github.md.
pub(crate) const LIMIT_EXCEEDED: &str = "GitHub API rate limit exceeded";
pub(crate) const TOKEN_REFUSED: &str = "GitHub refuses the token of this service (GITHUB_TOKEN)";
pub(crate) const TIMED_OUT: &str = "GitHub did not answer in time";
pub(crate) const UNREACHABLE: &str = "GitHub cannot be reached";
pub(crate) const UNREADABLE: &str = "GitHub's answer cannot be read";
/// A task that waited for too long.
pub(crate) const TASK_TIMED_OUT: &str = "Analysis timed out after 1 hour";
const CANCELLED: &str = "Analysis was cancelled";
const FAILED: &str = "GitHub failed";
const NO_USER: &str = "GitHub user '";

/// The `Retry-After` if the end of a limit is not known in this process.
const UNTOLD: Duration = Duration::from_secs(60);
const UNREACHABLE_WAIT: Duration = Duration::from_secs(10);

/// The cause, as far as it matters to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such user.
    NoUser,
    /// A limit of GitHub's.
    Limit,
    /// GitHub, or what is between, did not do what it was asked.
    BadGateway,
    /// GitHub is away.
    Unreachable,
    /// A timeout.
    TimedOut,
    /// A cancellation.
    Cancelled,
    /// Ours.
    Fault,
}

/// The reason where there is no such user.
pub(crate) fn no_user(username: &Username) -> String {
    format!("{NO_USER}{username}' not found")
}

/// The reason why a job did not complete, for its caller.
pub(crate) fn reason(record: &JobRecord) -> String {
    match (record.state, record.errors.last()) {
        (State::Cancelled, _) | (_, None) => CANCELLED.to_owned(),
        (_, Some(error)) => error.message.clone(),
    }
}

impl Failure {
    /// The cause in a reason.
    pub(crate) fn of(reason: &str) -> Self {
        let beginnings = [
            (LIMIT_EXCEEDED, Failure::Limit),
            (TOKEN_REFUSED, Failure::BadGateway),
            (UNREADABLE, Failure::BadGateway),
            (FAILED, Failure::BadGateway),
            (UNREACHABLE, Failure::Unreachable),
            (TIMED_OUT, Failure::TimedOut),
            (TASK_TIMED_OUT, Failure::TimedOut),
            (CANCELLED, Failure::Cancelled),
            (NO_USER, Failure::NoUser),
        ];
        let found = beginnings.iter().find(|(beginning, _)| reason.starts_with(beginning));
        found.map_or(Failure::Fault, |(_, failure)| *failure)
    }

    /// The answer in place of a result. `wait` is how long GitHub's limit lasts, where that is known.
    pub(crate) fn answer(self, username: &Username, reason: String, wait: Option<Duration>) -> Error {
        let message = match self {
            Failure::NoUser => format!("GitHub user '{username}' not found or could not be analyzed"),
            Failure::Fault => {
                tracing::error!(username = username.as_str(), "failed to analyze: {reason}");
                format!("GitHub user '{username}' could not be analyzed")
            }
            _ => reason,
        };
        let error = Error::new(self.status(), message);
        match self {
            Failure::Limit => error.retry_after(wait.unwrap_or(UNTOLD)),
            Failure::Unreachable => error.retry_after(UNREACHABLE_WAIT),
            _ => error,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Failure::NoUser => StatusCode::NOT_FOUND,
            Failure::Limit | Failure::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Failure::BadGateway => StatusCode::BAD_GATEWAY,
            Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Failure::Cancelled => StatusCode::CONFLICT,
            Failure::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
