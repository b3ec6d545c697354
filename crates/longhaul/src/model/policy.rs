use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Cost, OnExhausted, TraceParent};
use crate::backoff::Backoff;
use crate::store::{Error, Result};

/// The treatment of a job's runs: fields that a store keeps with the job and no query filters or orders by.
///
/// Stores keep it as one JSON value, so that a new field needs no change of a schema, a statement or a script. Unknown
/// fields, of a newer release, are ignored; missing fields, of an older release, get their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The limit on the time of one attempt; `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The waits after failed attempts; `None` leaves them to the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// The units of its limit keys' limits that a run takes.
    #[serde(skip_serializing_if = "Cost::is_default")]
    pub cost: Cost,
    /// The state that the job enters when its last attempt fails.
    #[serde(skip_serializing_if = "OnExhausted::is_default")]
    pub on_exhausted: OnExhausted,
    /// The place in a trace that the job was enqueued at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// A digest of the request that created the job, below 2⁴⁸. Who repeats a request with an idempotency key finds it in the job, and so
    /// knows that no other request made it, though the job has an id or a unique key of its caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
}

impl Policy {
    /// Checks the bounds of each field.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field and what it must be.
    pub fn validate(&self) -> Result<()> {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(Error::Invalid { field: "timeout".into(), reason: "must be more than zero".into() });
        }
        self.cost.validate()?;
        self.backoff.as_ref().map_or(Ok(()), Backoff::validate)
    }
}
