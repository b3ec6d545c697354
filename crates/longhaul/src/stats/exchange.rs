//! Changes that cross from one process to another, by way of the store's samples.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::item::{FeedItem, FeedNews};
use super::shared::{FEED, KEEP_FEED, RENEW_WATCH, Shared, TICK};
use crate::clock::Timestamp;
use crate::model::Json;
use crate::store::Result;

/// Hands changes to the processes that watch.
pub(super) async fn publish(shared: &Shared, items: &[FeedItem], has_lost: bool) -> Result<()> {
    let mut samples = Vec::new();
    for some in items.chunks(500) {
        let Some(last) = some.last() else { continue };
        let body = Json::new(&PublishedChanges { items: some.to_vec(), has_lost })?;
        // The time is the store's, so that of two processes with two clocks neither is read late.
        samples.push(shared.sample(FEED, last.at, next_part(), KEEP_FEED, body));
    }
    shared.store.put_samples(&samples).await
}

/// A number that is unique among the samples of this process.
fn next_part() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The changes that one process publishes to others in one sample.
#[derive(Serialize, Deserialize)]
pub(super) struct PublishedChanges {
    items: Vec<FeedItem>,
    #[serde(default)]
    has_lost: bool,
}

/// The samples of other processes that were read already.
#[derive(Default)]
pub(super) struct Others {
    seen: HashSet<(Timestamp, String)>,
    newest: Option<Timestamp>,
}

impl Others {
    /// Reads new samples. A sample of one process may become visible after a later one of another, so that the last 3
    /// seconds are read again each time.
    pub(super) async fn read(&mut self, shared: &Shared) -> Result<Vec<PublishedChanges>> {
        let from = self.newest.map_or(Timestamp(0), |newest| newest.minus(Duration::from_secs(3)));
        let mut published = Vec::new();
        for sample in shared.store.samples(FEED, from).await? {
            self.newest = self.newest.max(Some(sample.at));
            if !shared.is_own(&sample) && self.seen.insert((sample.at, sample.source)) {
                published.extend(sample.body.to::<PublishedChanges>());
            }
        }
        let oldest = self.newest.map_or(Timestamp(0), |newest| newest.minus(KEEP_FEED));
        self.seen.retain(|(at, _)| *at >= oldest);
        Ok(published)
    }
}

/// Passes the changes of other processes on to the readers of this one, for as long as there are readers.
pub(super) async fn follow(shared: Weak<Shared>, generation: usize, mut others: Others) {
    let (mut since_watch, mut was_away) = (Duration::ZERO, false);
    while let Some(shared) = shared.upgrade().filter(|shared| shared.watchers.go_on(generation)) {
        if since_watch >= RENEW_WATCH {
            since_watch = Duration::ZERO;
            was_away |= shared.put_watch().await.is_err();
        }
        match others.read(&shared).await {
            Ok(published) => {
                if std::mem::take(&mut was_away) {
                    let _ = shared.news.send(FeedNews::Gap);
                }
                for PublishedChanges { items, has_lost } in published {
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
