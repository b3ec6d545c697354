use longhaul::Error;
use tokio_postgres::error::SqlState;

pub(crate) const STORE: &str = "postgres";
/// The message of an error after the response timeout.
pub(crate) const SILENCE: &str = "no answer in time";

/// Makes an error of a failed statement: an outage, or a fault of the operation itself.
pub(crate) fn fault(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> Error + Copy {
    move |error| {
        let code = error.code().map_or("", SqlState::code);
        if code == "53100" {
            // The disk is full. The server goes on to read, and writes again once there is room.
            Error::Full { store: STORE, source: Box::new(DbError(error)) }
        } else if code == "25006" || code.starts_with("58") {
            // A standby, a database that was made read-only, a disk that fails.
            Error::Broken { store: STORE, source: Box::new(DbError(error)) }
        } else if is_unavailable(&error) {
            Error::Unavailable { store: STORE, source: Box::new(error) }
        } else {
            Error::Store { store: STORE, operation, source: Box::new(DbError(error)) }
        }
    }
}

/// Prints the server's message, which the client's own text ("db error") leaves out.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
struct DbError(tokio_postgres::Error);

/// A unique or idempotency key that another transaction has locked.
#[derive(Debug, thiserror::Error)]
#[error("another transaction holds a key that was asked for")]
struct KeyLocked;

/// True where a failed statement of an application is what the store itself calls
/// [`Unavailable`](longhaul::Error::Unavailable): the same may go better in a while, because the server is away, ending,
/// full or busy, or another transaction was in the way.
#[must_use]
pub fn is_unavailable(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // Without a code the connection has failed, unless a value could not be written or read.
        return error.is_closed()
            || std::error::Error::source(error).is_some_and(|e| e.is::<std::io::Error>());
    };
    is_conflict(code)
        || *code == SqlState::LOCK_NOT_AVAILABLE
        // The server has ended a transaction in which this process, held up, said nothing for long.
        || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        || ["08", "53", "57"].iter().any(|class| code.code().starts_with(class))
}

fn is_conflict(code: &SqlState) -> bool {
    *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
}

/// True for serialization failures and deadlocks (SQLSTATE 40001, 40P01): the transaction is run again.
pub(crate) fn is_serialization_failure(error: &Error) -> bool {
    code(error).is_some_and(is_conflict)
}

/// True where another transaction held a row or a key for too long (SQLSTATE 55P03): only the call that needs it waits.
pub(crate) fn is_lock_timeout(error: &Error) -> bool {
    code(error) == Some(&SqlState::LOCK_NOT_AVAILABLE)
        || matches!(error, Error::Unavailable { source, .. } if source.is::<KeyLocked>())
}

/// True where all calls fail alike, and are asked again as a whole. Any other failure is about one of them.
pub(crate) fn is_outage(error: &Error) -> bool {
    let is_cancelled = code(error) == Some(&SqlState::QUERY_CANCELED);
    error.is_outage() && !is_cancelled && !is_lock_timeout(error) && !is_serialization_failure(error)
}

/// True where the server itself has not answered.
pub(crate) fn is_unreachable(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. }) && is_outage(error) && code(error).is_none()
}

fn code(error: &Error) -> Option<&SqlState> {
    let Error::Unavailable { source, .. } = error else { return None };
    source.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.code())
}

/// The same failure, for each of the callers that shared a transaction.
pub(crate) fn copy(error: &Error) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: field.clone(), reason: reason.clone() },
        Error::Store { store, operation, source } => {
            Error::Store { store, operation, source: source.to_string().into() }
        }
        Error::Unavailable { store, source } => {
            Error::Unavailable { store, source: source.to_string().into() }
        }
        Error::Full { store, source } => Error::Full { store, source: source.to_string().into() },
        Error::Broken { store, source } => Error::Broken { store, source: source.to_string().into() },
        other => failed("commit", other.to_string()),
    }
}

/// A fault that the server has not reported.
pub(crate) fn failed(operation: &'static str, reason: impl Into<String>) -> Error {
    Error::Store { store: STORE, operation, source: reason.into().into() }
}

pub(crate) fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { store: STORE, source: reason.into().into() }
}

pub(crate) fn key_locked() -> Error {
    Error::Unavailable { store: STORE, source: Box::new(KeyLocked) }
}

/// The thread that writes has died: nothing that is asked of it will be done.
pub(crate) fn closed() -> Error {
    Error::Broken { store: STORE, source: "the thread that writes has stopped".into() }
}
