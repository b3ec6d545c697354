use longhaul::Error;
use redis::{ErrorKind, RedisError, ServerErrorKind};

pub(crate) const STORE: &str = "redis";

/// Says what was being done when the server failed, and whether asking again may help.
pub(crate) fn fault(operation: &'static str, error: RedisError) -> Error {
    if is_outage(&error) {
        Error::Unavailable { store: STORE, source: Box::new(error) }
    } else {
        Error::Store { store: STORE, operation, source: Box::new(error) }
    }
}

/// True where the server cannot be used for now: it is away, full, busy, or not the one that it was. Any other error is about
/// the call, and the script has changed nothing.
pub(crate) fn is_outage(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
        ),
        ErrorKind::Extension => matches!(error.code(), Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY")),
        _ => false,
    }
}

/// The server answered with something that no script of ours answers.
pub(crate) fn unreadable(operation: &'static str) -> Error {
    Error::Store { store: STORE, operation, source: "the server's answer cannot be read".into() }
}

/// A fault in our own words.
pub(crate) fn failed(operation: &'static str, reason: impl Into<String>) -> Error {
    Error::Store { store: STORE, operation, source: reason.into().into() }
}

/// The store has been closed, or its thread has died; nothing is known of what was asked.
pub(crate) fn closed() -> Error {
    Error::Unavailable { store: STORE, source: "the connection's thread has stopped".into() }
}
