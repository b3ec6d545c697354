//! The counts that a job keeps of its children.

use crate::clock::Timestamp;
use crate::model::{Children, State};

/// True if a new job that names this one as its parent is counted among its children: the parent is a closing job that
/// waits for them, or a job that has begun and not ended. Any other parent gets an event, and does not wait.
#[must_use]
pub fn counts_child(state: State, started_at: Option<Timestamp>, children: Option<&Children>) -> bool {
    !state.is_finished() && (started_at.is_some() || (state == State::Blocked && children.is_some()))
}

/// What an imported job is to the parent that has its parent's id where it is imported. The parent counted the job where both come from,
/// but the one that is there may be another job, or have been exported before the child was enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedChild {
    /// It is among the parent's unfinished children already: one that the parent was imported with and that had not come yet.
    Expected,
    /// It joins the children, as a new job does.
    Joins,
    /// It has ended. The parent's counts stay as they are, and count it where it is [retried](uncount_end).
    Ended,
    /// The parent does not count it, as it would not count a new job.
    Apart,
}

/// Decides what an imported job is to its parent, of whose unfinished children `expected` are still to be imported.
#[must_use]
pub fn imported_child(
    child: State,
    parent: State,
    started_at: Option<Timestamp>,
    children: Option<&Children>,
    expected: u64,
) -> ImportedChild {
    match (child.is_finished(), expected) {
        (true, _) if children.is_some() => ImportedChild::Ended,
        (true, _) => ImportedChild::Apart,
        (false, 0) if counts_child(parent, started_at, children) => ImportedChild::Joins,
        (false, 0) => ImportedChild::Apart,
        (false, _) => ImportedChild::Expected,
    }
}

/// Counts a child that has ended.
pub fn count_end(children: &mut Children, outcome: State) {
    *counter(children, outcome) += 1;
}

/// Counts a child as unfinished that had ended with `outcome` and is run again. One that was [imported](ImportedChild::Ended) as ended may
/// be missing from the counts, and joins them: a parent that waits is to wait for it in either case.
pub fn uncount_end(children: &mut Children, outcome: State) {
    match counter(children, outcome) {
        0 => children.total += 1,
        ended => *ended -= 1,
    }
}

fn counter(children: &mut Children, outcome: State) -> &mut u64 {
    match outcome {
        State::Completed => &mut children.completed,
        State::Failed => &mut children.failed,
        _ => &mut children.cancelled,
    }
}

/// The state of a job that waits for its children: it is freed by the end of the last one.
#[must_use]
pub fn freed(children: &Children) -> State {
    if children.unfinished() == 0 { State::Available } else { State::Blocked }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn children_are_counted_by_parents_that_wait_or_have_begun() {
        let none = Children::default();
        for state in State::ALL {
            let is_unfinished = !state.is_finished();
            assert_eq!(counts_child(state, Some(NOW), None), is_unfinished, "{state}");
            assert!(!counts_child(state, None, None), "{state}");
            assert_eq!(counts_child(state, None, Some(&none)), state == State::Blocked, "{state}");
        }
    }

    #[test]
    fn an_imported_child_is_counted_once() {
        let (some, begun) = (Children { total: 1, ..Children::default() }, Some(NOW));
        let child =
            |child, parent, children, expected| imported_child(child, parent, begun, children, expected);
        let (waits, runs, ended) = (State::Available, State::Running, State::Completed);
        assert_eq!(child(waits, runs, Some(&some), 1), ImportedChild::Expected);
        assert_eq!(
            child(waits, ended, Some(&some), 1),
            ImportedChild::Expected,
            "its end is counted all the same"
        );
        assert_eq!(child(waits, runs, Some(&some), 0), ImportedChild::Joins);
        assert_eq!(child(waits, runs, None, 0), ImportedChild::Joins);
        assert_eq!(child(waits, ended, Some(&some), 0), ImportedChild::Apart);
        assert_eq!(child(ended, runs, Some(&some), 1), ImportedChild::Ended);
        assert_eq!(child(ended, runs, None, 0), ImportedChild::Apart);
    }

    #[test]
    fn a_child_that_runs_again_is_unfinished_whether_its_end_was_counted_or_not() {
        for outcome in [State::Completed, State::Failed, State::Cancelled] {
            let mut children = Children { total: 3, completed: 1, failed: 0, cancelled: 0 };
            let before = children.unfinished();
            uncount_end(&mut children, outcome);
            assert_eq!(children.unfinished(), before + 1, "{outcome}");
            count_end(&mut children, outcome);
            assert_eq!(children.unfinished(), before, "{outcome}");
        }
    }
}
