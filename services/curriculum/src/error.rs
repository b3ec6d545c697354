use serde::Serialize;
use serde_json::json;
use service_support::{ErrorShape, ServiceError};

/// `{"success": false, "error": …}`.
pub(crate) enum Unsuccessful {}

pub(crate) type Error = ServiceError<Unsuccessful>;

impl ErrorShape for Unsuccessful {
    fn body(error: &Error) -> impl Serialize + '_ {
        json!({ "success": false, "error": error.message })
    }
}

pub(crate) fn no_workflow() -> Error {
    Error::not_found("Workflow not found")
}
