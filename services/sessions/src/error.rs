use axum::http::StatusCode;
use serde::Serialize;
use service_support::{ErrorShape, ServiceError};
use utoipa::ToSchema;

/// The form of NestJS: `{message, error, statusCode}`, where the message is a list if fields are at fault.
pub(crate) enum Nest {}

pub(crate) type Error = ServiceError<Nest>;

/// A request that cannot be served.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionsError)]
pub(crate) struct Body<'a> {
    message: Message<'a>,
    error: &'a str,
    status_code: u16,
}

/// The reason for people, or what is wrong with each field.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SessionsErrorMessage)]
enum Message<'a> {
    One(&'a str),
    Many(&'a [String]),
}

impl ErrorShape for Nest {
    type Form = Body<'static>;

    fn body(error: &Error) -> impl Serialize + '_ {
        let message = match error.faults.as_slice() {
            [] => Message::One(&error.message),
            faults => Message::Many(faults),
        };
        let reason = error.status.canonical_reason().unwrap_or("Error");
        Body { message, error: reason, status_code: error.status.as_u16() }
    }
}

pub(crate) fn invalid(faults: Vec<String>) -> Error {
    let mut error = Error::bad_request("Bad Request");
    error.faults = faults;
    error
}

pub(crate) fn forbidden(message: &str) -> Error {
    Error::new(StatusCode::FORBIDDEN, message)
}

pub(crate) fn no_session() -> Error {
    Error::not_found("Session not found")
}

pub(crate) fn no_skill() -> Error {
    Error::not_found("Skill not found")
}
