//! The one thread that writes: it gathers what waits, runs it in one transaction, syncs once, answers all.

mod act;
mod batches;
mod bounds;
mod changes;
mod claim;
mod clash;
mod command;
mod dependencies;
mod ends;
mod enqueue;
mod fair;
mod finish;
mod groups;
mod heartbeat;
mod held;
mod keys;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod limit_costs;
mod limits;
mod merge;
mod moving;
mod parked;
mod pauses;
mod prune;
mod queue;
mod queue_limits;
mod record;
mod run;
mod samples;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod scratch;
mod session;
mod space;
mod statements;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod steering_costs;
mod sweep;
mod takeover;
mod thread;
mod used;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod waiting_costs;
mod waits;
mod write_tx;

pub(crate) use act::Done;
pub(crate) use command::{ClaimCommand, Class, Command, Task};
pub(crate) use queue::CommandQueue;
pub(crate) use session::Writer;
pub(crate) use space::Space;
pub(crate) use takeover::takeover;
pub(crate) use write_tx::{SAVEPOINT, WriteTx};
