use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::distribution::Distribution;
use crate::model::Change;

/// The observers of the changes of state that a store makes in this process.
///
/// Without an observer a change costs one load; with one, each change is reported once, after it is durable.
pub struct Changes {
    is_observed: AtomicBool,
    observers: RwLock<Vec<Weak<dyn Observer>>>,
    commits: Distribution,
}

/// An observer of changes. It is called on the store's own threads, so that it must neither wait nor work long.
pub trait Observer: Send + Sync {
    /// Called once for each change.
    fn changed(&self, change: &Change<'_>);
}

/// The upper ends of the ranges of calls per commit.
const CALLS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

impl Changes {
    /// Counts a commit of so many calls.
    pub fn committed(&self, calls: usize) {
        self.commits.add(calls as u64);
    }

    /// The commits of this process, by the number of calls in each.
    #[must_use]
    pub fn commits(&self) -> &Distribution {
        &self.commits
    }

    /// Reports each change from now on to `observer`, until the last other reference to it is dropped.
    pub fn observe(&self, observer: &Arc<impl Observer + 'static>) {
        let observer: Weak<dyn Observer> = Arc::<_>::downgrade(observer) as Weak<dyn Observer>;
        let mut observers = self.observers.write();
        observers.retain(|earlier| earlier.strong_count() > 0);
        observers.push(observer);
        self.is_observed.store(true, Ordering::Release);
    }

    /// True if there is an observer; without one a store need not collect changes.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.is_observed.load(Ordering::Acquire)
    }

    /// Reports changes that have become durable, in their order.
    pub fn tell<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>) {
        if !self.is_observed() {
            return;
        }
        let observers: Vec<_> = self.observers.read().iter().filter_map(Weak::upgrade).collect();
        if observers.is_empty() {
            // An observer that is added between the look and this sets the flag itself, after it gets the lock.
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
