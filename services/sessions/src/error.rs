use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use service_support::{AuthError, DbError};

/// What a request is answered that cannot be served, in NestJS's form: `{message, error, statusCode}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    pub(crate) message: Message,
    pub(crate) retry_after: Option<Duration>,
}

/// One reason, or one for each field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Message {
    One(String),
    Many(Vec<String>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    message: &'a Message,
    error: &'a str,
    status_code: u16,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: Message::One(message.into()), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn invalid(faults: Vec<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: Message::Many(faults), retry_after: None }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn no_session() -> Self {
        Self::not_found("Session not found")
    }

    pub(crate) fn no_skill() -> Self {
        Self::not_found("Skill not found")
    }

    /// A fault of ours: the caller learns that it was one, the log learns what it was.
    pub(crate) fn fault(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("failed to answer a request: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let body = Body {
            message: &self.message,
            error: self.status.canonical_reason().unwrap_or("Error"),
            status_code: self.status.as_u16(),
        };
        let mut response = (self.status, Json(body)).into_response();
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
            let message = "Service temporarily unavailable";
            let retry_after = Some(Duration::from_secs(1));
            return Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) };
        }
        Self::fault(&error)
    }
}
