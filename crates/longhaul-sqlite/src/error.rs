use longhaul::Error;
use rusqlite::ErrorCode;

/// Says what was being done when SQLite failed, and whether asking again may help.
pub(crate) fn fault(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            Error::Unavailable { store: STORE, source: Box::new(error) }
        }
        _ => Error::Store { store: STORE, operation, source: Box::new(error) },
    }
}

/// The same failure, told to each of the callers that shared a transaction.
pub(crate) fn copy(error: &Error) -> Error {
    let text = || error.to_string().into();
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: field.clone(), reason: reason.clone() },
        Error::Store { store, operation, source } => {
            Error::Store { store, operation, source: source.to_string().into() }
        }
        Error::Unavailable { store, source } => {
            Error::Unavailable { store, source: source.to_string().into() }
        }
        _ => Error::Store { store: STORE, operation: "commit", source: text() },
    }
}

/// The store has been closed, or its thread has died; nothing was done.
pub(crate) fn closed() -> Error {
    Error::Unavailable { store: STORE, source: "the writer has stopped".into() }
}

pub(crate) const STORE: &str = "sqlite";
