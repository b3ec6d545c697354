use std::collections::VecDeque;

use longhaul::{JobId, KeptChange};
use parking_lot::Mutex;

/// Changes of applications' own transactions, which the store does not see end: each transaction sends a mark with its
/// notification, which comes back once it is committed.
#[derive(Debug, Default)]
pub(crate) struct Uncommitted(Mutex<VecDeque<(JobId, Vec<KeptChange>)>>);

/// The most changes that wait; those of transactions that were rolled back wait until there are more.
const UNCOMMITTED: usize = 20_000;

impl Uncommitted {
    /// Keeps changes, and answers the mark; `None` where there are none.
    pub(crate) fn keep(&self, noted: Vec<KeptChange>) -> Option<JobId> {
        if noted.is_empty() {
            return None;
        }
        let mark = JobId::random();
        let mut kept = self.0.lock();
        kept.push_back((mark.clone(), noted));
        let mut surplus =
            kept.iter().map(|(_, noted)| noted.len()).sum::<usize>().saturating_sub(UNCOMMITTED);
        while surplus > 0 && kept.len() > 1 {
            surplus = surplus.saturating_sub(kept.pop_front().map_or(0, |(_, noted)| noted.len()));
        }
        Some(mark)
    }

    /// Takes the changes of a transaction out, where this is the mark of one.
    pub(crate) fn take(&self, mark: &str) -> Vec<KeptChange> {
        let mut kept = self.0.lock();
        let place = kept.iter().position(|(kept, _)| kept.as_str() == mark);
        place.and_then(|place| kept.remove(place)).map(|(_, noted)| noted).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use longhaul::{Change, State, Timestamp};

    use super::*;

    fn noted(changes: usize) -> Vec<KeptChange> {
        let change = Change {
            id: &JobId::random(),
            kind: "k",
            queue: "q",
            from: None,
            to: Some(State::Available),
            attempt: 0,
            at: Timestamp(0),
            since: None,
            error: None,
        };
        vec![KeptChange::from(&change); changes]
    }

    #[test]
    fn changes_of_a_transaction_are_taken_once_by_its_mark() {
        let uncommitted = Uncommitted::default();
        assert!(uncommitted.keep(Vec::new()).is_none());
        let (first, second) = (uncommitted.keep(noted(1)).unwrap(), uncommitted.keep(noted(2)).unwrap());
        assert_eq!(uncommitted.take(second.as_str()).len(), 2);
        assert!(uncommitted.take(second.as_str()).is_empty());
        assert_eq!(uncommitted.take(first.as_str()).len(), 1);
    }

    #[test]
    fn the_oldest_of_very_many_changes_that_nobody_commits_are_forgotten() {
        let uncommitted = Uncommitted::default();
        let marks: Vec<JobId> = (0..3).filter_map(|_| uncommitted.keep(noted(UNCOMMITTED / 2))).collect();
        assert!(uncommitted.take(marks[0].as_str()).is_empty());
        assert_eq!(uncommitted.take(marks[2].as_str()).len(), UNCOMMITTED / 2);
        let last = uncommitted.keep(noted(2 * UNCOMMITTED)).unwrap();
        assert_eq!(uncommitted.take(last.as_str()).len(), 2 * UNCOMMITTED, "one is kept, whatever its size");
    }
}
