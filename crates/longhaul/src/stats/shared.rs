use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio_util::sync::DropGuard;

use super::bucket::{Bucket, begin};
use super::counters::Counters;
use super::item::FeedNews;
use super::observer::{Buffer, HOUR, StatsObserver, hour_buckets};
use crate::clock::Timestamp;
use crate::model::{Json, Sample};
use crate::runtime::Runtime;
use crate::store::{Result, Store};

/// The state that all recorders of one store in one process share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) runtime: Runtime,
    /// Names this process among those that share the store.
    pub(super) source: String,
    /// The store's observer; apart from this struct, so that the store does not hold a reference to itself.
    pub(super) observer: Arc<StatsObserver>,
    pub(super) news: broadcast::Sender<FeedNews>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) counters: Counters,
    /// Held while buffered changes or counts are being written, so that a flush waits for a write under way.
    pub(super) writing: tokio::sync::Mutex<()>,
    pub(super) _stop: DropGuard,
}

pub(super) const MINUTES: &str = "stats.minutes";
pub(super) const HOURS: &str = "stats.hours";
/// Minutes are kept for 24 hours and hours for 7 days, each with room for a reader at its edge.
const KEEP_MINUTES: Duration = Duration::from_secs(25 * 3600);
const KEEP_HOURS: Duration = Duration::from_secs(8 * 24 * 3600);

/// Changes that processes publish to each other, and the processes that watch for them.
pub(super) const FEED: &str = "feed.changes";
pub(super) const WATCH: &str = "feed.watch";
pub(super) const KEEP_FEED: Duration = Duration::from_secs(10);
const KEEP_WATCH: Duration = Duration::from_secs(5);
pub(super) const RENEW_WATCH: Duration = Duration::from_secs(2);

/// The interval at which buffered changes are published while there are any.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The occasion on which counts are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// Periodically: minutes only, because hours can be computed from them.
    Often,
    /// Before the process ends or sleeps.
    Last,
}

impl Shared {
    /// The counts that are not written yet, or not whole: minutes of this process by their begin.
    pub(super) fn unwritten(
        &self,
        read: impl FnOnce(&BTreeMap<Timestamp, Bucket>, &BTreeMap<Timestamp, Bucket>),
    ) {
        let buffer = self.observer.buffer.lock();
        read(&buffer.minutes, &buffer.hours);
    }

    /// True for a sample that this process has written; its own counts are newer.
    pub(super) fn is_own(&self, sample: &Sample) -> bool {
        sample.source.starts_with(&self.source)
    }

    pub(super) async fn put_watch(&self) -> Result<()> {
        let watch = self.sample(WATCH, Timestamp(0), 0, KEEP_WATCH, Json::null());
        self.store.put_samples(&[watch]).await
    }

    pub(super) fn sample(
        &self,
        series: &str,
        at: Timestamp,
        part: usize,
        keep_for: Duration,
        body: Json,
    ) -> Sample {
        Sample { series: series.to_owned(), at, source: format!("{}.{part}", self.source), keep_for, body }
    }

    /// The samples of minutes that have changed since they were written.
    pub(super) fn dirty_minutes(&self) -> Result<Vec<Sample>> {
        let mut buffer = self.observer.buffer.lock();
        let mut samples = Vec::new();
        for (at, bucket) in buffer.minutes.iter_mut().filter(|(_, bucket)| bucket.is_dirty) {
            bucket.is_dirty = false;
            for (part, body) in bucket.bodies()?.into_iter().enumerate() {
                samples.push(self.sample(MINUTES, *at, part, KEEP_MINUTES, body));
            }
        }
        Ok(samples)
    }

    /// Counts minutes that are over in their hours, whose samples it answers. Two minutes stay open for changes that come
    /// late.
    pub(super) fn close_minutes(&self, writing: Writing) -> Result<Vec<Sample>> {
        let mut buffer = self.observer.buffer.lock();
        let Buffer { minutes, hours, past, .. } = &mut *buffer;
        let mut has_closed = false;
        while minutes.len() > 2
            && minutes.first_key_value().is_some_and(|(_, oldest)| !oldest.is_dirty)
            && let Some((at, bucket)) = minutes.pop_first()
        {
            hours.entry(begin(at, HOUR)).or_default().merge(&bucket);
            past.merge_counts(&bucket);
            has_closed = true;
        }
        let mut samples = Vec::new();
        if has_closed || writing == Writing::Last {
            for (at, bucket) in hour_buckets(minutes, hours) {
                for (part, body) in bucket.bodies()?.into_iter().enumerate() {
                    samples.push(self.sample(HOURS, at, part, KEEP_HOURS, body));
                }
            }
            while hours.len() > 2 {
                hours.pop_first();
            }
        }
        Ok(samples)
    }
}

/// The readers of the feed in this process.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    count: AtomicUsize,
    /// Raised with each first reader; the task of an earlier generation ends.
    generation: AtomicUsize,
}

/// A reader of the feed; it is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    watchers: Arc<Watchers>,
    /// The generation that this reader begins, if it is the first one.
    pub(super) begins: Option<usize>,
}

impl Watch {
    pub(super) fn of(shared: &Shared) -> Self {
        let watchers = Arc::clone(&shared.watchers);
        let is_first = watchers.count.fetch_add(1, Ordering::SeqCst) == 0;
        let begins = is_first.then(|| watchers.generation.fetch_add(1, Ordering::SeqCst) + 1);
        Self { watchers, begins }
    }
}

impl Watchers {
    /// True while the feed has readers and no newer generation has begun.
    pub(super) fn go_on(&self, generation: usize) -> bool {
        self.count.load(Ordering::SeqCst) > 0 && self.generation.load(Ordering::SeqCst) == generation
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}
