use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Json;
use crate::clock::Timestamp;

/// A row of a time series: a value that a process notes about a moment, and that is forgotten by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The series, 1–128 of `A–Z a–z 0–9 . _ : -`.
    pub series: String,
    /// The moment that it is about.
    pub at: Timestamp,
    /// Whoever notes it, 1–128 of the same: of one series, moment and source there is one sample.
    pub source: String,
    /// The time from now on for which it is kept.
    pub keep_for: Duration,
    /// The value, at most [`MAX_SAMPLE_BYTES`](crate::admit::MAX_SAMPLE_BYTES).
    pub body: Json,
}
