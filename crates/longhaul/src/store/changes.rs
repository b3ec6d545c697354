use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::distribution::Distribution;
use crate::model::Change;

/// Those who want to know of each change of state that a store makes in this process.
///
/// A store with no observer pays for one load; one with an observer tells each change once, after it is durable.
pub struct Changes {
    is_observed: AtomicBool,
    observers: RwLock<Vec<Weak<dyn Observer>>>,
    commits: Distribution,
}

/// Somebody who wants to know of changes. It is called on the store's own threads, so it must neither wait nor work long.
pub trait Observer: Send + Sync {
    /// Hears of one change.
    fn changed(&self, change: &Change<'_>);
}

/// The ends of the ranges of the calls that share a commit.
const CALLS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

impl Changes {
    /// Counts a commit that has carried so many calls of the store's callers.
    pub fn committed(&self, calls: usize) {
        self.commits.add(calls as u64);
    }

    /// The commits of this process, by the calls that each has carried.
    #[must_use]
    pub fn commits(&self) -> &Distribution {
        &self.commits
    }

    /// Tells `observer` of each change from now on, until the last other reference to it is dropped.
    pub fn observe(&self, observer: &Arc<impl Observer + 'static>) {
        let observer: Weak<dyn Observer> = Arc::<_>::downgrade(observer) as Weak<dyn Observer>;
        let mut observers = self.observers.write();
        observers.retain(|earlier| earlier.strong_count() > 0);
        observers.push(observer);
        self.is_observed.store(true, Ordering::Release);
    }

    /// True where somebody wants to know, so that a store need not note changes for nobody.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.is_observed.load(Ordering::Acquire)
    }

    /// Tells of changes that have become durable, in their order.
    pub fn tell<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>) {
        if !self.is_observed() {
            return;
        }
        let observers: Vec<_> = self.observers.read().iter().filter_map(Weak::upgrade).collect();
        if observers.is_empty() {
            // Whoever observes between the look and this is told so by its own store of `true`, which waits for the lock.
            let observers = self.observers.write();
            self.is_observed.store(observers.iter().any(|one| one.strong_count() > 0), Ordering::Release);
            return;
        }
        for change in changes {
            for observer in &observers {
                observer.changed(&change);
            }
        }
    }
}

impl Default for Changes {
    fn default() -> Self {
        let (is_observed, observers) = (AtomicBool::default(), RwLock::default());
        Self { is_observed, observers, commits: Distribution::new(CALLS) }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("is_observed", &self.is_observed()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::clock::Timestamp;
    use crate::model::{JobId, State};

    #[derive(Default)]
    struct Heard(Mutex<Vec<Option<State>>>);

    impl Observer for Heard {
        fn changed(&self, change: &Change<'_>) {
            self.0.lock().push(change.to);
        }
    }

    fn change(id: &JobId, to: State) -> Change<'_> {
        Change {
            id,
            kind: "k",
            queue: "q",
            from: None,
            to: Some(to),
            attempt: 0,
            at: Timestamp(0),
            since: None,
            error: None,
        }
    }

    #[test]
    fn an_observer_hears_of_changes_until_it_is_dropped() {
        let (changes, id) = (Changes::default(), JobId::random());
        changes.tell([change(&id, State::Available)]);
        let (first, second) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        changes.observe(&first);
        changes.observe(&second);
        changes.tell([change(&id, State::Running), change(&id, State::Completed)]);
        assert_eq!(*first.0.lock(), [Some(State::Running), Some(State::Completed)]);
        drop(first);
        changes.tell([change(&id, State::Failed)]);
        assert_eq!(second.0.lock().len(), 3);
        drop(second);
        assert!(changes.is_observed());
        changes.tell([change(&id, State::Failed)]);
        assert!(!changes.is_observed(), "nobody is left");
    }
}
