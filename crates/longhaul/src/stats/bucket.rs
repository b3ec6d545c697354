use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use crate::clock::Timestamp;
use crate::model::{Change, JobId, Json, State};
use crate::search;
use crate::store::Result;

/// The counts of a span of time, by queue and kind, and the failures in it.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    cells: Vec<Cell>,
    /// The places of cells: by queue, then by kind.
    places: HashMap<String, HashMap<String, usize>>,
    /// The place of the cell that was counted in last: the next job is often of the same.
    last: usize,
    /// By fingerprint.
    failures: HashMap<String, Failure>,
    /// True where something was counted since it was written.
    pub(super) is_dirty: bool,
}

/// The counts of one queue and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cell {
    pub(super) queue: String,
    pub(super) kind: String,
    pub(super) enqueued: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) retried: u64,
    /// From when a job fell due to its start.
    pub(super) wait: Histogram,
    /// From the start of a run to its end.
    pub(super) run: Histogram,
}

/// Failures of one kind whose messages have one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// See [`search::fingerprint`].
    pub fingerprint: String,
    /// The kind.
    pub kind: String,
    /// The queue.
    pub queue: String,
    /// The message of the last one, cut to 1 KiB.
    pub message: String,
    /// The number of failures.
    pub count: u64,
    /// The time of the first.
    pub first_at: Timestamp,
    /// The time of the last.
    pub last_at: Timestamp,
    /// The job that failed last.
    pub job: JobId,
}

/// The form in which a part of a bucket is kept.
#[derive(Serialize)]
struct Part<'b> {
    cells: &'b [Cell],
    failures: &'b [Failure],
}

/// The cells of a part, read without its failures.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cells {
    pub(super) cells: Vec<Cell>,
}

/// The failures of a part, read without its cells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failed {
    pub(super) failures: Vec<Failure>,
}

/// The most pairs of a queue and a kind that are counted apart; all others are counted together under `OTHER`.
const MAX_PAIRS: usize = 1_000;
const OTHER: &str = "(other)";
/// The most groups of failures of one bucket.
const MAX_FAILURES: usize = 500;
const MAX_MESSAGE_BYTES: usize = 1024;
/// The cells and failures of one sample, so that each is well within a sample's bound.
const CELLS_PER_SAMPLE: usize = 60;
const FAILURES_PER_SAMPLE: usize = 100;

impl Bucket {
    pub(super) fn count(&mut self, change: &Change<'_>) {
        let took = change.since.map(|since| change.at.since(since));
        let is_end = change.from == Some(State::Running);
        let is_told = change.from.is_none() || is_end || change.to == Some(State::Running);
        let ends = matches!(change.to, Some(State::Failed | State::Cancelled));
        if !is_told && !ends {
            return;
        }
        self.is_dirty = true;
        let cell = self.cell(change.queue, change.kind);
        match (change.from, change.to) {
            (None, Some(_)) => cell.enqueued += 1,
            (_, Some(State::Completed)) => cell.completed += 1,
            (_, Some(State::Failed)) => cell.failed += 1,
            (_, Some(State::Cancelled)) => cell.cancelled += 1,
            (Some(State::Running), Some(_)) if change.error.is_some() => cell.retried += 1,
            _ => {}
        }
        match took {
            Some(wait) if change.to == Some(State::Running) => cell.wait.add(wait),
            Some(run) if is_end => cell.run.add(run),
            _ => {}
        }
        if let Some(message) = change.error {
            self.fail(change, message);
        }
    }

    fn cell(&mut self, queue: &str, kind: &str) -> &mut Cell {
        let place = |places: &HashMap<String, HashMap<String, usize>>, queue: &str, kind: &str| {
            places.get(queue).and_then(|kinds| kinds.get(kind)).copied()
        };
        let last = self.cells.get(self.last).is_some_and(|last| last.queue == queue && last.kind == kind);
        let known = if last { Some(self.last) } else { place(&self.places, queue, kind) };
        let (mut queue, mut kind, mut known) = (queue, kind, known);
        if known.is_none() && self.cells.len() >= MAX_PAIRS {
            (queue, kind) = (OTHER, OTHER);
            known = place(&self.places, queue, kind);
        }
        let place = known.unwrap_or_else(|| {
            let kinds = self.places.entry(queue.to_owned()).or_default();
            kinds.insert(kind.to_owned(), self.cells.len());
            self.cells.push(Cell { queue: queue.to_owned(), kind: kind.to_owned(), ..Cell::default() });
            self.cells.len() - 1
        });
        self.last = place;
        &mut self.cells[place]
    }

    fn fail(&mut self, change: &Change<'_>, message: &str) {
        let fingerprint = search::fingerprint(change.kind, message);
        if self.failures.len() >= MAX_FAILURES && !self.failures.contains_key(&fingerprint) {
            return;
        }
        let cut = &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)];
        let failure = Failure {
            fingerprint: fingerprint.clone(),
            kind: change.kind.to_owned(),
            queue: change.queue.to_owned(),
            message: cut.to_owned(),
            count: 1,
            first_at: change.at,
            last_at: change.at,
            job: change.id.clone(),
        };
        match self.failures.get_mut(&fingerprint) {
            Some(known) => known.merge(&failure),
            None => drop(self.failures.insert(fingerprint, failure)),
        }
    }

    /// Its counts, by queue and kind.
    pub(super) fn into_cells(self) -> Vec<Cell> {
        self.cells
    }

    /// The counts.
    pub(super) fn cells(&self) -> Cells {
        Cells { cells: self.cells.clone() }
    }

    /// The failures in it.
    pub(super) fn failed(&self) -> Failed {
        Failed { failures: self.failures.values().cloned().collect() }
    }

    /// Adds the counts of another, without its failures.
    pub(super) fn merge_counts(&mut self, other: &Bucket) {
        for cell in &other.cells {
            self.cell(&cell.queue, &cell.kind).merge(cell);
        }
    }

    /// Adds all that another has counted.
    pub(super) fn merge(&mut self, other: &Bucket) {
        self.merge_counts(other);
        let is_full = self.failures.len() >= MAX_FAILURES;
        for (fingerprint, failure) in &other.failures {
            match self.failures.get_mut(fingerprint) {
                Some(known) => known.merge(failure),
                None if is_full => {}
                None => drop(self.failures.insert(fingerprint.clone(), failure.clone())),
            }
        }
    }

    /// Its parts, each as the body of a sample.
    pub(super) fn bodies(&self) -> Result<Vec<Json>> {
        let failures: Vec<Failure> = self.failures.values().cloned().collect();
        let of_cells = self.cells.chunks(CELLS_PER_SAMPLE).map(|cells| Part { cells, failures: &[] });
        let of_failures = failures.chunks(FAILURES_PER_SAMPLE).map(|failures| Part { cells: &[], failures });
        of_cells.chain(of_failures).map(|part| Json::new(&part)).collect()
    }
}

impl Cell {
    pub(super) fn merge(&mut self, other: &Cell) {
        let Self { queue: _, kind: _, enqueued, completed, failed, cancelled, retried, wait, run } = self;
        *enqueued += other.enqueued;
        *completed += other.completed;
        *failed += other.failed;
        *cancelled += other.cancelled;
        *retried += other.retried;
        wait.merge(&other.wait);
        run.merge(&other.run);
    }
}

impl Failure {
    pub(super) fn merge(&mut self, other: &Failure) {
        self.count += other.count;
        self.first_at = self.first_at.min(other.first_at);
        if other.last_at >= self.last_at {
            self.last_at = other.last_at;
            self.message.clone_from(&other.message);
            self.job = other.job.clone();
        }
    }
}

/// The begin of the span of `length` that a moment is in.
pub(super) fn begin(at: Timestamp, length: Duration) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(crate::clock::millis(length).max(1)))
}
