//! Reads all that the store keeps, and writes what another has kept.

mod export;
mod import;
mod parents;
mod rows;

pub use export::Snapshot;
