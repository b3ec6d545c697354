//! Bounds on waiting jobs: a job that is enqueued into a full queue or limit key is refused or drops another.
//!
//! They are checked once a job is known to be new, and before it takes a unique key. A blocked job passes, because it
//! does not wait for a worker; follow-ups, retries and snoozes pass, because a refusal would lose work.

use crate::model::{OnFull, State};

/// A bound of the queue of a new job, or of one of its limit keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The jobs that wait: those of the queue, or those of the limit key in all queues.
    pub waiting: u64,
    /// The limit on them.
    pub max_waiting: u64,
    /// What happens to a job above the limit.
    pub on_full: OnFull,
}

impl Bound {
    /// True if the limit is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting >= self.max_waiting
    }
}

/// The decision on a new job under bounds on waiting jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is created.
    Create,
    /// It is not created, because of the bound in this place.
    Reject(usize),
    /// It is created as cancelled and never holds its unique key.
    DropNewest,
    /// For each full bound in turn, the waiting job that was enqueued first is cancelled. Then the job is created,
    /// unless a unique key forbids it, which one of these cancellations may have freed.
    DropOldest,
}

/// True if a new job in this state counts against the bounds.
#[must_use]
pub const fn counts(state: State) -> bool {
    matches!(state, State::Available | State::Scheduled)
}

/// Decides on a new job under these bounds: its queue's, then those of its limit keys. A refusal by any bound comes
/// first, because then no other job is dropped.
#[must_use]
pub fn admission(bounds: &[Bound]) -> Admission {
    let full = |fate| bounds.iter().position(|bound| bound.is_full() && bound.on_full == fate);
    if let Some(place) = full(OnFull::Reject) {
        return Admission::Reject(place);
    }
    match (full(OnFull::DropNewest), full(OnFull::DropOldest)) {
        (Some(_), _) => Admission::DropNewest,
        (None, Some(_)) => Admission::DropOldest,
        (None, None) => Admission::Create,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(waiting: u64, on_full: OnFull) -> Bound {
        Bound { waiting, max_waiting: 2, on_full }
    }

    #[test]
    fn a_refusal_goes_before_a_drop_of_the_newest_and_that_before_one_of_the_oldest() {
        use OnFull::{DropNewest, DropOldest, Reject};
        let with = |fates: &[(u64, OnFull)]| {
            let bounds: Vec<Bound> = fates.iter().map(|(waiting, fate)| bound(*waiting, *fate)).collect();
            admission(&bounds)
        };
        assert_eq!(with(&[]), Admission::Create);
        assert_eq!(with(&[(1, Reject), (0, DropNewest), (1, DropOldest)]), Admission::Create);
        assert_eq!(with(&[(2, DropOldest), (2, DropNewest), (3, Reject), (3, Reject)]), Admission::Reject(2));
        assert_eq!(with(&[(2, DropOldest), (2, DropNewest), (1, Reject)]), Admission::DropNewest);
        assert_eq!(with(&[(1, Reject), (2, DropOldest)]), Admission::DropOldest);
        let counted: Vec<State> = State::ALL.into_iter().filter(|state| counts(*state)).collect();
        assert_eq!(counted, [State::Scheduled, State::Available]);
    }
}
