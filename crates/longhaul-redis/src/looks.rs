use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longhaul::Claim;
use longhaul::clock::Stopwatch;
use parking_lot::Mutex;

/// Looks of this process that found nothing. Each has had the next job announced, so that until then a claim of the same
/// queues, kinds and labels has nothing to look for: many idle workers cost the server what one does.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// True while announcements arrive.
    is_live: AtomicBool,
    /// Rises with every announcement of jobs, and before those who listen are woken.
    announcements: AtomicU64,
    empty: Mutex<HashMap<u64, Empty>>,
}

/// A look that found nothing.
#[derive(Clone, Copy, Debug)]
struct Empty {
    /// The number of announcements received before it.
    announcements: u64,
    since: Stopwatch,
}

/// A look counts for so long: an announcement may be lost.
const COUNTS_FOR: Duration = Duration::from_secs(5);
/// Looks that count no more are forgotten when there are more than this.
const CROWD: usize = 1_024;

impl Looks {
    /// Notes that announcements arrive from now on; earlier ones may have been missed.
    pub(crate) fn live(&self) {
        self.announced();
        self.is_live.store(true, Ordering::SeqCst);
    }

    /// Notes that no announcements arrive any more.
    pub(crate) fn invalidate(&self) {
        self.is_live.store(false, Ordering::SeqCst);
    }

    /// True while announcements arrive. Otherwise waiting claims must look more often.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live.load(Ordering::SeqCst)
    }

    /// Notes that jobs may have become available in some queue.
    pub(crate) fn announced(&self) {
        self.announcements.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of announcements until now, to be read before a look.
    pub(crate) fn announcements(&self) -> u64 {
        self.announcements.load(Ordering::SeqCst)
    }

    /// Notes a look that found nothing, and what had been announced before it.
    pub(crate) fn found_nothing(&self, claim: &Claim, announcements: u64) {
        let mut empty = self.empty.lock();
        if empty.len() > CROWD {
            empty.retain(|_, look| self.counts(*look));
        }
        empty.insert(wanted(claim), Empty { announcements, since: Stopwatch::start() });
    }

    /// True if a look for the same has found nothing, and no job has been announced since. The caller must listen
    /// already.
    pub(crate) fn is_empty(&self, claim: &Claim) -> bool {
        self.is_live() && self.empty.lock().get(&wanted(claim)).is_some_and(|look| self.counts(*look))
    }

    fn counts(&self, look: Empty) -> bool {
        look.announcements == self.announcements() && look.since.elapsed() < COUNTS_FOR
    }
}

/// Stands for the queues, kinds and labels of a claim.
fn wanted(claim: &Claim) -> u64 {
    let mut hasher = DefaultHasher::new();
    for queue in &claim.queues {
        queue.queue.hash(&mut hasher);
    }
    for known in &claim.kinds {
        (&known.kind, known.version).hash(&mut hasher);
    }
    claim.worker.labels.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use longhaul_conformance::jobs::{claim, slots};

    use super::*;

    #[test]
    fn a_look_is_reused_for_equal_claims_until_a_job_is_announced() {
        let looks = Looks::default();
        looks.live();
        let (mine, other) = (claim(), Claim { queues: vec![slots("other", 1)], ..claim() });
        let mut labelled = claim();
        labelled.worker.labels.insert("gpu".into(), "a100".into());
        assert!(!looks.is_empty(&mine));
        looks.found_nothing(&mine, looks.announcements());
        assert!(looks.is_empty(&mine) && !looks.is_empty(&other) && !looks.is_empty(&labelled));
        looks.announced();
        assert!(!looks.is_empty(&mine));
        looks.found_nothing(&mine, looks.announcements());
        looks.invalidate();
        assert!(!looks.is_empty(&mine));
    }

    #[test]
    fn a_look_during_which_a_job_was_announced_is_not_reused() {
        let looks = Looks::default();
        looks.live();
        let before = looks.announcements();
        looks.announced();
        looks.found_nothing(&claim(), before);
        assert!(!looks.is_empty(&claim()));
    }
}
