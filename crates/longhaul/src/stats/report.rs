use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::bucket::{Bucket, Cell, Cells, Failed, Failure, begin};
use super::histogram::Histogram;
use super::observer::{HOUR, MINUTE, hour_buckets};
use super::recorder::Recorder;
use super::shared::{HOURS, MINUTES};
use crate::clock::Timestamp;
use crate::store::{MAX_SAMPLES, Result};

/// A part of the past, and the jobs in it, that a report covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The length, back from now; at most 7 days are stored.
    pub length: Duration,
    /// The length of its pieces.
    pub step: Duration,
    /// Of this queue alone.
    pub queue: Option<String>,
    /// Of this kind alone.
    pub kind: Option<String>,
}

/// Counts and times of jobs in a window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The length of the window as it was counted, whole pieces.
    pub window: Duration,
    /// The length of a piece as it was counted: whole minutes, or whole hours where it is asked to be an hour at
    /// least or the window is longer than a day.
    pub step: Duration,
    /// The counts of each piece, oldest first, those with nothing too.
    pub series: Vec<Point>,
    /// All of it.
    pub all: Totals,
    /// By queue.
    pub queues: BTreeMap<String, Totals>,
    /// By kind.
    pub kinds: BTreeMap<String, Totals>,
}

/// The counts of a piece of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The begin of the piece.
    pub at: Timestamp,
    /// Its counts.
    pub counts: Counts,
}

/// Numbers of jobs by sort of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that were created.
    pub enqueued: u64,
    /// Jobs that completed.
    pub completed: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs that were cancelled.
    pub cancelled: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
}

/// Counts and times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// The counts.
    pub counts: Counts,
    /// From when jobs fell due to their starts.
    pub wait: Percentiles,
    /// From the starts of runs to their ends.
    pub run: Percentiles,
}

/// Percentiles of times; `None` without samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<Duration>,
    /// The 90th percentile.
    pub p90: Option<Duration>,
    /// The 99th percentile.
    pub p99: Option<Duration>,
    /// The maximum.
    pub max: Option<Duration>,
}

/// Failures by kind and shape of message, those with the most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The length of the window as it was counted.
    pub window: Duration,
    /// The length of one piece of a group's `spark`.
    pub step: Duration,
    /// The groups.
    pub groups: Vec<Group>,
}

/// Failures of one kind whose messages have one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The failures together.
    pub failure: Failure,
    /// The number of failures in each piece of the window, oldest first.
    pub spark: Vec<u64>,
}

/// The longest window.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest window that is counted in minutes.
const BY_MINUTES: Duration = Duration::from_secs(24 * 3600);
/// The most pieces of a window.
const MAX_PIECES: i64 = 1_440;
/// The pieces of a group's `spark`.
const SPARKS: u32 = 30;

/// The pieces of a window, as they are counted.
struct Pieces {
    series: &'static str,
    first: Timestamp,
    step: Duration,
    count: usize,
}

impl Window {
    /// Whole pieces, the last of which is the one that now is in.
    fn pieces(&self, now: Timestamp) -> Pieces {
        let length = self.length.clamp(MINUTE, LONGEST);
        // A day of minutes is thousands of samples, so they are read only if the pieces are minutes.
        let by_hours = length > BY_MINUTES || (length > HOUR && self.step >= HOUR);
        let (series, unit) = if by_hours { (HOURS, HOUR) } else { (MINUTES, MINUTE) };
        let units = |length: Duration| length.as_secs().div_ceil(unit.as_secs()).max(1) as i64;
        let fewest = units(length).div_euclid(MAX_PIECES) + i64::from(units(length) % MAX_PIECES > 0);
        let step_units = units(self.step.min(length)).max(fewest);
        let count = (units(length) + step_units - 1) / step_units;
        let step = unit * u32::try_from(step_units).unwrap_or(1);
        let last = begin(now, step);
        let first = last.minus(step * u32::try_from(count - 1).unwrap_or(0));
        Pieces { series, first, step, count: usize::try_from(count).unwrap_or(1) }
    }

    fn includes(&self, queue: &str, kind: &str) -> bool {
        self.queue.as_ref().is_none_or(|wanted| wanted == queue)
            && self.kind.as_ref().is_none_or(|wanted| wanted == kind)
    }
}

impl Pieces {
    fn place(&self, at: Timestamp) -> Option<usize> {
        let place = usize::try_from(at.since(self.first).as_millis() / self.step.as_millis()).ok()?;
        (at >= self.first && place < self.count).then_some(place)
    }

    fn window(&self) -> Duration {
        self.step * u32::try_from(self.count).unwrap_or(u32::MAX)
    }
}

/// Counts and times that are added up.
#[derive(Default)]
struct Sum {
    counts: Counts,
    wait: Histogram,
    run: Histogram,
}

impl Recorder {
    /// Throughput and times in a window until `now`, the store's time.
    ///
    /// # Errors
    /// A store that is away.
    pub async fn report(&self, window: &Window, now: Timestamp) -> Result<Report> {
        let pieces = window.pieces(now);
        let mut points = vec![Counts::default(); pieces.count];
        // Times are merged once for each pair; all totals are computed from these.
        let mut pairs: HashMap<String, HashMap<String, Sum>> = HashMap::new();
        let read = |point: usize, Cells { cells }: Cells| {
            for cell in cells.into_iter().filter(|cell| window.includes(&cell.queue, &cell.kind)) {
                points[point].add(&cell);
                let sum = pairs.get_mut(&cell.queue).and_then(|kinds| kinds.get_mut(&cell.kind));
                match sum {
                    Some(sum) => sum.add(&cell),
                    None => {
                        let sum = pairs.entry(cell.queue.clone()).or_default().entry(cell.kind.clone());
                        sum.or_default().add(&cell);
                    }
                }
            }
        };
        self.read(&pieces, Bucket::cells, read).await?;
        let (mut all, mut queues, mut kinds) = (Sum::default(), HashMap::new(), HashMap::new());
        for (queue, of_queue) in pairs {
            let in_queue: &mut Sum = queues.entry(queue).or_default();
            for (kind, sum) in of_queue {
                all.merge(&sum);
                in_queue.merge(&sum);
                kinds.entry(kind).or_insert_with(Sum::default).merge(&sum);
            }
        }
        let starts = (0_u32..).map(|piece| pieces.first.plus(pieces.step * piece));
        let totals =
            |sums: HashMap<String, Sum>| sums.into_iter().map(|(name, sum)| (name, sum.into())).collect();
        Ok(Report {
            window: pieces.window(),
            step: pieces.step,
            series: starts.zip(points).map(|(at, counts)| Point { at, counts }).collect(),
            all: all.into(),
            queues: totals(queues),
            kinds: totals(kinds),
        })
    }

    /// Failures in a window until `now`, the store's time, in groups.
    ///
    /// # Errors
    /// A store that is away.
    pub async fn failures(&self, window: &Window, now: Timestamp) -> Result<Failures> {
        let length = window.length.clamp(MINUTE, LONGEST);
        let step = if length < BY_MINUTES { length / SPARKS } else { (length / SPARKS).max(HOUR) };
        let pieces = Window { step, ..window.clone() }.pieces(now);
        let mut groups: HashMap<String, Group> = HashMap::new();
        let read = |piece: usize, Failed { failures }: Failed| {
            for failure in failures.into_iter().filter(|f| window.includes(&f.queue, &f.kind)) {
                let count = failure.count;
                let group = match groups.get_mut(&failure.fingerprint) {
                    Some(group) => {
                        group.failure.merge(&failure);
                        group
                    }
                    None => groups
                        .entry(failure.fingerprint.clone())
                        .or_insert_with(|| Group { failure, spark: vec![0; pieces.count] }),
                };
                group.spark[piece] += count;
            }
        };
        self.read(&pieces, Bucket::failed, read).await?;
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|a, b| {
            (b.failure.count, &a.failure.fingerprint).cmp(&(a.failure.count, &b.failure.fingerprint))
        });
        Ok(Failures { window: pieces.window(), step: pieces.step, groups })
    }

    /// Reads all that is known of the pieces: samples of all processes, and what this one has not written yet. A day is some
    /// thousands of samples, so each reader takes from their JSON the part that it needs.
    async fn read<B: DeserializeOwned>(
        &self,
        pieces: &Pieces,
        of: impl Fn(&Bucket) -> B,
        mut take: impl FnMut(usize, B),
    ) -> Result<()> {
        let shared = self.shared();
        let mut take = |at: Timestamp, body: B| {
            if let Some(piece) = pieces.place(at) {
                take(piece, body);
            }
        };
        let mut from = pieces.first;
        // What this process still counts is read before the samples: a minute that it lets go of meanwhile is among them.
        let mut own: BTreeMap<Timestamp, B> = BTreeMap::new();
        shared.unwritten(|minutes, hours| {
            let body = |(at, bucket): (&Timestamp, &Bucket)| (*at, of(bucket));
            own = match pieces.series {
                MINUTES => minutes.iter().map(body).collect(),
                _ => hour_buckets(minutes, hours).iter().map(body).collect(),
            };
        });
        loop {
            let samples = shared.store.samples(pieces.series, from).await?;
            let is_last = samples.len() < MAX_SAMPLES;
            let last = samples.last().map(|sample| sample.at);
            for sample in samples {
                // Those of the last moment are read again with the next page.
                let is_known = shared.is_own(&sample) && own.contains_key(&sample.at);
                if is_known || (!is_last && Some(sample.at) == last) {
                    continue;
                }
                if let Ok(body) = sample.body.to() {
                    take(sample.at, body);
                }
            }
            match last {
                // A moment with as many samples as are read at once cannot be paged through.
                Some(last) if !is_last && last > from => from = last,
                _ => break,
            }
        }
        own.into_iter().for_each(|(at, body)| take(at, body));
        Ok(())
    }
}

impl Cell {
    /// Its counts alone.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        counts.add(self);
        counts
    }
}

impl Counts {
    fn add(&mut self, cell: &Cell) {
        self.enqueued += cell.enqueued;
        self.completed += cell.completed;
        self.failed += cell.failed;
        self.cancelled += cell.cancelled;
        self.retried += cell.retried;
    }

    fn merge(&mut self, other: &Self) {
        let Self { enqueued, completed, failed, cancelled, retried } = self;
        *enqueued += other.enqueued;
        *completed += other.completed;
        *failed += other.failed;
        *cancelled += other.cancelled;
        *retried += other.retried;
    }
}

impl Sum {
    fn add(&mut self, cell: &Cell) {
        self.counts.add(cell);
        self.wait.merge(&cell.wait);
        self.run.merge(&cell.run);
    }

    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.wait.merge(&other.wait);
        self.run.merge(&other.run);
    }
}

impl From<Sum> for Totals {
    fn from(sum: Sum) -> Self {
        Self { counts: sum.counts, wait: Percentiles::from(&sum.wait), run: Percentiles::from(&sum.run) }
    }
}

impl From<&Histogram> for Percentiles {
    fn from(times: &Histogram) -> Self {
        let at = |part| times.percentile(part);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: (!times.is_empty()).then(|| times.max()) }
    }
}
