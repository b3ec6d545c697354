//! The bounds on waiting jobs: what becomes of a job that is enqueued.
//!
//! They are looked at once it is clear that a job is to be created, and before it takes a unique key. A job that is blocked
//! passes, because it does not wait for a worker; so do follow-ups, retries and snoozes, with which work would be lost.

use crate::model::{OnFull, State};

/// A bound of the queue of a new job, or of one of its limit keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The jobs that wait: those of the queue, or those of the limit key in all queues.
    pub waiting: u64,
    /// The most that may.
    pub max_waiting: u64,
    /// The fate of one more.
    pub on_full: OnFull,
}

impl Bound {
    /// True where no other job may come to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting >= self.max_waiting
    }
}

/// What becomes of a new job where waiting jobs are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is created.
    Create,
    /// It is not created, because of the bound in this place.
    Reject(usize),
    /// It is created as cancelled and never holds its unique key.
    DropNewest,
    /// Of each bound that is full, one after the other and where it still is, the waiting job is cancelled that was enqueued
    /// first. Then the job is created, if its unique key, which may have become free, allows it.
    DropOldest,
}

/// True where a new job in this state is counted, and may be refused.
#[must_use]
pub const fn counts(state: State) -> bool {
    matches!(state, State::Available | State::Scheduled)
}

/// What becomes of a new job with these bounds: its queue's, then those of its limit keys. A refusal goes first, because then
/// nothing else happens.
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
