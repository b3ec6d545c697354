//! The work behind the routes.

mod generate;

pub(crate) use generate::generate_job;
pub use generate::{Generate, Generated};

/// The queue that all jobs of this service wait in.
pub const QUEUE: &str = "lessons";
