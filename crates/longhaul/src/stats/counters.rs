use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::bucket::Bucket;
use super::histogram::Histogram;
use super::recorder::Recorder;
use super::report::Counts;
use super::worker::WorkerFigures;
use crate::model::Swept;

/// The jobs of one queue and kind that this process has changed since it began to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The queue; `(other)` for all beyond a thousand pairs of a queue and a kind.
    pub queue: String,
    /// The kind; `(other)` for the same.
    pub kind: String,
    /// The numbers of changes of each sort.
    pub counts: Counts,
    /// From when jobs fell due to their starts.
    pub wait: Histogram,
    /// From the starts of runs to their ends.
    pub run: Histogram,
}

/// Totals of a process since its start, other than those of job changes.
#[derive(Debug, Default)]
pub struct Counters {
    /// Runs whose lease was lost: another worker has the job, or the worker missed its heartbeats.
    pub leases_lost: Counter,
    /// Jobs that sweeps of this process reclaimed from workers that had missed their heartbeats, and made available.
    pub rescued: Counter,
    /// Reclaimed jobs that had crashed too often and failed.
    pub poisoned: Counter,
    /// Running jobs that did not stop within their grace and lost their leases in this process' sweeps.
    pub fenced: Counter,
    /// Finished jobs that this process' sweeps removed.
    pub pruned: Counter,
    /// Readers that follow a job's events in this process.
    pub readers: Arc<Counter>,
    /// The time from an event's storage to its delivery, of readers that had caught up with the store.
    pub lag: Mutex<Histogram>,
    workers: Mutex<Vec<Weak<WorkerFigures>>>,
}

/// A number that many threads change concurrently.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// A counter's increment by one until this is dropped.
#[derive(Debug)]
pub struct OneMore(Arc<Counter>);

impl Counter {
    /// Adds to it.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Adds one until the result is dropped.
    #[must_use]
    pub fn one_more(self: &Arc<Self>) -> OneMore {
        self.add(1);
        OneMore(Arc::clone(self))
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// The workers of this process that have not ended.
    #[must_use]
    pub fn workers(&self) -> Vec<Arc<WorkerFigures>> {
        self.workers.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Lists the figures of a worker for as long as the worker holds them.
    pub(crate) fn add_worker(&self, figures: &Arc<WorkerFigures>) {
        let mut workers = self.workers.lock();
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(figures));
    }

    /// Counts the effect of a sweep.
    pub(crate) fn swept(&self, swept: &Swept) {
        self.rescued.add(swept.rescued);
        self.poisoned.add(swept.poisoned);
        self.fenced.add(swept.fenced);
        self.pruned.add(swept.pruned);
    }
}

impl Recorder {
    /// The totals of this process, other than those of job changes.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared().counters
    }

    /// The changes of jobs that this process has counted since it began to, by queue and kind.
    #[must_use]
    pub fn counted(&self) -> Vec<Counted> {
        let mut all = Bucket::default();
        {
            let buffer = self.shared().observer.buffer.lock();
            all.merge_counts(&buffer.past);
            buffer.minutes.values().for_each(|minute| all.merge_counts(minute));
        }
        let cells = all.into_cells().into_iter();
        cells
            .map(|cell| Counted {
                counts: cell.counts(),
                queue: cell.queue,
                kind: cell.kind,
                wait: cell.wait,
                run: cell.run,
            })
            .collect()
    }
}
