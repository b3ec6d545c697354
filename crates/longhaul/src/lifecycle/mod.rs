//! The state machine of a job, as pure functions of plain data: each event and the state that follows. No clock, no I/O.
//!
//! Memory, SQLite and Postgres call these functions; the Redis store's scripts repeat them, because a finish and its
//! follow-ups are one round trip there. The conformance suite compares every store with this module, event by event, and
//! `docs/states.md` is made of [`transitions`].

mod ancestors;
mod children;
mod dependencies;
pub mod limits;
pub mod prefer;
mod stand_ins;
mod table;
mod times;
pub mod unique;
pub mod waiting;

pub use ancestors::{ANCESTORS_LOOKED_AT, nearest_ancestor};
pub use children::{ImportedChild, count_end, counts_child, freed, imported_child, uncount_end};
pub use dependencies::{
    End, RefusedDependency, Standing, dependency_ends, once_each, refused_dependency, undepend,
};
pub use stand_ins::StandIns;
pub use table::{Transition, table, transitions};
pub use times::Times;

use std::time::Duration;

use crate::clock::{Timestamp, millis};
use crate::model::{Action, AttemptError, CancelReason, ErrorKind, Outcome, Start, State, WaitsFor};
use crate::store::PRIORITY_STEP;

/// The facts of a running job that the rules look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The number of the present attempt, from 1.
    pub attempt: u32,
    /// Workers that died under the job.
    pub crashes: u32,
    /// Crashes that it survives.
    pub max_crashes: u32,
    /// Workers that gave it back because they were shutting down.
    pub interruptions: u32,
    /// True once a cancellation was requested.
    pub cancel_requested: bool,
    /// The reason of that request.
    pub cancel_reason: Option<CancelReason>,
    /// The time at which it fell due. Its position in the queue counts from here.
    pub run_at: Timestamp,
}

/// The job after a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its state.
    pub state: State,
    /// The earliest time of its next run; unchanged for a job that keeps its position and for one that has ended.
    pub run_at: Timestamp,
    /// Attempts that count.
    pub attempt: u32,
    /// Workers that died under it.
    pub crashes: u32,
    /// Workers that gave it back because they were shutting down.
    pub interruptions: u32,
    /// The reason of its cancellation, in state `cancelled`.
    pub cancel_reason: Option<CancelReason>,
    /// An error that is appended to its history of failures.
    pub error: Option<AttemptError>,
    /// The token of the run: kept or forgotten.
    pub token: Token,
    /// The outputs of its steps: kept or forgotten.
    pub steps: Steps,
    /// The event that a blocked job waits for.
    pub waits_for: Option<WaitsFor>,
    /// The timeout of that wait.
    pub wakes_at: Option<Timestamp>,
}

/// The fate of a token once its run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// It stays with the job, because a finish with it ended the job: when the same finish is sent again because its
    /// answer was lost, the answer is `Held` and nothing changes.
    Kept,
    /// It is forgotten: a later call with it is answered `Lost`.
    Cleared,
}

/// The fate of the outputs of a job's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// A later attempt gets them back.
    Kept,
    /// A completed job that is retried by hand begins from nothing.
    Forgotten,
}

/// Ends a run with the outcome that its worker reports. A job that was asked to stop and would run again is cancelled
/// instead; a completion stands.
///
/// A [rate limited](Outcome::RateLimited) run is treated as a snooze by its delay: a store that finds a longer pause of
/// the job's limit key passes the longer delay. A run that [waits](Outcome::Waits) is taken to wait for something that has not
/// come: a store that finds the signal among the job's steps, those of this finish among them, or no unfinished child, passes a
/// snooze of no delay.
#[must_use]
pub fn finish(run: &Run, outcome: &Outcome, now: Timestamp) -> Next {
    match outcome {
        Outcome::Completed { .. } => {
            Next { steps: Steps::Forgotten, ..run.ends(State::Completed, None, now) }
        }
        Outcome::Failed { error } => run.ends(State::Failed, Some(error.clone()), now),
        Outcome::Cancelled { reason, cancel_reason } => Next {
            cancel_reason: Some(if run.cancel_requested { run.reason() } else { *cancel_reason }),
            ..run.ends(State::Cancelled, Some(AttemptError::new(ErrorKind::Cancelled, reason.clone())), now)
        },
        Outcome::Retry { error, .. } if run.cancel_requested => {
            run.ends(State::Cancelled, Some(error.clone()), now)
        }
        Outcome::Retry { error, delay } => {
            let (state, run_at) = wait_until(now.plus(*delay), now);
            run.leaves(state, run_at, run.attempt, Some(error.clone()), now)
        }
        Outcome::Waits { error: Some(error), .. } if run.cancel_requested => {
            run.ends(State::Cancelled, Some(error.clone()), now)
        }
        _ if run.cancel_requested => run.ends(State::Cancelled, Some(AttemptError::cancelled()), now),
        Outcome::Snoozed { delay } | Outcome::RateLimited { delay } => {
            let (state, run_at) = wait_until(now.plus(*delay), now);
            run.leaves(state, run_at, run.attempt.saturating_sub(1), None, now)
        }
        // It keeps its `run_at`, and with it its place: what was begun goes before what was not.
        Outcome::Released => Next {
            interruptions: run.interruptions.saturating_add(1),
            ..run.leaves(State::Available, run.run_at, run.attempt.saturating_sub(1), None, now)
        },
        Outcome::Waits { on: on @ WaitsFor::Person, error, .. } => Next {
            waits_for: Some(on.clone()),
            ..run.leaves(State::Blocked, now, run.attempt, error.clone(), now)
        },
        Outcome::Waits { on, timeout, .. } => {
            let wakes_at = timeout.map(|timeout| now.plus(timeout).min(Timestamp::MAX));
            Next {
                waits_for: Some(on.clone()),
                wakes_at,
                ..run.leaves(
                    State::Blocked,
                    wakes_at.unwrap_or(now),
                    run.attempt.saturating_sub(1),
                    None,
                    now,
                )
            }
        }
    }
}

/// Reclaims a job from a worker that has missed its heartbeats. Costs a crash and no attempt; the job keeps its
/// position.
#[must_use]
pub fn crash(run: &Run, now: Timestamp) -> Next {
    let crashes = run.crashes.saturating_add(1);
    let state = match () {
        () if run.cancel_requested => State::Cancelled,
        () if crashes > run.max_crashes => State::Failed,
        () => State::Available,
    };
    let error = AttemptError::crash(crashes, run.max_crashes);
    Next { crashes, ..run.leaves(state, run.run_at, run.attempt.saturating_sub(1), Some(error), now) }
}

/// Ends a job that did not stop within its grace after it was asked to.
#[must_use]
pub fn fence(run: &Run, now: Timestamp) -> Next {
    run.leaves(State::Cancelled, run.run_at, run.attempt, Some(AttemptError::fenced()), now)
}

/// Reverts a claim whose answer was not delivered, so that nothing has run. The job keeps its position and its counts;
/// if it was asked to stop meanwhile, it is cancelled.
#[must_use]
pub fn take_back(run: &Run, now: Timestamp) -> Next {
    let attempt = run.attempt.saturating_sub(1);
    match run.cancel_requested {
        true => run.leaves(State::Cancelled, run.run_at, attempt, Some(AttemptError::cancelled()), now),
        false => run.leaves(State::Available, run.run_at, attempt, None, now),
    }
}

/// Ends a job whose stored form cannot be read, so that no claim takes it again.
#[must_use]
pub fn unreadable(run: &Run, reason: &str, now: Timestamp) -> Next {
    let error = AttemptError::new(ErrorKind::Fatal, format!("failed to read the stored job: {reason}"));
    run.leaves(State::Failed, run.run_at, run.attempt, Some(error), now)
}

impl Run {
    /// The reason of the request to stop; the default for a job of an earlier release, which stored none.
    fn reason(&self) -> CancelReason {
        self.cancel_reason.unwrap_or_default()
    }

    /// The job ends by this run's own finish.
    fn ends(&self, state: State, error: Option<AttemptError>, now: Timestamp) -> Next {
        Next { token: Token::Kept, ..self.leaves(state, self.run_at, self.attempt, error, now) }
    }

    fn leaves(
        &self,
        state: State,
        run_at: Timestamp,
        attempt: u32,
        error: Option<AttemptError>,
        now: Timestamp,
    ) -> Next {
        Next {
            state,
            run_at,
            attempt,
            crashes: self.crashes,
            interruptions: self.interruptions,
            cancel_reason: (state == State::Cancelled).then(|| self.reason()),
            error: error.map(|error| AttemptError { attempt: self.attempt, at: now, ..error }),
            token: Token::Cleared,
            steps: Steps::Kept,
            waits_for: None,
            wakes_at: None,
        }
    }
}

/// The state of a new job, and the moment from which it may run. One with [dependencies](crate::NewJob::depends_on) that have
/// not ended is blocked all the same, and keeps the moment.
#[must_use]
pub fn start(start: Start, now: Timestamp) -> (State, Timestamp) {
    match start {
        Start::Now => (State::Available, now),
        Start::AfterChildren => (State::Blocked, now),
        Start::After(delay) => wait_until(now.plus(delay), now),
        Start::At(at) => wait_until(at, now),
    }
}

/// The state and the `run_at` of a job that is to run at `at`. `run_at` is at least `now`, because the position in the
/// queue counts from it, and at most [`Timestamp::MAX`].
#[must_use]
pub fn wait_until(at: Timestamp, now: Timestamp) -> (State, Timestamp) {
    let state = if at > now { State::Scheduled } else { State::Available };
    (state, at.clamp(now, Timestamp::MAX.max(now)))
}

/// The end of the pause that a rate limited run puts on its limit key: a shorter pause does not shorten a longer one.
#[must_use]
pub fn pause_until(delay: Duration, paused_until: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let until = now.plus(delay).min(Timestamp::MAX);
    paused_until.map_or(until, |earlier| earlier.max(until))
}

/// The effects of an [`Action`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The action does not apply.
    Nothing,
    /// The job runs and is asked to stop; it is fenced off when the grace is over.
    AskToStop(Duration, CancelReason),
    /// The job ends as cancelled.
    Cancel(CancelReason),
    /// The job starts anew, with all its attempts. Its errors stay as history, and so do the steps of one that has not
    /// completed and gets no other args. Refused where another job holds its unique key. It waits for no dependency again.
    StartAnew,
    /// The same, but the steps before the one that the action names stay, and that one and those after it are forgotten.
    /// Refused where the job has no such step.
    StartFromStep,
    /// The job is removed.
    Remove,
    /// The job has another priority, and where it waits another place.
    SetPriority(i32),
}

/// The effect of an action from outside on a job in `state`, which waits for `waits_for` where it is blocked. A job that waits for
/// a person may be run again as one that has failed.
#[must_use]
pub fn act(state: State, waits_for: Option<&WaitsFor>, action: &Action) -> Deed {
    let is_exhausted = state == State::Blocked && waits_for == Some(&WaitsFor::Person);
    match (action, state) {
        (Action::Cancel { grace, reason }, State::Running) => Deed::AskToStop(*grace, *reason),
        (Action::Cancel { reason, .. }, State::Blocked | State::Scheduled | State::Available) => {
            Deed::Cancel(*reason)
        }
        (Action::Retry | Action::RetryWith { .. }, state) if state.is_finished() || is_exhausted => {
            Deed::StartAnew
        }
        (Action::RetryFrom { .. }, State::Failed | State::Cancelled) => Deed::StartFromStep,
        (Action::RetryFrom { .. }, _) if is_exhausted => Deed::StartFromStep,
        (Action::Delete, state) if state.is_finished() => Deed::Remove,
        (Action::SetPriority { priority }, state) if !state.is_finished() => Deed::SetPriority(*priority),
        _ => Deed::Nothing,
    }
}

/// The time at which a job that is asked to stop loses its lease. A second request may shorten the grace and not
/// lengthen it:
/// `None` if it would not end sooner, and the job stays unchanged.
#[must_use]
pub fn cancel_by(earlier: Option<Timestamp>, grace: Duration, now: Timestamp) -> Option<Timestamp> {
    let by = now.plus(grace).min(Timestamp::MAX);
    earlier.is_none_or(|earlier| by < earlier).then_some(by)
}

/// The place of a job among the available jobs of its queue: lower goes first. A step of priority is a head start of one
/// [`PRIORITY_STEP`], so that a job of low priority is overtaken for a bounded time only.
#[must_use]
pub fn rank(run_at: Timestamp, priority: i32) -> i64 {
    run_at.0.saturating_sub(i64::from(priority).saturating_mul(millis(PRIORITY_STEP)))
}

/// The event numbers that a change to `state` takes: a completion has its output's and its state's.
#[must_use]
pub const fn events_of(state: State) -> u64 {
    if matches!(state, State::Completed) { 2 } else { 1 }
}

/// The event number of the [gap](crate::EventBody::Gap) that ends with entry `gap`, the newest that has left the log.
/// It is below the number of the present state, which comes next.
#[must_use]
pub const fn gap_event(gap: u64) -> Option<u64> {
    if gap > 1 { Some(gap - 1) } else { None }
}

/// The event number of the present state, which was entered at `state_event`. If the log has lost later entries, the
/// state takes the number of the last lost one, or else it would come before the gap.
#[must_use]
pub const fn state_event(state_event: u64, gap: u64) -> u64 {
    if state_event < gap { gap } else { state_event }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Json;

    const NOW: Timestamp = Timestamp(1_000_000);
    const RUN: Run = Run {
        attempt: 2,
        crashes: 1,
        max_crashes: 5,
        interruptions: 3,
        cancel_requested: false,
        cancel_reason: None,
        run_at: Timestamp(900_000),
    };
    const ASKED: Run = Run { cancel_requested: true, cancel_reason: Some(CancelReason::Superseded), ..RUN };
    const MINUTE: Duration = Duration::from_secs(60);

    fn error() -> AttemptError {
        AttemptError::new(ErrorKind::Error, "no")
    }

    /// The error as the history keeps it.
    fn kept(error: AttemptError) -> Option<AttemptError> {
        Some(AttemptError { attempt: RUN.attempt, at: NOW, ..error })
    }

    /// All that a run leaves as it was.
    fn ended(state: State) -> Next {
        Next {
            state,
            run_at: RUN.run_at,
            attempt: RUN.attempt,
            crashes: RUN.crashes,
            interruptions: RUN.interruptions,
            cancel_reason: (state == State::Cancelled).then_some(CancelReason::Superseded),
            error: None,
            token: Token::Kept,
            steps: Steps::Kept,
            waits_for: None,
            wakes_at: None,
        }
    }

    fn left(state: State) -> Next {
        Next { token: Token::Cleared, ..ended(state) }
    }

    #[test]
    fn a_completion_ends_the_job_and_stands_after_a_cancel() {
        let outcome = Outcome::Completed { output: Json::null() };
        let completed = Next { steps: Steps::Forgotten, ..ended(State::Completed) };
        assert_eq!(finish(&RUN, &outcome, NOW), completed);
        assert_eq!(finish(&ASKED, &outcome, NOW), completed);
    }

    #[test]
    fn a_failure_and_a_cancel_end_the_job() {
        let failed = Next { error: kept(error()), ..ended(State::Failed) };
        assert_eq!(finish(&RUN, &Outcome::Failed { error: error() }, NOW), failed);
        let reason = AttemptError::new(ErrorKind::Cancelled, "why");
        let cancelled = Next { error: kept(reason), ..ended(State::Cancelled) };
        let outcome = |cancel_reason| Outcome::Cancelled { reason: "why".into(), cancel_reason };
        for reason in [CancelReason::Asked, CancelReason::Deadline] {
            let by_itself = Next { cancel_reason: Some(reason), ..cancelled.clone() };
            assert_eq!(finish(&RUN, &outcome(reason), NOW), by_itself);
            assert_eq!(finish(&ASKED, &outcome(reason), NOW), cancelled, "what it was asked for goes first");
        }
        let of_an_earlier_release = Run { cancel_reason: None, ..ASKED };
        let asked = finish(&of_an_earlier_release, &Outcome::Released, NOW);
        assert_eq!(asked.cancel_reason, Some(CancelReason::Asked));
    }

    #[test]
    fn a_retry_waits_and_counts_and_a_cancel_ends_it_instead() {
        let outcome = Outcome::Retry { error: error(), delay: MINUTE };
        let waits = Next { run_at: NOW.plus(MINUTE), error: kept(error()), ..left(State::Scheduled) };
        assert_eq!(finish(&RUN, &outcome, NOW), waits);
        let cancelled = Next { error: kept(error()), ..ended(State::Cancelled) };
        assert_eq!(finish(&ASKED, &outcome, NOW), cancelled);
        let at_once = Outcome::Retry { error: error(), delay: Duration::ZERO };
        let available = Next { run_at: NOW, error: kept(error()), ..left(State::Available) };
        assert_eq!(finish(&RUN, &at_once, NOW), available);
    }

    #[test]
    fn a_snooze_a_limit_and_a_release_cost_no_attempt_and_a_cancel_ends_them_instead() {
        let back = |state| Next { attempt: 1, ..left(state) };
        let waits = Next { run_at: NOW.plus(MINUTE), ..back(State::Scheduled) };
        let released = Next { interruptions: 4, ..back(State::Available) };
        let cases = [
            (Outcome::Snoozed { delay: MINUTE }, waits.clone()),
            (Outcome::RateLimited { delay: MINUTE }, waits),
            (Outcome::Released, released),
        ];
        for (outcome, next) in cases {
            assert_eq!(finish(&RUN, &outcome, NOW), next);
            let cancelled = Next { error: kept(AttemptError::cancelled()), ..ended(State::Cancelled) };
            assert_eq!(finish(&ASKED, &outcome, NOW), cancelled);
        }
    }

    #[test]
    fn a_wait_for_a_signal_or_children_costs_no_attempt_and_ends_after_its_timeout() {
        for on in [WaitsFor::Children, WaitsFor::Signal("approve".into())] {
            let waits = |timeout| Outcome::Waits { on: on.clone(), timeout, error: None };
            let blocked = |run_at, wakes_at| Next {
                attempt: 1,
                run_at,
                wakes_at,
                waits_for: Some(on.clone()),
                ..left(State::Blocked)
            };
            assert_eq!(finish(&RUN, &waits(None), NOW), blocked(NOW, None));
            let wakes_at = NOW.plus(MINUTE);
            assert_eq!(finish(&RUN, &waits(Some(MINUTE)), NOW), blocked(wakes_at, Some(wakes_at)));
            let never = Some(Timestamp::MAX);
            assert_eq!(finish(&RUN, &waits(Some(Duration::MAX)), NOW), blocked(Timestamp::MAX, never));
            let cancelled = Next { error: kept(AttemptError::cancelled()), ..ended(State::Cancelled) };
            assert_eq!(finish(&ASKED, &waits(None), NOW), cancelled);
        }
    }

    #[test]
    fn a_wait_for_a_person_keeps_the_attempt_and_the_error() {
        let waits = Outcome::Waits { on: WaitsFor::Person, timeout: Some(MINUTE), error: Some(error()) };
        let blocked = Next {
            run_at: NOW,
            error: kept(error()),
            waits_for: Some(WaitsFor::Person),
            ..left(State::Blocked)
        };
        assert_eq!(finish(&RUN, &waits, NOW), blocked);
        let cancelled = Next { error: kept(error()), ..ended(State::Cancelled) };
        assert_eq!(finish(&ASKED, &waits, NOW), cancelled);
    }

    #[test]
    fn a_crash_costs_no_attempt_and_the_last_one_is_poison() {
        let crashed = |state, crashes, max| Next {
            attempt: 1,
            crashes,
            error: kept(AttemptError::crash(crashes, max)),
            ..left(state)
        };
        assert_eq!(crash(&RUN, NOW), crashed(State::Available, 2, 5));
        assert_eq!(crash(&Run { max_crashes: 1, ..RUN }, NOW), crashed(State::Failed, 2, 1));
        assert_eq!(crash(&Run { max_crashes: 1, ..ASKED }, NOW), crashed(State::Cancelled, 2, 1));
        let most = Run { crashes: u32::MAX, ..RUN };
        assert_eq!(crash(&most, NOW).crashes, u32::MAX);
    }

    #[test]
    fn a_fence_a_take_back_and_an_unreadable_row_leave_no_token() {
        let fenced = Next { error: kept(AttemptError::fenced()), ..left(State::Cancelled) };
        assert_eq!(fence(&ASKED, NOW), fenced);
        assert_eq!(take_back(&RUN, NOW), Next { attempt: 1, ..left(State::Available) });
        let stopped = Next { attempt: 1, error: kept(AttemptError::cancelled()), ..left(State::Cancelled) };
        assert_eq!(take_back(&ASKED, NOW), stopped);
        let next = unreadable(&RUN, "backoff: expected a number", NOW);
        assert_eq!((next.state, next.token), (State::Failed, Token::Cleared));
        assert!(next.error.unwrap().message.ends_with("backoff: expected a number"));
    }

    #[test]
    fn a_start_is_never_in_the_past_nor_beyond_the_last_moment() {
        assert_eq!(start(Start::Now, NOW), (State::Available, NOW));
        assert_eq!(start(Start::AfterChildren, NOW), (State::Blocked, NOW));
        assert_eq!(start(Start::After(Duration::ZERO), NOW), (State::Available, NOW));
        assert_eq!(start(Start::After(MINUTE), NOW), (State::Scheduled, NOW.plus(MINUTE)));
        assert_eq!(start(Start::At(Timestamp(5)), NOW), (State::Available, NOW));
        assert_eq!(start(Start::After(Duration::MAX), NOW), (State::Scheduled, Timestamp::MAX));
    }

    #[test]
    fn an_action_applies_to_the_states_it_is_for() {
        for state in State::ALL {
            let cancel = match state {
                State::Running => Deed::AskToStop(MINUTE, CancelReason::Parent),
                state if state.is_finished() => Deed::Nothing,
                _ => Deed::Cancel(CancelReason::Parent),
            };
            let action = Action::Cancel { grace: MINUTE, reason: CancelReason::Parent };
            assert_eq!(act(state, None, &action), cancel);
            let applies = |deed| if state.is_finished() { deed } else { Deed::Nothing };
            assert_eq!(act(state, None, &Action::Retry), applies(Deed::StartAnew));
            assert_eq!(act(state, None, &Action::RetryWith { args: Json::null() }), applies(Deed::StartAnew));
            assert_eq!(act(state, None, &Action::Delete), applies(Deed::Remove));
            let from_step =
                if state == State::Completed { Deed::Nothing } else { applies(Deed::StartFromStep) };
            assert_eq!(act(state, None, &retry_from()), from_step);
            let priority = if state.is_finished() { Deed::Nothing } else { Deed::SetPriority(5) };
            assert_eq!(act(state, None, &Action::SetPriority { priority: 5 }), priority);
        }
    }

    fn retry_from() -> Action {
        Action::RetryFrom { step: "ocr".into(), args: None }
    }

    #[test]
    fn a_job_that_waits_for_a_person_may_be_run_again_and_no_other_blocked_one() {
        let person = Some(&WaitsFor::Person);
        assert_eq!(act(State::Blocked, person, &Action::Retry), Deed::StartAnew);
        assert_eq!(act(State::Blocked, person, &retry_from()), Deed::StartFromStep);
        assert_eq!(act(State::Blocked, person, &Action::Delete), Deed::Nothing);
        assert_eq!(act(State::Blocked, person, &Action::cancel(MINUTE)), Deed::Cancel(CancelReason::Asked));
        for other in [WaitsFor::Dependencies, WaitsFor::Children, WaitsFor::Signal("person".into())] {
            assert_eq!(act(State::Blocked, Some(&other), &Action::Retry), Deed::Nothing);
            assert_eq!(act(State::Blocked, Some(&other), &retry_from()), Deed::Nothing);
        }
    }

    #[test]
    fn graces_shorten_pauses_lengthen_and_ranks_saturate() {
        let by = NOW.plus(MINUTE);
        assert_eq!(cancel_by(None, MINUTE, NOW), Some(by));
        assert_eq!(cancel_by(Some(by.plus(MINUTE)), MINUTE, NOW), Some(by), "it ends sooner");
        assert_eq!(cancel_by(Some(by), MINUTE, NOW), None);
        assert_eq!(cancel_by(Some(NOW), MINUTE, NOW), None);
        assert_eq!(pause_until(MINUTE, Some(NOW), NOW), NOW.plus(MINUTE));
        assert_eq!(pause_until(Duration::ZERO, Some(NOW.plus(MINUTE)), NOW), NOW.plus(MINUTE));
        assert_eq!(rank(NOW, 1), NOW.0 - 60_000);
        assert_eq!(rank(Timestamp(i64::MAX), -100), i64::MAX);
        assert_eq!(rank(Timestamp(i64::MIN), 100), i64::MIN);
    }
}
