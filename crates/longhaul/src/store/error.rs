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
        /// The rule that it breaks.
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
    /// The store has no room left and keeps nothing new until there is some. Nothing of what was asked was done.
    #[error("failed to write to the {store} store, which has no room left: {source}")]
    Full {
        /// Which store.
        store: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The store can be reached and cannot write: its disk is read-only, its folder was deleted, its writer has died.
    /// The call had no effect; a person must repair the store.
    #[error("failed to write to the {store} store, which is broken: {source}")]
    Broken {
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
        /// The operation that failed.
        operation: &'static str,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// True where the fault is the store's as a whole, and not of what was asked: the call is repeated unchanged once the
    /// store is back. Every other error concerns the call alone.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Error::Unavailable { .. } | Error::Full { .. } | Error::Broken { .. })
    }

    /// Finds an outage among the causes of an error, however deep an application has wrapped it.
    #[must_use]
    pub fn outage_in<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
        std::iter::successors(Some(error), |error| (*error).source())
            .filter_map(|error| error.downcast_ref::<Error>())
            .find(|error| error.is_outage())
    }
}
