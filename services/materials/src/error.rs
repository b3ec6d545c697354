use std::io;

use axum::http::StatusCode;
use serde::Serialize;
use service_support::{Cause, ErrorShape, ProviderError, ServiceError, Waiting};
use utoipa::ToSchema;

/// `{"detail": …}`.
pub(crate) enum Detail {}

/// A request that cannot be served.
#[derive(Serialize, ToSchema)]
#[schema(as = MaterialsError)]
pub(crate) struct Body<'a> {
    /// The reason, for people.
    detail: &'a str,
}

pub(crate) type Error = ServiceError<Detail>;

impl ErrorShape for Detail {
    type Form = Body<'static>;

    fn body(error: &Error) -> impl Serialize + '_ {
        Body { detail: &error.message }
    }
}

pub(crate) fn no_course() -> Error {
    Error::not_found("Course not found")
}

pub(crate) fn no_material() -> Error {
    Error::not_found("Material not found")
}

/// The row exists and the file does not: it was removed from the storage.
pub(crate) fn no_file() -> Error {
    Error::not_found("File not found")
}

/// A file could not be read or written. A disk that takes no file is an outage, as it is for the store.
pub(crate) fn file_failed(error: io::Error) -> Error {
    use io::ErrorKind::{NotConnected, NotFound, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let store = "files";
    match error.kind() {
        StorageFull | QuotaExceeded => longhaul::Error::Full { store, source: error.into() }.into(),
        // The error of a bucket that does not answer.
        NotConnected => longhaul::Error::Unavailable { store, source: error.into() }.into(),
        // The folders are made at the start: one that is not found was deleted since.
        ReadOnlyFilesystem | NotFound => longhaul::Error::Broken { store, source: error.into() }.into(),
        _ => Error::fault(&error),
    }
}

/// The language model failed within a request. A rate limit has an error of its own; the provider's message holds
/// neither keys nor addresses.
pub(crate) fn model_failed(error: ProviderError) -> Error {
    tracing::warn!("failed to answer a request: {error}");
    let reason = &error.message;
    match (error.cause, error.waiting) {
        (cause, Waiting::For(wait) | Waiting::TooLong(wait)) => {
            let is_limit = cause == Cause::Status(429);
            let told =
                if is_limit { "The language model is over its limit" } else { "The language model is busy" };
            Error::new(StatusCode::SERVICE_UNAVAILABLE, told).retry_after(wait)
        }
        (Cause::Spent, _) => Error::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("The language model's quota is spent: {reason}"),
        ),
        (Cause::Timeout, _) => {
            Error::new(StatusCode::GATEWAY_TIMEOUT, "The language model took too long to answer")
        }
        _ => Error::new(StatusCode::BAD_GATEWAY, format!("The language model could not answer: {reason}")),
    }
}
