use axum::http::StatusCode;
use serde::Serialize;
use service_support::{ErrorShape, ServiceError};
use utoipa::ToSchema;

/// `{"detail": {"message": …, "suggestion": …}}`.
pub(crate) enum Suggesting {}

pub(crate) type Error = ServiceError<Suggesting>;

/// A request that cannot be served.
#[derive(Serialize, ToSchema)]
#[schema(as = LessonsError)]
pub(crate) struct Body<'a> {
    detail: Detail<'a>,
}

/// The reason, for people.
#[derive(Serialize, ToSchema)]
#[schema(as = LessonsErrorDetail)]
struct Detail<'a> {
    /// The fault.
    message: &'a str,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'static str>,
}

impl ErrorShape for Suggesting {
    type Form = Body<'static>;

    fn body(error: &Error) -> impl Serialize + '_ {
        Body { detail: Detail { message: &error.message, suggestion: error.suggestion } }
    }
}

pub(crate) fn no_task(task_id: &str) -> Error {
    Error::not_found(format!("Task {task_id} not found"))
        .suggesting("The task may have expired or the task_id is invalid")
}

pub(crate) fn ended(task_id: &str, how: &str) -> Error {
    Error::new(StatusCode::CONFLICT, format!("Task {task_id} has {how} and cannot be cancelled"))
}

pub(crate) fn no_lesson(message: impl Into<String>) -> Error {
    Error::not_found(message).suggesting("Use POST /lessons to create a new lesson")
}
