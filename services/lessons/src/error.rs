use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use service_support::DbError;

/// What a request is answered that cannot be served: `{"detail": {"message": …, "suggestion": …}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    status: StatusCode,
    message: String,
    suggestion: Option<&'static str>,
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    detail: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'static str>,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), suggestion: None, retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Nothing (any more) is known of a task.
    pub(crate) fn no_task(task_id: &str) -> Self {
        let suggestion = Some("The task may have expired or the task_id is invalid");
        Self { suggestion, ..Self::new(StatusCode::NOT_FOUND, format!("Task {task_id} not found")) }
    }

    pub(crate) fn no_lesson(message: impl Into<String>) -> Self {
        let suggestion = Some("Use POST /lessons to create a new lesson");
        Self { suggestion, ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    /// A fault of ours: the caller learns that it was one, the log learns what it was.
    fn fault(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("failed to answer a request: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let detail = Detail { message: &self.message, suggestion: self.suggestion };
        let mut response = (self.status, Json(Body { detail })).into_response();
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
            let retry_after = Some(Duration::from_secs(1));
            let message = "Service temporarily unavailable";
            return Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) };
        }
        Self::fault(&error)
    }
}
