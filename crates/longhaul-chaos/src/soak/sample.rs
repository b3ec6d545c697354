//! Figures that are measured at intervals.

use std::fmt;
use std::time::Duration;

use crate::figure::{millis, part};

/// A look at a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The time since the start.
    pub(super) at: Duration,
    /// Bytes of memory of a worker that is never killed.
    pub(super) worker: u64,
    /// Bytes of memory of an API server that is never killed.
    pub(super) server: u64,
    /// Bytes of memory of the store's own server, where it has one.
    pub(super) store: Option<u64>,
    /// Bytes of the store on disk.
    pub(super) disk: u64,
    /// The times from a client's request until it was acknowledged, repetitions included.
    pub(super) acknowledged: Times,
    /// The times from a job's creation until its end.
    pub(super) ended: Times,
    /// The jobs that were acknowledged so far.
    pub(super) jobs: u64,
}

/// Parts of all times since the sample before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) half: Duration,
    pub(super) most: Duration,
}

impl Times {
    pub(super) fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        Self { half: part(times, 0.5), most: part(times, 0.99) }
    }
}

/// One figure of all samples.
#[derive(Clone, Copy)]
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// Whether it holds the ids of removed jobs.
    pub(super) ids: Ids,
    value: fn(&Sample) -> Option<f64>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Seconds,
}

/// Whether a figure holds the ids of removed jobs, which the store keeps for a day so that it can tell that they are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Held,
    Absent,
}

pub(super) const SERIES: [Series; 8] = [
    Series {
        name: "memory of a worker",
        unit: Unit::Bytes,
        ids: Ids::Absent,
        value: |s| Some(s.worker as f64),
    },
    Series {
        name: "memory of a server",
        unit: Unit::Bytes,
        ids: Ids::Absent,
        value: |s| Some(s.server as f64),
    },
    Series {
        name: "memory of the store's server",
        unit: Unit::Bytes,
        ids: Ids::Held,
        value: |s| Some(s.store? as f64),
    },
    Series { name: "the store on disk", unit: Unit::Bytes, ids: Ids::Held, value: |s| Some(s.disk as f64) },
    Series {
        name: "until a request is acknowledged, p50",
        unit: Unit::Seconds,
        ids: Ids::Absent,
        value: |s| Some(s.acknowledged.half.as_secs_f64()),
    },
    Series {
        name: "until a request is acknowledged, p99",
        unit: Unit::Seconds,
        ids: Ids::Absent,
        value: |s| Some(s.acknowledged.most.as_secs_f64()),
    },
    Series {
        name: "until a job has ended, p50",
        unit: Unit::Seconds,
        ids: Ids::Absent,
        value: |s| Some(s.ended.half.as_secs_f64()),
    },
    Series {
        name: "until a job has ended, p99",
        unit: Unit::Seconds,
        ids: Ids::Absent,
        value: |s| Some(s.ended.most.as_secs_f64()),
    },
];

impl Series {
    /// Seconds since the start, and the figure then.
    pub(super) fn point(&self, sample: &Sample) -> Option<(f64, f64)> {
        Some((sample.at.as_secs_f64(), (self.value)(sample)?))
    }

    /// A figure with its unit.
    pub(super) fn shown(&self, value: f64) -> String {
        match self.unit {
            Unit::Bytes => format!("{:.1} MB", value / 1e6),
            Unit::Seconds => millis(Duration::from_secs_f64(value.max(0.0))),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6.0} s", self.at.as_secs_f64())?;
        for series in SERIES {
            if let Some((_, value)) = series.point(self) {
                write!(f, " | {}", series.shown(value))?;
            }
        }
        Ok(())
    }
}
