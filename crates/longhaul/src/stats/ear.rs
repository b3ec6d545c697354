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

/// Hears of changes, on the store's own threads.
pub(super) struct Ear {
    pub(super) heard: Mutex<Heard>,
    /// Tells the task that there is something to write.
    pub(super) awake: Notify,
}

/// What was heard and is not told or written yet.
#[derive(Default)]
pub(super) struct Heard {
    /// By the begin of the minute; the last is the present one.
    pub(super) minutes: BTreeMap<Timestamp, Bucket>,
    /// By the begin of the hour, of minutes that are over.
    pub(super) hours: BTreeMap<Timestamp, Bucket>,
    /// The counts of all minutes that are over since the process began to count.
    pub(super) past: Bucket,
    /// Changes since the last tick.
    pub(super) items: Vec<FeedItem>,
    /// True where there were more of these than are kept.
    pub(super) has_lost: bool,
    /// True while the task is awake, so that a change need not wake it.
    pub(super) is_awake: bool,
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// The most changes that are kept between two ticks; a process that makes more tells of a gap.
const KEPT_ITEMS: usize = 2_000;

impl Ear {
    pub(super) fn new() -> Self {
        Self { heard: Mutex::default(), awake: Notify::new() }
    }
}

impl Observer for Ear {
    fn changed(&self, change: &Change<'_>) {
        // The jobs that move schedules on are the engine's own; what they enqueue is counted.
        if change.queue == schedule::QUEUE {
            return;
        }
        let mut heard = self.heard.lock();
        let minute = begin(change.at, MINUTE);
        // One that comes late counts for the oldest minute that is not closed.
        let minute = heard.minutes.first_key_value().map_or(minute, |(oldest, _)| minute.max(*oldest));
        heard.minutes.entry(minute).or_default().count(change);
        if heard.items.len() < KEPT_ITEMS {
            let item = FeedItem::of(change, heard.items.last());
            heard.items.push(item);
        } else {
            heard.has_lost = true;
        }
        if !std::mem::replace(&mut heard.is_awake, true) {
            self.awake.notify_one();
        }
    }
}

/// The hours that minutes which are still open belong to, whole.
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
