//! Reads all that the store keeps, and writes what another has kept.

mod export;
mod fields;
mod import;

pub(crate) use export::Snapshot;
pub(crate) use import::import;
