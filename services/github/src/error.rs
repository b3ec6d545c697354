use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use service_support::DbError;

use crate::start::StartError;

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

    pub(crate) fn no_task(task_id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Task {task_id} not found"))
    }

    pub(crate) fn unavailable(retry_after: Duration) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service temporarily unavailable");
        Self { retry_after: Some(retry_after), ..error }
    }

    pub(crate) fn too_many(limit: u32) -> Self {
        let detail = format!("Too many tasks: at most {limit} may be in progress at a time");
        // An analysis takes 10 to 30 s; the first of so many ends sooner.
        let retry_after = Some(Duration::from_secs(5));
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
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
            return Self::unavailable(Duration::from_secs(1));
        }
        Self::fault(&error)
    }
}

impl StartError {
    /// What is answered where nothing can be done in place of a task.
    pub(crate) fn answer(self, limit: u32) -> Error {
        match self {
            StartError::TooMany => Error::too_many(limit),
            StartError::Away => Error::unavailable(Duration::from_secs(5)),
            StartError::Fault(error) => Error::fault(&error),
        }
    }
}
