use serde::Serialize;
use service_support::{ErrorShape, ServiceError};
use utoipa::ToSchema;

/// `{"success": false, "error": …}`.
pub(crate) enum Unsuccessful {}

/// A request that cannot be served.
#[derive(Serialize, ToSchema)]
#[schema(as = CurriculumError)]
pub(crate) struct Body<'a> {
    /// Always false.
    success: bool,
    /// The reason, for people.
    error: &'a str,
}

pub(crate) type Error = ServiceError<Unsuccessful>;

impl ErrorShape for Unsuccessful {
    type Form = Body<'static>;

    fn body(error: &Error) -> impl Serialize + '_ {
        Body { success: false, error: &error.message }
    }
}

pub(crate) fn no_workflow() -> Error {
    Error::not_found("Workflow not found")
}
