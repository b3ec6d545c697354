use std::sync::{Arc, Mutex, PoisonError};

use longhaul::{Change, KeptChange, Observer, State};

use super::observation::Observation;
use crate::Fixture;

/// Collects a store's changes until they are taken.
#[derive(Debug, Default)]
pub(super) struct ChangeLog(Mutex<Vec<KeptChange>>);

impl Observer for ChangeLog {
    fn changed(&self, change: &Change<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(change.into());
    }
}

impl ChangeLog {
    /// Starts to observe; `None` if another process makes the changes.
    pub(super) fn listen(fx: &Fixture) -> Option<Arc<Self>> {
        let log = Arc::new(Self::default());
        fx.store.changes()?.observe(&log);
        Some(log)
    }

    /// The changes since the last call.
    pub(super) fn take(&self) -> Vec<KeptChange> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The begins and ends of runs, which every store reports alike, in an order that is the same for all.
pub(super) fn runs(reported: &[KeptChange]) -> Vec<&KeptChange> {
    let is_of_run = |reported: &&KeptChange| [reported.from, reported.to].contains(&Some(State::Running));
    let mut runs: Vec<&KeptChange> = reported.iter().filter(is_of_run).collect();
    runs.sort();
    runs
}

/// Invariants of what any store tells: each job's changes lead, one after the other, from its state before to its state now.
pub(super) fn check(reported: &[KeptChange], before: &Observation, now: &Observation) -> Result<(), String> {
    for (id, state) in now.states() {
        let mut present = before.states().find_map(|(other, state)| (other == id).then_some(state)).flatten();
        for change in reported.iter().filter(|reported| reported.id == *id) {
            if change.from != present || change.to == present {
                return Err(format!(
                    "{id} was {present:?}, and was told to have become {change:?}: {reported:?}"
                ));
            }
            present = change.to;
        }
        if present != state {
            return Err(format!("{id} was told to be {present:?}, and is {state:?}: {reported:?}"));
        }
    }
    Ok(())
}
