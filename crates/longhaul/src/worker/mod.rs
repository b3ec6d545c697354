//! The runtime: claims jobs, runs them, keeps their leases alive and reports their ends to the store.
//!
//! | file | what |
//! |---|---|
//! | `start` | describes and starts a worker |
//! | `dispatch` | claims jobs, starts their runs, sends their ends |
//! | `queue` | the slots that a worker has for one queue |
//! | `settle` | sends ends, and narrows an error to the end that caused it |
//! | `task` | the task of one run, whose slot comes back however it ends |
//! | `collect`, `gather`, `collecting`, `call` | kinds whose jobs are run many at a time: what the application sees; jobs that wait for others; the claims and slots of calls; the place where the jobs of a call meet |
//! | `layer` | what every run goes through: span, time, the application's layers, timeout, containment |
//! | `registry`, `execution` | the application's code, and the policy for the end of a run |
//! | `context` | what a job sees; its `steps`, and its `waits` that hold no slot |
//! | `running`, `active` | what the parts share of a job that runs, and of all of them |
//! | `pending`, `recorder` | what jobs say, bounded, on its way to the store |
//! | `heartbeat` | keeps leases alive |

mod active;
mod call;
mod collect;
mod collecting;
mod context;
mod dispatch;
mod execution;
mod gather;
mod heartbeat;
pub mod layer;
mod pending;
mod queue;
mod recorder;
mod registry;
mod running;
mod settle;
mod start;
mod steps;
mod task;
mod waits;

pub use active::Shutdown;
pub(crate) use call::run_call;
pub use collect::{Collect, Collected};
pub use context::Context;
pub(crate) use execution::execute;
pub use registry::Registry;
pub(crate) use running::RunningJob;
pub use start::{DEFAULT_LEASE, Worker, WorkerBuilder};
pub use steps::StepOptions;
