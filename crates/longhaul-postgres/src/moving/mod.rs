//! Reads all that the store keeps, and writes what another has kept.

mod export;
mod import;
mod rows;

pub use export::Snapshot;
