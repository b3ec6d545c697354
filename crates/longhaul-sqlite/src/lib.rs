//! The embedded store: one SQLite file, one thread that writes it, durable before it answers.
//!
//! - **Group commit.** All writes go through one thread. It takes whatever waits, runs it in one transaction,
//!   syncs once, and answers everybody: 64 callers share one sync.
//! - **Durability.** `journal_mode=WAL` and `synchronous=FULL`: what was answered survives a power cut, as far as
//!   the disk keeps its word about `fsync`.
//!   [`Durability::Within`] answers sooner and loses at most a span of that length, where it is asked for.
//!   SQLite is compiled in; build it with `LIBSQLITE3_FLAGS=-DHAVE_FDATASYNC=1` (this repository's `.cargo/config.toml`
//!   does), or every commit syncs the file's times as well, at about half the speed.
//! - **One file, several processes.** The first process to open a file holds `<file>.lock` and owns what its workers
//!   run: when it dies, the next one takes that over at once. Others may share the file (a command line beside a
//!   server); their writes are noticed within 100 ms, and they take turns (`<file>.turn`), so that one which writes without
//!   a break does not starve the others.
//! - **Leases outlive the clock.** They end on the time since the machine was started, so that setting its wall clock ends
//!   none.
//! - **A full disk.** A file `<file>.reserve` keeps a few megabytes free: where the disk is full, heartbeats, sweeps, cancels
//!   and deletions go on in them, everything else is answered with `store_full`, and goes on by itself once there is room.
//! - **Backups while it runs.** [`backup`] copies the file as it is at one moment, whatever is written meanwhile.
//! - **Deleted is deleted.** [`scrub`] writes the file anew without the bytes that deleted rows leave in it.
//! - **Your data beside the jobs.** [`SqliteStore::transact`] runs your writes and your enqueues in one transaction.

mod backup;
mod durability;
mod error;
mod extra_fields;
mod filter;
mod lease_clock;
mod limit_key;
mod lock;
mod open;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod power_cut;
mod read;
mod row;
mod scrub;
mod sequence;
mod step_in;
mod store;
mod syncer;
mod transaction;
mod volume;
mod writer;

pub use backup::{BackupProgress, Existing, backup};
pub use durability::Durability;
pub use read::Snapshot;
pub use rusqlite;
pub use scrub::scrub;
pub use step_in::FinishStepIn;
pub use store::SqliteStore;
pub use transaction::Transaction;
