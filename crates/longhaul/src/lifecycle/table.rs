//! The transitions of [`lifecycle`](super), as a table for people and for tests that walk it.

use std::time::Duration;

use super::unique::{self, Clash, Holder};
use super::waiting::{self, Admission, Bound};
use super::{
    Deed, End, Run, Times, act, crash, dependency_ends, fence, finish, freed, start, take_back, undepend,
    wait_until,
};
use crate::clock::Timestamp;
use crate::model::{
    Action, AttemptError, CancelReason, Children, ErrorKind, Json, NewJob, OnClash, OnFailure, OnFull,
    Outcome, Start, State, Unique, WaitsFor,
};

/// One way from one state to another; `None` is no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: Option<State>,
    /// The event.
    pub by: &'static str,
    /// Its state.
    pub to: Option<State>,
    /// The cause of the event.
    pub who: &'static str,
}

/// An event, and what the rules make of a job in a state; `None` where they do not look at jobs in that state.
struct Event {
    by: &'static str,
    who: &'static str,
    to: fn(Option<State>) -> Option<Option<State>>,
}

const NOW: Timestamp = Timestamp(0);
const LATER: Duration = Duration::from_secs(60);
const RUN: Run = Run {
    attempt: 1,
    crashes: 0,
    max_crashes: 5,
    interruptions: 0,
    cancel_requested: false,
    cancel_reason: None,
    run_at: NOW,
};
const ASKED: Run = Run { cancel_requested: true, ..RUN };
const CANCELLED: Option<State> = Some(State::Cancelled);
const WORKER: &str = "the worker that holds the lease";
const OUTSIDE: &str = "a person or a program, from outside";
const ENQUEUER: &str = "whoever enqueues; a completing job, for its follow-ups";

const EVENTS: &[Event] = &[
    Event { by: "enqueue", who: ENQUEUER, to: |from| enqueue(from, Start::Now) },
    Event { by: "enqueue with a delay", who: ENQUEUER, to: |from| enqueue(from, Start::After(LATER)) },
    Event {
        by: "enqueue to start after its children",
        who: ENQUEUER,
        to: |from| enqueue(from, Start::AfterChildren),
    },
    Event {
        by: "enqueue to start after no children",
        who: "the same; there is nothing to wait for",
        to: |from| from.is_none().then(|| Some(freed(&Children::default()))),
    },
    Event {
        by: "enqueue, dropped as the newest",
        who: "whoever enqueues, where the queue or a limit key is full and drops the newest",
        to: |from| {
            (from.is_none() && drops(OnFull::DropNewest) == Admission::DropNewest).then_some(CANCELLED)
        },
    },
    Event {
        by: "dropped as the oldest",
        who: "whoever enqueues, where the queue or a limit key is full and drops the oldest",
        to: |from| {
            let is_counted = from.is_some_and(waiting::counts);
            (is_counted && drops(OnFull::DropOldest) == Admission::DropOldest).then_some(CANCELLED)
        },
    },
    Event {
        by: "superseded",
        who: "whoever enqueues another job of its unique key that supersedes it; a running one is asked to stop",
        to: |from| {
            let is_met = meets(from?, OnClash::Supersede, Start::Now) == Clash::Supersede;
            (is_met && from != Some(State::Running)).then_some(CANCELLED)
        },
    },
    Event {
        by: "replaced by one that is due",
        who: "whoever enqueues another job of its unique key that replaces it",
        to: |from| replaced(from?, Start::Now),
    },
    Event {
        by: "replaced by one with a delay",
        who: "the same",
        to: |from| replaced(from?, Start::After(LATER)),
    },
    Event {
        by: "enqueue with dependencies",
        who: ENQUEUER,
        to: |from| from.is_none().then_some(Some(State::Blocked)),
    },
    Event {
        by: "enqueue when a dependency has failed",
        who: "the same; those that depend on it are cancelled, too",
        to: |from| from.is_none().then(|| Some(depended(State::Failed, NOW))),
    },
    Event {
        by: "enqueue when all dependencies have ended",
        who: ENQUEUER,
        to: |from| from.is_none().then(|| Some(depended(State::Completed, NOW))),
    },
    Event {
        by: "the last dependency ends",
        who: "whoever ends that job; where very many wait for it, a claim or a sweep soon after",
        to: |from| (from == Some(State::Blocked)).then(|| Some(depended(State::Completed, NOW))),
    },
    Event {
        by: "the last dependency ends while it is not due",
        who: "the same",
        to: |from| (from == Some(State::Blocked)).then(|| Some(depended(State::Completed, NOW.plus(LATER)))),
    },
    Event {
        by: "a dependency fails",
        who: "the same, where the job was not enqueued to run after any end",
        to: |from| (from == Some(State::Blocked)).then(|| Some(depended(State::Failed, NOW))),
    },
    Event {
        by: "the signal comes",
        who: OUTSIDE,
        to: |from| (from == Some(State::Blocked)).then(|| Some(wait_until(NOW, NOW).0)),
    },
    Event {
        by: "sweep when the wait is over",
        who: "any process with a worker or maintenance; a wait for a signal or children was given a timeout",
        to: |from| (from == Some(State::Blocked)).then(|| Some(wait_until(NOW, NOW).0)),
    },
    Event {
        by: "claim when the wait is over",
        who: "a worker with a free slot, which need not wait for a sweep",
        to: |from| (from == Some(State::Blocked)).then_some(Some(State::Running)),
    },
    Event {
        by: "the last child ends",
        who: "whoever ends that child: a worker, a sweep, or a cancel",
        to: |from| {
            let children = Children { total: 1, completed: 1, ..Children::default() };
            (from == Some(State::Blocked)).then(|| Some(freed(&children)))
        },
    },
    Event {
        by: "sweep when due",
        who: "any process with a worker or maintenance",
        to: |from| (from == Some(State::Scheduled)).then(|| Some(wait_until(NOW, NOW).0)),
    },
    Event {
        by: "claim when due",
        who: "a worker with a free slot, which need not wait for a sweep",
        to: |from| (from == Some(State::Scheduled)).then_some(Some(State::Running)),
    },
    Event {
        by: "claim",
        who: "a worker with a free slot",
        to: |from| (from == Some(State::Available)).then_some(Some(State::Running)),
    },
    Event { by: "cancel", who: OUTSIDE, to: |from| outside(from, Action::cancel(LATER)) },
    Event { by: "finish: completed", who: WORKER, to: |from| ends(from, RUN, completed()) },
    Event {
        by: "finish: retry",
        who: "the worker that holds the lease, where an attempt is left",
        to: |from| ends(from, RUN, retry()),
    },
    Event {
        by: "finish: failed",
        who: "the worker that holds the lease, where none is left or the error is fatal",
        to: |from| ends(from, RUN, Outcome::Failed { error: error() }),
    },
    Event { by: "finish: cancelled", who: WORKER, to: |from| ends(from, RUN, cancelled()) },
    Event {
        by: "finish: snoozed",
        who: "the worker that holds the lease; no attempt is used",
        to: |from| ends(from, RUN, Outcome::Snoozed { delay: LATER }),
    },
    Event {
        by: "finish: rate limited",
        who: "the worker that holds the lease; no attempt is used, and its first limit key is paused",
        to: |from| ends(from, RUN, Outcome::RateLimited { delay: LATER }),
    },
    Event {
        by: "finish: released",
        who: "the worker that holds the lease, when it shuts down; no attempt is used",
        to: |from| ends(from, RUN, Outcome::Released),
    },
    Event {
        by: "finish: waits for a signal",
        who: "the worker that holds the lease; no attempt is used",
        to: |from| ends(from, RUN, waits(WaitsFor::Signal("approve".into()))),
    },
    Event {
        by: "finish: waits for a signal when it has come",
        who: "the same",
        to: |from| ends(from, RUN, Outcome::Snoozed { delay: Duration::ZERO }),
    },
    Event {
        by: "finish: waits for children",
        who: "the worker that holds the lease; no attempt is used",
        to: |from| ends(from, RUN, waits(WaitsFor::Children)),
    },
    Event {
        by: "finish: waits for children when all have ended",
        who: "the same",
        to: |from| ends(from, RUN, Outcome::Snoozed { delay: Duration::ZERO }),
    },
    Event {
        by: "finish: waits for a person",
        who: "the worker that holds the lease, where no attempt is left and the job is to pause then",
        to: |from| ends(from, RUN, waits(WaitsFor::Person)),
    },
    Event {
        by: "finish: waits for a signal after cancel",
        who: "the worker that holds the lease; what was asked to stop does not go on",
        to: |from| ends(from, ASKED, waits(WaitsFor::Signal("approve".into()))),
    },
    Event {
        by: "finish: retry after cancel",
        who: "the worker that holds the lease; what was asked to stop is not tried again",
        to: |from| ends(from, ASKED, retry()),
    },
    Event {
        by: "finish: snoozed after cancel",
        who: "the same",
        to: |from| ends(from, ASKED, Outcome::Snoozed { delay: LATER }),
    },
    Event {
        by: "finish: rate limited after cancel",
        who: "the same; its first limit key is paused all the same",
        to: |from| ends(from, ASKED, Outcome::RateLimited { delay: LATER }),
    },
    Event {
        by: "finish: released after cancel",
        who: "the same, when it shuts down",
        to: |from| ends(from, ASKED, Outcome::Released),
    },
    Event {
        by: "finish: completed after cancel",
        who: "the worker that holds the lease; it was done before it could stop",
        to: |from| ends(from, ASKED, completed()),
    },
    Event {
        by: "claim taken back",
        who: "the store, where the claim's answer reached nobody",
        to: |from| (from == Some(State::Running)).then(|| Some(take_back(&RUN, NOW).state)),
    },
    Event {
        by: "claim taken back after cancel",
        who: "the same",
        to: |from| (from == Some(State::Running)).then(|| Some(take_back(&ASKED, NOW).state)),
    },
    Event {
        by: "sweep after the lease",
        who: "any sweeper, when the worker was not heard of; a crash is counted",
        to: |from| crashes(from, RUN),
    },
    Event {
        by: "sweep after the lease, too many crashes",
        who: "any sweeper; the job is poison",
        to: |from| crashes(from, Run { max_crashes: 0, ..RUN }),
    },
    Event { by: "sweep after the lease and cancel", who: "any sweeper", to: |from| crashes(from, ASKED) },
    Event {
        by: "sweep after cancel and its grace",
        who: "any sweeper; the worker is fenced off",
        to: |from| (from == Some(State::Running)).then(|| Some(fence(&ASKED, NOW).state)),
    },
    Event {
        by: "sweep after its expiry",
        who: "any sweeper, where it was never started",
        to: |from| over(from?, Times { expires_at: Some(NOW), deadline: None }),
    },
    Event {
        by: "sweep after its deadline",
        who: "any sweeper; a running one is asked to stop, unless its worker cuts it off before",
        to: |from| over(from?, Times { expires_at: None, deadline: Some(NOW) }),
    },
    Event { by: "retry", who: OUTSIDE, to: |from| outside(from, Action::Retry) },
    Event {
        by: "retry from a step",
        who: OUTSIDE,
        to: |from| outside(from, Action::RetryFrom { step: "ocr".into(), args: None }),
    },
    Event {
        by: "retry while it waits for a person",
        who: OUTSIDE,
        to: |from| {
            (from == Some(State::Blocked))
                .then(|| after(from, act(State::Blocked, Some(&WaitsFor::Person), &Action::Retry)))
        },
    },
    Event { by: "delete", who: OUTSIDE, to: |from| outside(from, Action::Delete) },
    Event {
        by: "sweep after its retention",
        who: "any sweeper",
        to: |from| from.filter(|state| state.is_finished()).map(|_| None),
    },
];

fn enqueue(from: Option<State>, start: Start) -> Option<Option<State>> {
    from.is_none().then(|| Some(self::start(start, NOW).0))
}

fn drops(on_full: OnFull) -> Admission {
    waiting::admission(&[Bound { waiting: 1, max_waiting: 1, on_full }])
}

/// The fate of a job whose unique key one in this state holds.
fn meets(holder: State, on_clash: OnClash, start: Start) -> Clash {
    let unique = Unique { on_clash, ..Unique::new("key") };
    let job = NewJob { start, ..NewJob::new("kind", Json::null()) };
    let holder = Holder {
        kind: "kind",
        state: holder,
        run_at: NOW.plus(LATER),
        created_at: NOW,
        started_at: None,
        held_until: None,
    };
    unique::clash(&job, &unique, &holder, NOW)
}

fn replaced(holder: State, start: Start) -> Option<Option<State>> {
    match meets(holder, OnClash::Replace, start) {
        Clash::Replace(state, _) if state != holder => Some(Some(state)),
        _ => None,
    }
}

/// A job that waits, and whose time is over.
fn over(from: State, times: Times) -> Option<Option<State>> {
    let waits = matches!(from, State::Blocked | State::Scheduled | State::Available);
    (waits && times.over(None, NOW).is_some()).then_some(CANCELLED)
}

/// The state of a job after the end of its only dependency; it may run from `run_at` on.
fn depended(ended: State, run_at: Timestamp) -> State {
    match dependency_ends(ended, OnFailure::Cancel) {
        End::Counts => undepend(run_at, None, NOW).0,
        End::Cancels => State::Cancelled,
    }
}

fn outside(from: Option<State>, action: Action) -> Option<Option<State>> {
    let deed = act(from?, None, &action);
    let leaves = !matches!(deed, Deed::Nothing | Deed::AskToStop(..) | Deed::SetPriority(_));
    leaves.then(|| after(from, deed))
}

fn after(from: Option<State>, deed: Deed) -> Option<State> {
    match deed {
        Deed::Nothing | Deed::AskToStop(..) | Deed::SetPriority(_) => from,
        Deed::Cancel(_) => Some(State::Cancelled),
        Deed::StartAnew | Deed::StartFromStep => Some(State::Available),
        Deed::Remove => None,
    }
}

fn ends(from: Option<State>, run: Run, outcome: Outcome) -> Option<Option<State>> {
    (from == Some(State::Running)).then(|| Some(finish(&run, &outcome, NOW).state))
}

fn crashes(from: Option<State>, run: Run) -> Option<Option<State>> {
    (from == Some(State::Running)).then(|| Some(crash(&run, NOW).state))
}

fn completed() -> Outcome {
    Outcome::Completed { output: Json::null() }
}

fn cancelled() -> Outcome {
    Outcome::Cancelled { reason: String::new(), cancel_reason: CancelReason::Asked }
}

fn waits(on: WaitsFor) -> Outcome {
    Outcome::Waits { on, timeout: None, error: None }
}

fn retry() -> Outcome {
    Outcome::Retry { error: error(), delay: LATER }
}

fn error() -> AttemptError {
    AttemptError::new(ErrorKind::Error, String::new())
}

/// Every transition, by the state that it leaves.
#[must_use]
pub fn transitions() -> Vec<Transition> {
    let states = std::iter::once(None).chain(State::ALL.map(Some));
    let of = |from| {
        EVENTS.iter().filter_map(move |event| {
            let to = (event.to)(from)?;
            Some(Transition { from, by: event.by, to, who: event.who })
        })
    };
    states.flat_map(of).collect()
}

/// The transitions as the table of `docs/states.md`.
#[must_use]
pub fn table() -> String {
    let word = |state: Option<State>| state.map_or("none", State::as_str);
    let row = |t: &Transition| format!("| {} | {} | {} | {} |\n", word(t.from), t.by, word(t.to), t.who);
    let rows: String = transitions().iter().map(row).collect();
    format!("| from | by | to | who |\n|---|---|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.md");

    /// Set to write the page anew instead of comparing it.
    const UPDATE: &str = "LONGHAUL_UPDATE_DOCS";

    #[test]
    fn the_page_of_states_has_this_table() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let begin = page.find("| from | by |").unwrap();
        let end = begin + page[begin..].find("\n\n").unwrap() + 1;
        let wanted = format!("{}{}{}", &page[..begin], table(), &page[end..]);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(PAGE, &wanted).unwrap();
        }
        let page = std::fs::read_to_string(PAGE).unwrap();
        assert!(page == wanted, "docs/states.md is older than lifecycle: run this test with {UPDATE}=1");
    }

    #[test]
    fn every_state_is_reached_and_left() {
        let transitions = transitions();
        for state in State::ALL {
            assert!(transitions.iter().any(|t| t.to == Some(state)), "something leads to {state}");
            assert!(transitions.iter().any(|t| t.from == Some(state)), "something leads away from {state}");
        }
    }
}
