use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::exchange::{Others, follow, publish};
use super::feed::Feed;
use super::item::FeedNews;
use super::observer::StatsObserver;
use super::shared::{Shared, TICK, WATCH, Watch, Writing};
use crate::clock::Timestamp;
use crate::runtime::Runtime;
use crate::store::{Result, Store};

/// Counts the changes that a store makes in this process, keeps the counts as [samples](crate::Sample), and feeds those who
/// watch. Every worker brings one, and so does `longhaul-http`; those of one store in one process are the same.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

/// The recorders of this process, by the address of the store, which its recorder keeps from being used again.
static ALL: Mutex<BTreeMap<usize, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Ticks between two writes of counts.
const WRITE_EVERY: u32 = 10;
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
        let address = address(&store);
        let mut all = ALL.lock();
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(shared) = all.get(&address).and_then(Weak::upgrade) {
            return Self { shared };
        }
        let (stop, observer) = (CancellationToken::new(), Arc::new(StatsObserver::new()));
        if let Some(changes) = store.changes() {
            changes.observe(&observer);
        }
        let source = format!("{:016x}", (runtime.random)());
        let shared = Arc::new(Shared {
            news: broadcast::Sender::new(KEPT_NEWS),
            watchers: Arc::default(),
            counters: Counters::default(),
            writing: tokio::sync::Mutex::default(),
            _stop: stop.clone().drop_guard(),
            observer,
            source,
            store,
            runtime,
        });
        shared.runtime.spawn(Task::of(&shared).run(stop));
        all.insert(address, Arc::downgrade(&shared));
        Self { shared }
    }

    /// The recorder of a store in this process, if there is one.
    #[must_use]
    pub fn of(store: &Arc<dyn Store>) -> Option<Self> {
        let shared = ALL.lock().get(&address(store)).and_then(Weak::upgrade)?;
        Some(Self { shared })
    }

    /// Writes the counts and publishes the changes, before a process ends.
    ///
    /// # Errors
    /// The store's; the counts are kept in memory for the next write.
    pub async fn flush(&self) -> Result<()> {
        let task = Task::of(&self.shared);
        task.publish_changes().await;
        task.write(Writing::Last).await
    }

    /// A feed of changes from now on, of all processes that share the store.
    ///
    /// # Errors
    /// A store that is unreachable.
    pub async fn feed(&self) -> Result<Feed> {
        let shared = &self.shared;
        // Changes that are buffered happened before the feed begins.
        Task::of(shared).publish_changes().await;
        let news = shared.news.subscribe();
        let watch = Watch::of(shared);
        let mut others = Others::default();
        // Stored changes happened before the feed begins.
        others.read(shared).await?;
        shared.put_watch().await?;
        if let Some(generation) = watch.begins {
            shared.runtime.spawn(follow(Arc::downgrade(shared), generation, others));
        }
        Ok(Feed { news, _watch: watch })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

fn address(store: &Arc<dyn Store>) -> usize {
    Arc::as_ptr(store).cast::<()>().addr()
}

/// The task that writes counts and publishes changes.
struct Task {
    shared: Weak<Shared>,
    runtime: Runtime,
    observer: Arc<StatsObserver>,
}

impl Task {
    fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::downgrade(shared),
            runtime: shared.runtime.clone(),
            observer: Arc::clone(&shared.observer),
        }
    }

    async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.observer.awake.notified()).await.is_some() {
            let mut quiet = 0;
            let mut tick: u32 = 0;
            // It runs while there are changes to publish, and until their counts are written.
            while quiet <= WRITE_EVERY {
                if stop.run_until_cancelled(self.runtime.clock.sleep(TICK)).await.is_none() {
                    return;
                }
                quiet = if self.publish_changes().await { 0 } else { quiet + 1 };
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
            self.observer.buffer.lock().is_awake = false;
            // A change after the last look and before this assignment has not woken the task.
            if !self.observer.buffer.lock().items.is_empty() {
                self.observer.awake.notify_one();
            }
        }
    }

    /// Publishes the changes since the last tick; returns whether there were any.
    async fn publish_changes(&self) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let _writing = shared.writing.lock().await;
        let (items, has_lost) = {
            let mut buffer = self.observer.buffer.lock();
            (std::mem::take(&mut buffer.items), std::mem::take(&mut buffer.has_lost))
        };
        if items.is_empty() {
            return false;
        }
        let items = Arc::new(items);
        // An error means that no reader is subscribed.
        let _ = shared.news.send(FeedNews::Items(Arc::clone(&items)));
        if has_lost {
            let _ = shared.news.send(FeedNews::Gap);
        }
        // Read after the changes were made, so that a process that watched before them is found.
        let watched = shared.store.samples(WATCH, Timestamp(0)).await;
        let is_watched = watched.is_ok_and(|watches| watches.iter().any(|watch| !shared.is_own(watch)));
        if is_watched && let Err(error) = publish(&shared, &items, has_lost).await {
            tracing::debug!("failed to tell other processes of changes: {error}");
        }
        true
    }

    /// Writes the counts that have changed, and drops minutes that are over.
    async fn write(&self, writing: Writing) -> Result<()> {
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let _writing = shared.writing.lock().await;
        let minutes = shared.dirty_minutes()?;
        if !minutes.is_empty()
            && let Err(error) = shared.store.put_samples(&minutes).await
        {
            let mut buffer = self.observer.buffer.lock();
            buffer.minutes.values_mut().for_each(|bucket| bucket.is_dirty = true);
            return Err(error);
        }
        let hours = shared.close_minutes(writing)?;
        // Those that this does not keep are whole in memory, and written with the next minute that ends.
        if hours.is_empty() { Ok(()) } else { shared.store.put_samples(&hours).await }
    }
}
