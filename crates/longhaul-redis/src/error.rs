use longhaul::Error;
use redis::{ErrorKind, RedisError, ServerErrorKind};

pub(crate) const STORE: &str = "redis";

/// The error of an operation: an outage of its kind, or a fault of the call.
pub(crate) fn fault(operation: &'static str, error: RedisError) -> Error {
    let outage = is_outage(&error).then(|| kind_of_outage(&error));
    let source = Box::new(error);
    match outage {
        Some(Outage::Unavailable) => Error::Unavailable { store: STORE, source },
        Some(Outage::Full) => Error::Full { store: STORE, source },
        Some(Outage::Broken) => Error::Broken { store: STORE, source },
        None => Error::Store { store: STORE, operation, source },
    }
}

enum Outage {
    Unavailable,
    Full,
    Broken,
}

fn kind_of_outage(error: &RedisError) -> Outage {
    match error.code() {
        Some("OOM") => Outage::Full,
        // The server cannot write its files. It names the reason for its log of commands alone, and a full disk is the usual
        // one for a snapshot.
        Some("MISCONF") => {
            let text = error.to_string();
            let is_denied =
                ["Read-only", "Permission denied", "No such file"].iter().any(|reason| text.contains(reason));
            if is_denied { Outage::Broken } else { Outage::Full }
        }
        _ => Outage::Unavailable,
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

/// True where the server may have done what it was asked, and its answer will not come.
pub(crate) fn is_answer_lost(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Io
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
