//! The one thread that writes: it gathers what waits, runs it in one transaction, syncs once, answers all.

mod act;
mod batch;
mod batches;
mod claim;
mod enqueue;
mod finish;
mod heartbeat;
mod inbox;
mod keys;
mod ops;
mod pauses;
mod record;
mod run;
mod sweep;

pub(crate) use batch::Batch;
pub(crate) use inbox::Inbox;
pub(crate) use ops::{ClaimOp, Op, Task, Work};
pub(crate) use run::{Writer, takeover};
