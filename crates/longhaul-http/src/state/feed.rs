use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use longhaul::{JobId, Longhaul, Lookup};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::line::Line;

/// The most events that a reader is given at once.
const PAGE: usize = 100;
/// The longest that the store is asked to wait for something new; then it is asked again.
const LONG_POLL: Duration = Duration::from_secs(30);
/// The bytes that a feed keeps for readers that are a little behind; those that are further read the store.
const KEPT_BYTES: usize = 24 * 1024;
const KEPT_LINES: usize = 64;

/// The feeds of the jobs that have followers.
#[derive(Debug, Default)]
pub(crate) struct Feeds(Mutex<HashMap<JobId, Weak<Feed>>>);

/// The newest events of one job: the store is read and an event written once, however many readers it has.
pub(crate) struct Feed {
    id: JobId,
    feeds: Weak<Feeds>,
    window: Mutex<Window>,
    changed: Notify,
    /// Reads the store, until the last reader has gone.
    driver: Mutex<Option<AbortHandle>>,
}

/// All events with a number above `from`, up to `to`.
struct Window {
    from: u64,
    to: u64,
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    is_closed: bool,
}

/// The answer of a feed to a reader.
pub(crate) enum Taken {
    Lines(VecDeque<Arc<Line>>),
    /// It has no more of what comes next, or not any longer: the store has.
    Nothing,
}

impl Feeds {
    /// The feed of a job, for a reader who has seen what came up to `after`.
    pub(crate) fn join(self: &Arc<Self>, longhaul: &Longhaul, id: &JobId, after: u64) -> Arc<Feed> {
        let mut all = self.0.lock();
        if let Some(feed) = all.get(id).and_then(Weak::upgrade)
            && !feed.window.lock().is_closed
        {
            return feed;
        }
        let window = Window { from: after, to: after, lines: VecDeque::new(), bytes: 0, is_closed: false };
        let feed = Arc::new(Feed {
            id: id.clone(),
            feeds: Arc::downgrade(self),
            window: Mutex::new(window),
            changed: Notify::new(),
            driver: Mutex::default(),
        });
        let driver = drive(Arc::downgrade(&feed), longhaul.clone(), id.clone(), after);
        *feed.driver.lock() = Some(tokio::spawn(driver).abort_handle());
        all.insert(id.clone(), Arc::downgrade(&feed));
        feed
    }
}

impl Feed {
    /// Waits for what comes after event `after`.
    pub(crate) async fn after(&self, after: u64) -> Taken {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before the look, so that no change in between is missed.
            changed.as_mut().enable();
            {
                let window = self.window.lock();
                if after < window.from {
                    return Taken::Nothing;
                }
                let start = window.lines.partition_point(|line| line.seq <= after);
                let lines: VecDeque<_> = window.lines.range(start..).take(PAGE).map(Arc::clone).collect();
                if !lines.is_empty() {
                    return Taken::Lines(lines);
                }
                if window.is_closed {
                    return Taken::Nothing;
                }
            }
            changed.await;
        }
    }

    fn append(&self, lines: Vec<Line>) {
        let mut window = self.window.lock();
        for line in lines {
            window.to = window.to.max(line.seq);
            window.bytes += line.bytes();
            window.is_closed |= line.is_end;
            window.lines.push_back(Arc::new(line));
        }
        // The newest stays, however large it is.
        while window.lines.len() > 1 && (window.bytes > KEPT_BYTES || window.lines.len() > KEPT_LINES) {
            if let Some(line) = window.lines.pop_front() {
                window.from = line.seq;
                window.bytes -= line.bytes();
            }
        }
        drop(window);
        self.changed.notify_waiters();
    }

    fn close(&self) {
        self.window.lock().is_closed = true;
        self.changed.notify_waiters();
    }
}

/// Reads the job's log until it ends, or cannot be read. Followers learn the reason from the store.
async fn drive(feed: Weak<Feed>, longhaul: Longhaul, id: JobId, mut after: u64) {
    loop {
        let page = longhaul.events(&id, after, PAGE, LONG_POLL).await;
        let is_open = match &page {
            Ok(Some(events)) if !events.is_empty() => {
                let lines: Vec<Line> = events.iter().map(Line::new).collect();
                after = lines.last().map_or(after, |line| line.seq);
                let is_end = lines.iter().any(|line| line.is_end);
                let Some(feed) = feed.upgrade() else { return };
                feed.append(lines);
                !is_end
            }
            // Nothing new is either a wait that is over or a job that has ended; the latter would answer at once, for ever.
            Ok(Some(_)) => match longhaul.get(&id).await {
                Ok(Lookup::Found(job)) => job.last_event >= after && !job.state.is_finished(),
                _ => false,
            },
            Ok(None) | Err(_) => false,
        };
        if !is_open {
            if let Some(feed) = feed.upgrade() {
                feed.close();
            }
            return;
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.lock().take() {
            driver.abort();
        }
        let Some(feeds) = self.feeds.upgrade() else { return };
        let mut all = feeds.0.lock();
        // Another one may stand in its place by now.
        if all.get(&self.id).is_some_and(|feed| feed.strong_count() == 0) {
            all.remove(&self.id);
        }
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({})", self.id)
    }
}
