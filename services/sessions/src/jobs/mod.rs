//! The work behind the routes.

mod dispatch;

pub(crate) use dispatch::dispatch_job;
pub use dispatch::{Dispatch, Dispatched};

/// The queue that all jobs of this service wait in.
pub const QUEUE: &str = "sessions";
