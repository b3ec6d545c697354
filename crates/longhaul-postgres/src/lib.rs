//! The Postgres store: any number of processes share one database, and an enqueue can be part of your own transaction.
//!
//! - **Group commit.** The work of a process goes through one connection. It takes whatever waits, runs it in one
//!   transaction, and answers everybody: 64 callers share one commit, and most of them one statement. A call that is at
//!   fault fails alone.
//! - **Liveness.** Heartbeats have a connection of their own and wait for no lock. Sweeps, bulk actions and calls that
//!   wait for another transaction's lock share a third one.
//! - **Durability.** Transactions commit with `synchronous_commit=on`: what was answered survives a crash of the server,
//!   as far as its own `fsync` is on.
//! - **Your data beside the jobs.** [`PostgresStore::enqueue_in`] creates jobs in your own transaction.
//! - **Wake-ups.** Processes notify each other of changes by `NOTIFY`; one that is lost costs a quarter of a second.
//! - **Connections.** Three write, one listens, and a small pool reads. They keep prepared statements and `LISTEN`, so a
//!   pooler between them and the server must be one of sessions, not of transactions.
//! - **The clock** is the server's.

mod act;
mod ancestors;
mod apply;
mod batches;
mod bounds;
mod call;
mod claim;
mod connection;
mod creation;
mod dependencies;
mod driver;
mod enqueue;
mod error;
mod finish;
mod finish_and_claim;
mod following;
mod heartbeat;
mod keyed;
mod keys;
mod limits;
mod maintenance;
mod migrate;
mod moving;
mod narrow;
mod new_dependencies;
mod new_rows;
mod notifier;
mod options;
mod pipelined;
mod read;
mod record;
mod row;
mod samples;
mod server_clock;
mod state;
mod step_in;
mod store;
mod sweep;
mod target;
mod transactor;
mod uncommitted;
mod waiting;
mod waits;
mod write_tx;
mod writer;

pub use deadpool_postgres;
pub use error::is_unavailable;
pub use moving::Snapshot;
pub use options::PostgresOptions;
pub use step_in::FinishStepIn;
pub use store::PostgresStore;
pub use tokio_postgres;
