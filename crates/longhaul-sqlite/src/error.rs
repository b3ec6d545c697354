use longhaul::Error;
use rusqlite::{ErrorCode, ffi};

/// Turns a failure of SQLite into the engine's error, by whether asking again may help.
pub(crate) fn fault(operation: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        // The file that the processes of a database map could not grow: the disk is full as well.
        let is_full = error.sqlite_error().is_some_and(|e| e.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                unavailable(format!("another process holds the file's write lock: {error}"))
            }
            Some(ErrorCode::DiskFull) => full(error.to_string()),
            _ if is_full => full(error.to_string()),
            Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                broken(error.to_string())
            }
            _ => Error::Store { store: STORE, operation, source: Box::new(error) },
        }
    }
}

/// A copy of an error, for each of the callers that shared a transaction.
pub(crate) fn copy(error: &Error) -> Error {
    match error {
        Error::Invalid { field, reason } => Error::Invalid { field: field.clone(), reason: reason.clone() },
        Error::Unavailable { source, .. } => unavailable(source.to_string()),
        Error::Full { source, .. } => full(source.to_string()),
        Error::Broken { source, .. } => broken(source.to_string()),
        Error::Store { operation, source, .. } => {
            Error::Store { store: STORE, operation, source: source.to_string().into() }
        }
        _ => Error::Store { store: STORE, operation: "commit", source: error.to_string().into() },
    }
}

/// A call that panicked, with the panic's message.
pub(crate) fn panicked(operation: &'static str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Error::Store { store: STORE, operation, source: format!("the code panicked: {text}").into() }
}

/// The disk has no room for what was to be written.
pub(crate) fn full(source: String) -> Error {
    Error::Full { store: STORE, source: source.into() }
}

/// The file cannot be written until it is repaired.
pub(crate) fn broken(source: String) -> Error {
    Error::Broken { store: STORE, source: source.into() }
}

pub(crate) fn unavailable(source: String) -> Error {
    Error::Unavailable { store: STORE, source: source.into() }
}

/// The store was closed, or its writer has died; nothing was done.
pub(crate) fn closed() -> Error {
    broken("the writer has stopped".to_owned())
}

pub(crate) const STORE: &str = "sqlite";
