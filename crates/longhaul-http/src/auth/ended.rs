use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Json, MAX_SAMPLES, Result, Sample, Store, Timestamp};
use tokio::sync::Mutex;

/// Sessions that were signed out before their end. The store keeps them, so that every server on it knows them.
pub(super) struct EndedSessions {
    store: Arc<dyn Store>,
    known: Mutex<Known>,
}

/// The sessions that had ended when the store was last looked at.
#[derive(Default)]
struct Known {
    looked_at: Option<Timestamp>,
    ids: HashSet<String>,
}

const SERIES: &str = "sessions.ended";
/// A session that ends on one server ends on the others within this time, and no request costs a look of its own.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl EndedSessions {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// Ends a session, which would have lasted for `keep_for` at most.
    pub(super) async fn end(&self, id: &str, keep_for: Duration, now: Timestamp) -> Result<()> {
        let series = SERIES.to_owned();
        let sample = Sample { series, at: now, source: id.to_owned(), keep_for, body: Json::null() };
        self.store.put_samples(&[sample]).await?;
        self.known.lock().await.ids.insert(id.to_owned());
        Ok(())
    }

    pub(super) async fn has(&self, id: &str, now: Timestamp) -> bool {
        // Held while the store is asked, so that of many requests at once one asks.
        let mut known = self.known.lock().await;
        let is_fresh = |at: Timestamp| at <= now && now.since(at) < LOOK_EVERY;
        if !known.looked_at.is_some_and(is_fresh) {
            match self.read().await {
                Ok(ids) => known.ids = ids,
                // What the request asks for is in the same store.
                Err(error) => tracing::debug!("failed to read which sessions have ended: {error}"),
            }
            known.looked_at = Some(now);
        }
        known.ids.contains(id)
    }

    async fn read(&self) -> Result<HashSet<String>> {
        let (mut ids, mut from) = (HashSet::new(), Timestamp(0));
        loop {
            let samples = self.store.samples(SERIES, from).await?;
            let (count, last) = (samples.len(), samples.last().map_or(from, |sample| sample.at));
            ids.extend(samples.into_iter().map(|sample| sample.source));
            if count < MAX_SAMPLES || last == from {
                return Ok(ids);
            }
            from = last;
        }
    }
}
