use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use service_support::{ErrorShape, ServiceError};
use utoipa::ToSchema;

use crate::start::StartError;

/// `{"detail": …}`.
pub(crate) enum Detail {}

/// A request that cannot be served.
#[derive(Serialize, ToSchema)]
#[schema(as = GithubError)]
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

pub(crate) fn no_task(task_id: &str) -> Error {
    Error::not_found(format!("Task {task_id} not found"))
}

pub(crate) fn too_many(limit: u32) -> Error {
    let detail = format!("Too many tasks: at most {limit} may be in progress at a time");
    // An analysis takes 10 to 30 s; the first of so many ends sooner.
    Error::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(Duration::from_secs(5))
}

impl StartError {
    /// The answer where nothing can be done in place of a task.
    pub(crate) fn answer(self, limit: u32) -> Error {
        match self {
            StartError::TooMany => too_many(limit),
            StartError::Crowded(full) => Error::crowded(&full),
            StartError::Away => Error::unavailable(Duration::from_secs(5)),
            StartError::Fault(error) => Error::fault(&error),
        }
    }
}
