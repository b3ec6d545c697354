use std::sync::{Arc, Mutex, PoisonError};

use longhaul::{Change, JobId, Observer, State, Timestamp};

use super::observation::Observation;
use crate::Fixture;

/// Hears of a store's changes, and keeps them until they are taken.
#[derive(Debug, Default)]
pub(super) struct Ear(Mutex<Vec<Heard>>);

/// A change as it was heard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Heard {
    id: JobId,
    kind: String,
    queue: String,
    from: Option<State>,
    to: Option<State>,
    attempt: u32,
    at: Timestamp,
    since: Option<Timestamp>,
    error: Option<String>,
}

impl Observer for Ear {
    fn changed(&self, change: &Change<'_>) {
        let heard = Heard {
            id: change.id.clone(),
            kind: change.kind.to_owned(),
            queue: change.queue.to_owned(),
            from: change.from,
            to: change.to,
            attempt: change.attempt,
            at: change.at,
            since: change.since,
            error: change.error.map(str::to_owned),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }
}

impl Ear {
    /// Begins to listen; `None` where another process makes the changes.
    pub(super) fn listen(fx: &Fixture) -> Option<Arc<Self>> {
        let ear = Arc::new(Self::default());
        fx.store.changes()?.observe(&ear);
        Some(ear)
    }

    /// What was heard since the last time.
    pub(super) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The begins and ends of runs, which every store tells alike, in an order that is the same for all.
pub(super) fn runs(heard: &[Heard]) -> Vec<&Heard> {
    let is_of_run = |heard: &&Heard| [heard.from, heard.to].contains(&Some(State::Running));
    let mut runs: Vec<&Heard> = heard.iter().filter(is_of_run).collect();
    runs.sort();
    runs
}

/// Invariants of what any store tells: each job's changes lead, one after the other, from its state before to its state now.
pub(super) fn check(heard: &[Heard], before: &Observation, now: &Observation) -> Result<(), String> {
    for (id, state) in now.states() {
        let mut present = before.states().find_map(|(other, state)| (other == id).then_some(state)).flatten();
        for change in heard.iter().filter(|heard| heard.id == *id) {
            if change.from != present || change.to == present {
                return Err(format!(
                    "{id} was {present:?}, and was told to have become {change:?}: {heard:?}"
                ));
            }
            present = change.to;
        }
        if present != state {
            return Err(format!("{id} was told to be {present:?}, and is {state:?}: {heard:?}"));
        }
    }
    Ok(())
}
