//! The work behind the routes: an analysis, a name of a batch, and the end of a batch.

mod analyze;
mod batch;
mod member;

pub use analyze::Analyze;
pub(crate) use batch::batch_of;
pub use batch::{Batch, BatchOutcome, MemberResult};
pub use member::{Member, MemberOutcome};

/// The queue that analyses wait in.
pub const QUEUE: &str = "github";
/// The queue of batches: jobs that only wait for analyses, apart from these so that they never take their slots.
pub const BATCH_QUEUE: &str = "github-batch";
/// The limit key of all jobs that call GitHub: they are paused together. A unit of its rate is a call.
pub const LIMIT_KEY: &str = "provider:github";
