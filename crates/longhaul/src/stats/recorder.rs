use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::bucket::{Bucket, begin};
use super::feed::{Feed, FeedItem, FeedNews};
use crate::clock::Timestamp;
use crate::model::{Change, Json, Sample};
use crate::runtime::Runtime;
use crate::store::{Observer, Result, Store};

/// Counts the changes that a store makes in this process, keeps the counts as [samples](crate::Sample), and feeds those who
/// watch. Every worker brings one, and so does `longhaul-http`; those of one store in one process are the same.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// The part that all recorders of one store in one process share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) runtime: Runtime,
    /// Names this process among those that share the store.
    source: String,
    /// What the store calls; of its own, so that the store does not keep itself alive.
    ear: Arc<Ear>,
    news: broadcast::Sender<FeedNews>,
    watchers: Arc<AtomicUsize>,
    _stop: DropGuard,
}

/// Hears of changes, on the store's own threads.
struct Ear {
    heard: Mutex<Heard>,
    /// Tells the task that there is something to write.
    awake: Notify,
}

#[derive(Default)]
struct Heard {
    /// By the begin of the minute; the last is the present one.
    minutes: BTreeMap<Timestamp, Bucket>,
    /// By the begin of the hour, of minutes that are over.
    hours: BTreeMap<Timestamp, Bucket>,
    /// Changes since the last tick.
    items: Vec<FeedItem>,
    /// True where there were more of these than are kept.
    has_lost: bool,
    /// True while the task is awake, so that a change need not wake it.
    is_awake: bool,
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const MINUTES: &str = "stats.minutes";
pub(super) const HOURS: &str = "stats.hours";
/// Minutes are kept for a day, and hours for a week, each with room for a reader at its edge.
const KEEP_MINUTES: Duration = Duration::from_secs(25 * 3600);
const KEEP_HOURS: Duration = Duration::from_secs(8 * 24 * 3600);

/// Changes of other processes, and the processes that want to hear of them.
const FEED: &str = "feed.changes";
const WATCH: &str = "feed.watch";
const KEEP_FEED: Duration = Duration::from_secs(10);
const KEEP_WATCH: Duration = Duration::from_secs(5);
const RENEW_WATCH: Duration = Duration::from_secs(2);

/// The pause between two looks at what was heard, while there is something to hear.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two writes of counts.
const WRITE_EVERY: u32 = 50;
/// The most changes that are kept between two ticks; a process that makes more tells of a gap.
const KEPT_ITEMS: usize = 2_000;
/// The news that a slow reader may be behind.
const KEPT_NEWS: usize = 256;

impl Recorder {
    /// The recorder of a store in this process, which begins to count where there is none yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>) -> Self {
        Self::start_on(store, Runtime::tokio())
    }

    /// The same, with time and tasks of `runtime`.
    ///
    /// # Panics
    /// If `runtime` cannot start a task.
    #[must_use]
    pub fn start_on(store: Arc<dyn Store>, runtime: Runtime) -> Self {
        /// By the address of the store, which its recorder keeps from being used again.
        static ALL: Mutex<BTreeMap<usize, Weak<Shared>>> = Mutex::new(BTreeMap::new());
        let address = Arc::as_ptr(&store).cast::<()>().addr();
        let mut all = ALL.lock();
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = all.get(&address).and_then(Weak::upgrade) {
            return Self { shared };
        }
        let (stop, ear) = (CancellationToken::new(), Arc::new(Ear::new()));
        if let Some(changes) = store.changes() {
            changes.observe(&ear);
        }
        let source = format!("{:016x}", (runtime.random)());
        let shared = Arc::new(Shared {
            news: broadcast::Sender::new(KEPT_NEWS),
            watchers: Arc::default(),
            _stop: stop.clone().drop_guard(),
            ear,
            source,
            store,
            runtime,
        });
        shared.runtime.spawn(Task::of(&shared).run(stop));
        all.insert(address, Arc::downgrade(&shared));
        Self { shared }
    }

    /// Writes what was counted, before a process ends.
    ///
    /// # Errors
    /// The store's; what was counted is kept, to be written later.
    pub async fn flush(&self) -> Result<()> {
        Task::of(&self.shared).write(Writing::Last).await
    }

    /// The changes from now on, of all processes that share the store.
    ///
    /// # Errors
    /// A store that is away.
    pub async fn feed(&self) -> Result<Feed> {
        let shared = &self.shared;
        // What was heard and not yet told changed before.
        Task::of(shared).tell().await;
        let news = shared.news.subscribe();
        let watch = Watch::of(shared);
        let mut others = Others { seen: HashSet::new(), newest: None };
        // What is there already was changed before.
        others.read(shared).await?;
        shared.tell_watch().await?;
        if watch.is_first {
            let (shared, watchers) = (Arc::downgrade(shared), Arc::clone(&watch.watchers));
            self.shared.runtime.spawn(follow(shared, watchers, others));
        }
        Ok(Feed { news, _watch: watch })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    /// The counts that are not written yet, or not whole: minutes of this process by their begin.
    pub(super) fn unwritten(
        &self,
        read: impl FnOnce(&BTreeMap<Timestamp, Bucket>, &BTreeMap<Timestamp, Bucket>),
    ) {
        let heard = self.ear.heard.lock();
        read(&heard.minutes, &heard.hours);
    }

    /// True for a sample that this process has written, and knows better.
    pub(super) fn is_own(&self, sample: &Sample) -> bool {
        sample.source.starts_with(&self.source)
    }

    async fn tell_watch(&self) -> Result<()> {
        let watch = self.sample(WATCH, Timestamp(0), 0, KEEP_WATCH, Json::null());
        self.store.put_samples(&[watch]).await
    }

    fn sample(&self, series: &str, at: Timestamp, part: usize, keep_for: Duration, body: Json) -> Sample {
        Sample { series: series.to_owned(), at, source: format!("{}.{part}", self.source), keep_for, body }
    }
}

/// Somebody watches the feed for as long as this lives.
#[derive(Debug)]
pub(super) struct Watch {
    watchers: Arc<AtomicUsize>,
    is_first: bool,
}

impl Watch {
    fn of(shared: &Shared) -> Self {
        let before = shared.watchers.fetch_add(1, Ordering::SeqCst);
        Self { watchers: Arc::clone(&shared.watchers), is_first: before == 0 }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ear {
    fn new() -> Self {
        Self { heard: Mutex::default(), awake: Notify::new() }
    }
}

impl Observer for Ear {
    fn changed(&self, change: &Change<'_>) {
        let mut heard = self.heard.lock();
        let minute = begin(change.at, MINUTE);
        // One that comes late counts for the oldest minute that is not closed.
        let minute = heard.minutes.first_key_value().map_or(minute, |(oldest, _)| minute.max(*oldest));
        heard.minutes.entry(minute).or_default().count(change);
        if heard.items.len() < KEPT_ITEMS {
            heard.items.push(FeedItem::from(change));
        } else {
            heard.has_lost = true;
        }
        if !std::mem::replace(&mut heard.is_awake, true) {
            self.awake.notify_one();
        }
    }
}

/// When counts are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// In passing: only the minutes, for the hours can be made of them.
    Often,
    /// Before the process ends or sleeps.
    Last,
}

/// The task that writes counts and tells changes.
struct Task {
    shared: Weak<Shared>,
    runtime: Runtime,
    ear: Arc<Ear>,
}

impl Task {
    fn of(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared), runtime: shared.runtime.clone(), ear: Arc::clone(&shared.ear) }
    }

    async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.ear.awake.notified()).await.is_some() {
            let mut quiet = 0;
            let mut tick: u32 = 0;
            // Awake while there is something to tell, and until it is written.
            while quiet <= WRITE_EVERY {
                if stop.run_until_cancelled(self.runtime.clock.sleep(TICK)).await.is_none() {
                    return;
                }
                quiet = if self.tell().await { 0 } else { quiet + 1 };
                tick += 1;
                if tick.is_multiple_of(WRITE_EVERY) || quiet == WRITE_EVERY {
                    let writing = if quiet == WRITE_EVERY { Writing::Last } else { Writing::Often };
                    if let Err(error) = self.write(writing).await {
                        tracing::debug!(
                            "failed to write statistics, which are kept for the next time: {error}"
                        );
                    }
                }
            }
            self.ear.heard.lock().is_awake = false;
            // A change that came between the last look and this has not woken the task.
            if !self.ear.heard.lock().items.is_empty() {
                self.ear.awake.notify_one();
            }
        }
    }

    /// Tells what was heard since the last tick. Answers whether there was anything.
    async fn tell(&self) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let (items, has_lost) = {
            let mut heard = self.ear.heard.lock();
            (std::mem::take(&mut heard.items), std::mem::take(&mut heard.has_lost))
        };
        if items.is_empty() {
            return false;
        }
        let items = Arc::new(items);
        // Nobody may be there to hear it.
        let _ = shared.news.send(FeedNews::Items(Arc::clone(&items)));
        if has_lost {
            let _ = shared.news.send(FeedNews::Gap);
        }
        // Looked up after the changes were made: whoever watched before them has said so by now.
        let watched = shared.store.samples(WATCH, Timestamp(0)).await;
        let is_watched = watched.is_ok_and(|watches| watches.iter().any(|watch| !shared.is_own(watch)));
        if is_watched && let Err(error) = publish(&shared, &items, has_lost).await {
            tracing::debug!("failed to tell other processes of changes: {error}");
        }
        true
    }

    /// Writes the counts that have changed, and lets go of minutes that are over.
    async fn write(&self, writing: Writing) -> Result<()> {
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let minutes = shared.dirty_minutes()?;
        if let Err(error) = shared.store.put_samples(&minutes).await {
            let mut heard = self.ear.heard.lock();
            heard.minutes.values_mut().for_each(|bucket| bucket.is_dirty = true);
            return Err(error);
        }
        let hours = shared.close_minutes(writing)?;
        // Those that this does not keep are whole in memory, and written with the next minute that ends.
        shared.store.put_samples(&hours).await
    }
}

impl Shared {
    /// The samples of minutes that have changed since they were written.
    fn dirty_minutes(&self) -> Result<Vec<Sample>> {
        let mut heard = self.ear.heard.lock();
        let mut samples = Vec::new();
        for (at, bucket) in heard.minutes.iter_mut().filter(|(_, bucket)| bucket.is_dirty) {
            bucket.is_dirty = false;
            for (part, body) in bucket.bodies()?.into_iter().enumerate() {
                samples.push(self.sample(MINUTES, *at, part, KEEP_MINUTES, body));
            }
        }
        Ok(samples)
    }

    /// Counts minutes that are over in their hours, whose samples it answers. Two minutes stay open for changes that come
    /// late.
    fn close_minutes(&self, writing: Writing) -> Result<Vec<Sample>> {
        let mut heard = self.ear.heard.lock();
        let Heard { minutes, hours, .. } = &mut *heard;
        let mut has_closed = false;
        while minutes.len() > 2
            && minutes.first_key_value().is_some_and(|(_, oldest)| !oldest.is_dirty)
            && let Some((at, bucket)) = minutes.pop_first()
        {
            hours.entry(begin(at, HOUR)).or_default().merge(&bucket);
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

/// Hands changes to the processes that watch.
async fn publish(shared: &Shared, items: &[FeedItem], has_lost: bool) -> Result<()> {
    let mut samples = Vec::new();
    for (part, some) in items.chunks(500).enumerate() {
        let Some(last) = some.last() else { continue };
        let body = Json::new(&Told { items: some.to_vec(), has_lost })?;
        // The time is the store's, so that of two processes with two clocks neither is read late.
        samples.push(shared.sample(FEED, last.at, next_part(part), KEEP_FEED, body));
    }
    shared.store.put_samples(&samples).await
}

/// A number that no other sample of this process has.
fn next_part(part: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(8) + part
}

/// Changes, as one process tells others of them.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    items: Vec<FeedItem>,
    #[serde(default)]
    has_lost: bool,
}

/// The changes of other processes that were read already.
struct Others {
    seen: HashSet<(Timestamp, String)>,
    newest: Option<Timestamp>,
}

impl Others {
    /// Reads what is new. Samples of one process may become visible after later ones of another, so the last seconds are
    /// read again each time.
    async fn read(&mut self, shared: &Shared) -> Result<Vec<Told>> {
        let from = self.newest.map_or(Timestamp(0), |newest| newest.minus(Duration::from_secs(3)));
        let mut told = Vec::new();
        for sample in shared.store.samples(FEED, from).await? {
            self.newest = self.newest.max(Some(sample.at));
            if !shared.is_own(&sample) && self.seen.insert((sample.at, sample.source)) {
                told.extend(sample.body.to::<Told>());
            }
        }
        let oldest = self.newest.map_or(Timestamp(0), |newest| newest.minus(KEEP_FEED));
        self.seen.retain(|(at, _)| *at >= oldest);
        Ok(told)
    }
}

/// Tells this process's readers of the changes of others, for as long as there are readers.
async fn follow(shared: Weak<Shared>, watchers: Arc<AtomicUsize>, mut others: Others) {
    let (mut since_watch, mut was_away) = (Duration::ZERO, false);
    while watchers.load(Ordering::SeqCst) > 0 {
        let Some(shared) = shared.upgrade() else { return };
        if since_watch >= RENEW_WATCH {
            since_watch = Duration::ZERO;
            was_away |= shared.tell_watch().await.is_err();
        }
        match others.read(&shared).await {
            Ok(told) => {
                if std::mem::take(&mut was_away) {
                    let _ = shared.news.send(FeedNews::Gap);
                }
                for Told { items, has_lost } in told {
                    let _ = shared.news.send(FeedNews::Items(Arc::new(items)));
                    if has_lost {
                        let _ = shared.news.send(FeedNews::Gap);
                    }
                }
            }
            Err(_) => was_away = true,
        }
        let clock = shared.runtime.clock.clone();
        drop(shared);
        clock.sleep(2 * TICK).await;
        since_watch += 2 * TICK;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}
