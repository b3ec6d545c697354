use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use service_support::DbError;

/// What a request is answered that cannot be served: `{"success": false, "error": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn no_workflow() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Workflow not found")
    }

    /// A fault of ours: the caller learns that it was one, the log learns what it was.
    fn fault(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("failed to answer a request: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = json!({ "success": false, "error": self.message });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
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
            let message = "Service temporarily unavailable";
            let retry_after = Some(Duration::from_secs(1));
            return Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) };
        }
        Self::fault(&error)
    }
}
