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
    /// The source of the sample, 1–128 of the same characters. A series has one sample for each moment and source.
    pub source: String,
    /// The time from now on for which it is kept.
    pub keep_for: Duration,
    /// The value, at most [`MAX_SAMPLE_BYTES`](crate::admit::MAX_SAMPLE_BYTES).
    pub body: Json,
}
