//! The runtime: claims jobs, runs them, keeps their leases alive and tells the store how they ended.

mod context;
mod dispatch;
mod execution;
mod heartbeat;
mod lane;
mod recorder;
mod registry;
mod running;
mod start;

pub use context::Context;
pub(crate) use execution::execute;
pub use registry::Registry;
pub(crate) use running::RunningJob;
pub use start::{DEFAULT_LEASE, Shutdown, Worker, WorkerBuilder};
