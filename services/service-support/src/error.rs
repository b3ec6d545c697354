use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;
use std::time::Duration;

use axum::Json;
use axum::extract::multipart::MultipartError;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::AuthError;
use crate::db::DbError;

/// The answer to a request that cannot be served, with a body of the service's shape `S`.
pub struct ServiceError<S> {
    /// The status.
    pub status: StatusCode,
    /// The reason, for the caller.
    pub message: String,
    /// The faults of single fields, for shapes that list them.
    pub faults: Vec<String>,
    /// The advice to the caller, for shapes that have one.
    pub suggestion: Option<&'static str>,
    /// The `Retry-After` header; at least a second is told.
    pub retry_after: Option<Duration>,
    shape: PhantomData<fn() -> S>,
}

/// The pause before a caller asks again who found no room: about the time of a job of a service's.
const CROWDED_RETRY_AFTER: Duration = Duration::from_secs(5);
const NO_ROOM: &str = "Service temporarily unavailable: no room is left, and nothing was kept. Free space on the \
    server's disk, or give it more; it goes on by itself";
const NO_WRITES: &str = "Service temporarily unavailable: its data cannot be written, and nothing was kept. See whether \
    the data folder is there and writable, and start the server again if it was replaced";

/// The form of a service's error bodies, as the original document of the service (docs/services/…) has it.
pub trait ErrorShape: Sized + 'static {
    /// The body, as the OpenAPI document describes it.
    type Form: ToSchema;

    /// The body.
    fn body(error: &ServiceError<Self>) -> impl Serialize + '_;
}

impl<S> ServiceError<S> {
    /// An answer with a status and a reason.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            faults: Vec::new(),
            suggestion: None,
            retry_after: None,
            shape: PhantomData,
        }
    }

    /// 400: the request is not as it must be.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: nothing is kept under that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 503: the same request may succeed after a while.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable").retry_after(retry_after)
    }

    /// 429: as many jobs wait as may, and nothing was kept.
    #[must_use]
    pub fn crowded(full: &longhaul::Full) -> Self {
        tracing::warn!("refused a request: as many jobs wait in {full} as may");
        let message = "Too many requests are waiting to be worked on, and nothing was kept. Try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, message).retry_after(CROWDED_RETRY_AFTER)
    }

    /// 500: the caller learns that there was a fault, the log learns which.
    pub fn fault(error: &dyn Display) -> Self {
        tracing::error!("failed to answer a request: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }

    /// The same with a `Retry-After` header.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The same with a body of another shape.
    pub(crate) fn shaped<T>(self) -> ServiceError<T> {
        let Self { status, message, faults, suggestion, retry_after, shape: _ } = self;
        ServiceError { status, message, faults, suggestion, retry_after, shape: PhantomData }
    }

    /// The same with a suggestion.
    #[must_use]
    pub fn suggesting(self, suggestion: &'static str) -> Self {
        Self { suggestion: Some(suggestion), ..self }
    }
}

impl<S: ErrorShape> IntoResponse for ServiceError<S> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(S::body(&self))).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}

impl<S> From<AuthError> for ServiceError<S> {
    fn from(error: AuthError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl<S> From<MultipartError> for ServiceError<S> {
    fn from(error: MultipartError) -> Self {
        tracing::debug!("an upload broke off: {error}");
        Self::bad_request("Upload was cut off or is not valid multipart/form-data")
    }
}

impl<S> From<DbError> for ServiceError<S> {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Store(error) => error.into(),
            DbError::Crowded(full) => Self::crowded(&full),
            error => Self::fault(&error),
        }
    }
}

impl<S> From<longhaul::Error> for ServiceError<S> {
    fn from(error: longhaul::Error) -> Self {
        let unavailable = Self::unavailable(Duration::from_secs(1));
        let answer = match &error {
            longhaul::Error::Full { .. } => Self { message: NO_ROOM.into(), ..unavailable },
            longhaul::Error::Broken { .. } => Self { message: NO_WRITES.into(), ..unavailable },
            error if error.is_outage() => unavailable,
            _ => return Self::fault(&error),
        };
        tracing::error!("failed to answer a request: {error}");
        answer
    }
}

impl<S> Clone for ServiceError<S> {
    fn clone(&self) -> Self {
        Self {
            status: self.status,
            message: self.message.clone(),
            faults: self.faults.clone(),
            suggestion: self.suggestion,
            retry_after: self.retry_after,
            shape: PhantomData,
        }
    }
}

impl<S> Debug for ServiceError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.status, self.message, self.faults)
    }
}
