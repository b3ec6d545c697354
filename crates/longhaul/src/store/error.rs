use std::error::Error as StdError;

use thiserror::Error;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault. Expected events (a lost lease, a duplicate, a missing job) are values instead.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's input breaks a documented bound. Nothing was done.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field.
        field: String,
        /// What it must be.
        reason: String,
    },
    /// The store could not be reached or is too busy. Nothing is known of what was asked; asking again is right.
    #[error("failed to reach the {store} store: {source}")]
    Unavailable {
        /// Which store.
        store: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The store refused or failed. Asking again will hardly help.
    #[error("failed to {operation} in the {store} store: {source}")]
    Store {
        /// Which store.
        store: &'static str,
        /// What was being done.
        operation: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
}
