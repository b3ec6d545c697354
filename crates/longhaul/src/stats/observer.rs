use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::bucket::{Bucket, begin};
use super::item::FeedItem;
use crate::clock::Timestamp;
use crate::model::Change;
use crate::schedule;
use crate::store::Observer;

/// Counts changes and buffers them for the feed, on the store's own threads.
pub(super) struct StatsObserver {
    pub(super) buffer: Mutex<Buffer>,
    /// Wakes the task that publishes and writes.
    pub(super) awake: Notify,
}

/// Counts that are not written yet, and changes that are not published yet.
#[derive(Default)]
pub(super) struct Buffer {
    /// By the begin of the minute; the last is the present one.
    pub(super) minutes: BTreeMap<Timestamp, Bucket>,
    /// By the begin of the hour, of minutes that are over.
    pub(super) hours: BTreeMap<Timestamp, Bucket>,
    /// The counts of all minutes that are over since the process began to count.
    pub(super) past: Bucket,
    /// Changes since the last tick.
    pub(super) items: Vec<FeedItem>,
    /// True if further changes were dropped.
    pub(super) has_lost: bool,
    /// True while the task is awake, so that a change need not wake it.
    pub(super) is_awake: bool,
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// The most changes that are buffered between two ticks; beyond that, readers get a gap.
const KEPT_ITEMS: usize = 2_000;

impl StatsObserver {
    pub(super) fn new() -> Self {
        Self { buffer: Mutex::default(), awake: Notify::new() }
    }
}

impl Observer for StatsObserver {
    fn changed(&self, change: &Change<'_>) {
        // Tickers of schedules are the engine's own jobs; the jobs that they enqueue are counted.
        if change.queue == schedule::QUEUE {
            return;
        }
        let mut buffer = self.buffer.lock();
        let minute = begin(change.at, MINUTE);
        // A late change counts for the oldest minute that is not closed.
        let minute = buffer.minutes.first_key_value().map_or(minute, |(oldest, _)| minute.max(*oldest));
        buffer.minutes.entry(minute).or_default().count(change);
        if buffer.items.len() < KEPT_ITEMS {
            let item = FeedItem::of(change, buffer.items.last());
            buffer.items.push(item);
        } else {
            buffer.has_lost = true;
        }
        if !std::mem::replace(&mut buffer.is_awake, true) {
            self.awake.notify_one();
        }
    }
}

/// The complete counts of the hours of open minutes.
pub(super) fn hour_buckets(
    minutes: &BTreeMap<Timestamp, Bucket>,
    hours: &BTreeMap<Timestamp, Bucket>,
) -> BTreeMap<Timestamp, Bucket> {
    let mut whole: BTreeMap<Timestamp, Bucket> = BTreeMap::new();
    let minutes = minutes.iter().map(|(at, bucket)| (begin(*at, HOUR), bucket));
    for (at, bucket) in minutes.chain(hours.iter().map(|(at, bucket)| (*at, bucket))) {
        whole.entry(at).or_default().merge(bucket);
    }
    whole
}
