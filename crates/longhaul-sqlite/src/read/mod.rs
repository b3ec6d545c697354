//! Reads on read-only connections, which never wait for the writer.

mod dependants;
mod events;
mod get;
mod keys;
mod lanes;
mod leases;
mod list;
mod moving;
mod pool;
mod queues;
mod samples;
mod steps;

pub(crate) use dependants::dependants;
pub(crate) use events::events;
pub(crate) use get::{get, is_gone};
pub(crate) use keys::keys;
pub(crate) use lanes::lanes;
pub(crate) use leases::statuses;
pub(crate) use list::{candidates, list};
pub use moving::Snapshot;
pub(crate) use pool::Readers;
pub(crate) use queues::{queues, workers};
pub(crate) use samples::samples;
pub(crate) use steps::steps;
