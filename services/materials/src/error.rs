use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use service_support::{AuthError, Cause, DbError, ProviderError, Waiting};

/// What a request is answered that cannot be served: `{"detail": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn no_course() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Course not found")
    }

    pub(crate) fn no_material() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Material not found")
    }

    /// A fault of ours: the caller learns that it was one, the log learns what it was.
    pub(crate) fn fault(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("failed to answer a request: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "detail": self.detail }))).into_response();
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

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string())
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Store(error) => error.into(),
            error => Self::fault(&error),
        }
    }
}

impl From<longhaul::Error> for Error {
    fn from(error: longhaul::Error) -> Self {
        if let longhaul::Error::Unavailable { .. } = error {
            tracing::error!("failed to answer a request: {error}");
            let detail = "Service temporarily unavailable";
            let retry_after = Some(Duration::from_secs(1));
            return Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) };
        }
        Self::fault(&error)
    }
}

/// The language model failed within a request. What it said stays in the log.
impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        tracing::warn!("failed to answer a request: {error}");
        match (error.cause, error.waiting) {
            (Cause::Status(429), Waiting::For(wait) | Waiting::TooLong(wait)) => Self {
                retry_after: Some(wait),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "The language model is over its limit")
            },
            (Cause::Timeout, _) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "The language model took too long to answer")
            }
            _ => Self::new(StatusCode::BAD_GATEWAY, "The language model could not answer"),
        }
    }
}
