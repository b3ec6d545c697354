use longhaul::Error;
use tokio_postgres::error::SqlState;

pub(crate) const STORE: &str = "postgres";
/// What is said of a server that was waited for long enough.
pub(crate) const SILENCE: &str = "no answer in time";

/// Says what was being done when the server failed, and whether asking again may help.
pub(crate) fn fault(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> Error + Copy {
    move |error| {
        if is_unavailable(&error) {
            Error::Unavailable { store: STORE, source: Box::new(error) }
        } else {
            Error::Store { store: STORE, operation, source: Box::new(Told(error)) }
        }
    }
}

/// The client's own words for a fault of the server are "db error".
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
struct Told(tokio_postgres::Error);

/// Whether what an application's own statement failed with is what the store itself calls
/// [`Unavailable`](longhaul::Error::Unavailable): the same may go better in a while, because the server is away, ending,
/// full or busy, or another transaction was in the way.
#[must_use]
pub fn is_unavailable(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // What the server has not said is the connection's fault, but for values that cannot be written or read.
        return error.is_closed()
            || std::error::Error::source(error).is_some_and(|e| e.is::<std::io::Error>());
    };
    is_conflict(code)
        || *code == SqlState::LOCK_NOT_AVAILABLE
        || ["08", "53", "57"].iter().any(|class| code.code().starts_with(class))
}

fn is_conflict(code: &SqlState) -> bool {
    *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
}

/// Whether the transaction met another one, and will go through when it is run again.
pub(crate) fn has_met_another(error: &Error) -> bool {
    code(error).is_some_and(is_conflict)
}

/// Whether other transactions are to blame, and not the connection.
pub(crate) fn is_about_another(error: &Error) -> bool {
    has_met_another(error) || has_waited_in_vain(error)
}

/// Whether another transaction held something for too long. Only the call that needs it must be told.
pub(crate) fn has_waited_in_vain(error: &Error) -> bool {
    code(error) == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Whether nothing was heard of the server at all.
pub(crate) fn is_unheard(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. }) && code(error).is_none()
}

fn code(error: &Error) -> Option<&SqlState> {
    let Error::Unavailable { source, .. } = error else { return None };
    source.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.code())
}

/// The same failure, told to each of the callers that shared a transaction.
pub(crate) fn copy(error: &Error) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: field.clone(), reason: reason.clone() },
        Error::Store { store, operation, source } => {
            Error::Store { store, operation, source: source.to_string().into() }
        }
        Error::Unavailable { store, source } => {
            Error::Unavailable { store, source: source.to_string().into() }
        }
        other => failed("commit", other.to_string()),
    }
}

/// A fault in our own words.
pub(crate) fn failed(operation: &'static str, reason: impl Into<String>) -> Error {
    Error::Store { store: STORE, operation, source: reason.into().into() }
}

pub(crate) fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable { store: STORE, source: reason.into().into() }
}

/// The store has been closed, or its thread has died; nothing is known of what was asked.
pub(crate) fn closed() -> Error {
    unavailable("the connection's thread has stopped")
}
