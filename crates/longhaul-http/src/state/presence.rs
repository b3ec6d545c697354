use std::collections::HashMap;
use std::time::Duration;

use longhaul::Timestamp;
use parking_lot::Mutex;

/// The remote workers whose claims have lately been a sign of life. A worker that waits for jobs has no lease to extend, so
/// that many send no heartbeat then, and would seem to be gone.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<HashMap<String, Timestamp>>);

/// The interval at which a worker's claims are reported to the store: at least twice within the minute for which a
/// worker is listed, and seldom enough to cost nothing.
const TOLD_EVERY: Duration = Duration::from_secs(20);
/// The most workers that are remembered.
const MOST_WORKERS: usize = 10_000;

impl Presence {
    /// True if the store is to be notified now that the worker lives; the time is noted.
    pub(crate) fn is_due(&self, worker: &str, now: Timestamp) -> bool {
        let mut told = self.0.lock();
        if let Some(at) = told.get_mut(worker) {
            let is_due = now.since(*at) >= TOLD_EVERY;
            if is_due {
                *at = now;
            }
            return is_due;
        }
        if told.len() >= MOST_WORKERS {
            told.retain(|_, at| now.since(*at) < TOLD_EVERY);
        }
        // More of them than that make themselves known by heartbeats of their own.
        let has_room = told.len() < MOST_WORKERS;
        if has_room {
            told.insert(worker.to_owned(), now);
        }
        has_room
    }

    /// Reverts the note, because the store was not notified.
    pub(crate) fn forget(&self, worker: &str) {
        self.0.lock().remove(worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_reported_to_the_store_at_intervals() {
        let (presence, start) = (Presence::default(), Timestamp(0));
        assert!(presence.is_due("w", start) && presence.is_due("v", start));
        assert!(!presence.is_due("w", start.plus(TOLD_EVERY / 2)));
        assert!(presence.is_due("w", start.plus(TOLD_EVERY)));
        assert!(!presence.is_due("w", start.plus(TOLD_EVERY)));
        presence.forget("w");
        assert!(presence.is_due("w", start.plus(TOLD_EVERY)));
    }

    #[test]
    fn no_caller_can_make_it_grow_without_end() {
        let (presence, start) = (Presence::default(), Timestamp(0));
        let due = (0..2 * MOST_WORKERS).filter(|n| presence.is_due(&n.to_string(), start)).count();
        assert_eq!((due, presence.0.lock().len()), (MOST_WORKERS, MOST_WORKERS));
        assert!(presence.is_due("later", start.plus(TOLD_EVERY)));
        assert_eq!(presence.0.lock().len(), 1, "what is old makes room");
    }
}
