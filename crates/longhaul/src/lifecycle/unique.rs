//! Unique keys: what becomes of a job whose key another holds, and how long a key is held.
//!
//! A job that is created with a unique key holds it. A store remembers the holder of each key, keeps the job's [`Hold`] with
//! it, and asks here what follows. A key that has been given to another job is no longer the former holder's: whatever
//! becomes of that one, it frees nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lifecycle;
use crate::model::{Edge, JobId, NewJob, OnClash, Start, State, Unique};

/// What a store keeps of a job's unique key beside the key itself, as one JSON value: how long the job holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// [`Unique::period`], where it counts from the job's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
    /// The ends that [`Unique::states`] names: it keeps the key after them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<State>,
    /// The job holds the key until then, whatever becomes of it, and no longer: a throttle, and a debounce at its leading edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The job that this one [follows](Clash::Follow), and was given the key by. Where it ends while that one is unfinished, the
    /// key is that one's again, whatever the other fields say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<JobId>,
}

impl Hold {
    /// The hold of a job that is created now.
    #[must_use]
    pub fn of(unique: &Unique, now: Timestamp) -> Self {
        let until = match unique.on_clash {
            OnClash::Throttle => unique.period,
            OnClash::Debounce { delay, edge: Edge::Leading, .. } => Some(delay),
            _ => None,
        };
        let ends = unique.states.iter().flatten().copied().filter(|state| state.is_finished());
        match until {
            Some(time) => Self { until: Some(later(now, time)), ..Self::default() },
            None => Self { period: unique.period, ends: ends.collect(), ..Self::default() },
        }
    }

    /// True for a job that holds its key while it is unfinished, and gives it up when it ends: most keys. A store need keep
    /// nothing of such a hold.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Until when a job holds its key that has ended in `state` at `ended_at`: `None` where it is free at once, and
    /// [`Timestamp::MAX`] where it is held until the job is removed.
    #[must_use]
    pub fn after(&self, state: State, ended_at: Timestamp) -> Option<Timestamp> {
        if let Some(until) = self.until {
            return Some(until).filter(|until| *until > ended_at);
        }
        let is_named = self.ends.contains(&state);
        match self.period {
            Some(period) if is_named || state == State::Completed => Some(later(ended_at, period)),
            None if is_named => Some(Timestamp::MAX),
            _ => None,
        }
    }

    /// Until when a job holds its key that has not ended: `None` until it ends.
    #[must_use]
    pub fn before_end(&self) -> Option<Timestamp> {
        self.until
    }

    /// From when on the retention of a job counts that has ended in `state` at `ended_at`: while its key is held for a time, it
    /// is the answer that others are given.
    #[must_use]
    pub fn kept_from(&self, state: State, ended_at: Timestamp) -> Timestamp {
        self.after(state, ended_at).filter(|until| *until < Timestamp::MAX).unwrap_or(ended_at)
    }
}

/// The job that holds a unique key, as the rules look at it. One whose hold is over is no holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder<'h> {
    /// Its kind.
    pub kind: &'h str,
    /// Its state.
    pub state: State,
    /// When it may next run.
    pub run_at: Timestamp,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its last run began, if one has.
    pub started_at: Option<Timestamp>,
    /// [`Hold::until`] of its hold.
    pub held_until: Option<Timestamp>,
}

/// What becomes of a job whose unique key is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// It is a duplicate of the holder, and nothing else happens.
    Join,
    /// The same, and the holder's [`Hold::until`] is moved to then.
    Lengthen(Timestamp),
    /// It is rejected.
    Reject,
    /// It is [replaced](crate::EnqueueStatus::Replaced): the holder is given its args and their version, forgets its steps, has
    /// this state and this `run_at`, and tells its readers.
    Replace(State, Timestamp),
    /// It is created and takes the key. Nothing happens to the holder.
    Take,
    /// It is created and takes the key. The holder is cancelled as superseded where it waits, and asked to stop within
    /// [`STOP_GRACE`](crate::STOP_GRACE) where it runs.
    Supersede,
    /// It is created, takes the key with a [`Hold::behind`] that names the holder, and depends on the holder as by
    /// [`Dependency::on_any_end`](crate::Dependency::on_any_end), unless it was enqueued to depend on it anyway. Nothing
    /// happens to the holder. A store makes it a [`Reject`](Clash::Reject) where the holder is an
    /// [ancestor](lifecycle::nearest_ancestor).
    Follow,
}

impl Clash {
    /// True where a new job is created, which then needs room among those that wait.
    #[must_use]
    pub fn creates(self) -> bool {
        matches!(self, Clash::Take | Clash::Supersede | Clash::Follow)
    }
}

/// What becomes of a new job with a unique key that `holder` holds.
#[must_use]
pub fn clash(job: &NewJob, unique: &Unique, holder: &Holder<'_>, now: Timestamp) -> Clash {
    if holder.held_until.is_none() && !names(unique, holder.state) {
        return Clash::Take;
    }
    let is_alike = job.kind == holder.kind;
    match unique.on_clash {
        OnClash::Join | OnClash::Throttle => Clash::Join,
        OnClash::Reject => Clash::Reject,
        OnClash::Refresh if holder.state.is_finished() => Clash::Take,
        OnClash::Refresh => Clash::Join,
        OnClash::Supersede if holder.state.is_finished() => Clash::Take,
        OnClash::Supersede => Clash::Supersede,
        OnClash::Follow if holder.state.is_finished() => Clash::Take,
        OnClash::Follow if has_begun(holder) => Clash::Follow,
        OnClash::Replace | OnClash::Follow if !is_alike => Clash::Reject,
        OnClash::Replace | OnClash::Follow => match holder.state {
            State::Blocked => Clash::Replace(State::Blocked, holder.run_at),
            State::Scheduled | State::Available => {
                let (state, run_at) = lifecycle::start(job.start, now);
                // What may run at once keeps its place, or a job that is replaced again and again would never run.
                let keeps_place = state == State::Available && holder.state == State::Available;
                Clash::Replace(state, if keeps_place { holder.run_at } else { run_at })
            }
            _ => Clash::Join,
        },
        OnClash::Debounce { delay, max_delay, edge: Edge::Leading } => match holder.held_until {
            Some(until) => Clash::Lengthen(until.max(quiet_at(delay, max_delay, holder.created_at, now))),
            None => Clash::Join,
        },
        OnClash::Debounce { delay, max_delay, edge: Edge::Trailing } => {
            let waits =
                holder.state == State::Scheduled && holder.run_at > now && holder.started_at.is_none();
            match () {
                () if !waits => Clash::Take,
                () if !is_alike => Clash::Reject,
                () => {
                    let at = quiet_at(delay, max_delay, holder.created_at, now);
                    let (state, run_at) = lifecycle::wait_until(at, now);
                    Clash::Replace(state, run_at)
                }
            }
        }
    }
}

/// The state of a new job, and the moment from which it may run: a debounced one waits for its delay.
#[must_use]
pub fn start(job: &NewJob, now: Timestamp) -> (State, Timestamp) {
    match job.unique.as_ref().map(|unique| unique.on_clash) {
        Some(OnClash::Debounce { delay, edge: Edge::Trailing, .. }) => {
            lifecycle::start(Start::After(delay), now)
        }
        _ => lifecycle::start(job.start, now),
    }
}

/// True for a holder that is in the middle of its work. One that waits for an attempt is not: it can begin with other args.
fn has_begun(holder: &Holder<'_>) -> bool {
    match holder.state {
        State::Running => true,
        State::Blocked => holder.started_at.is_some(),
        _ => false,
    }
}

/// True where a holder in this state keeps the key from a newcomer.
fn names(unique: &Unique, state: State) -> bool {
    match &unique.states {
        Some(states) => states.contains(&state),
        None => !matches!(state, State::Failed | State::Cancelled),
    }
}

/// When a succession is over unless another job comes: after the delay, and not later than the longest one after its begin.
fn quiet_at(delay: Duration, max_delay: Option<Duration>, began: Timestamp, now: Timestamp) -> Timestamp {
    let at = later(now, delay);
    max_delay.map_or(at, |max| at.min(later(began, max)))
}

fn later(from: Timestamp, time: Duration) -> Timestamp {
    from.plus(time).min(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Json;

    const NOW: Timestamp = Timestamp(1_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);
    const WAITS: Holder<'_> = Holder {
        kind: "k",
        state: State::Scheduled,
        run_at: Timestamp(1_030_000),
        created_at: Timestamp(990_000),
        started_at: None,
        held_until: None,
    };
    const RUNS: Holder<'_> = Holder { state: State::Running, started_at: Some(NOW), run_at: NOW, ..WAITS };

    fn on(on_clash: OnClash) -> Unique {
        Unique { on_clash, ..Unique::new("key") }
    }

    fn meet(unique: &Unique, holder: Holder<'_>) -> Clash {
        clash(&NewJob::new("k", Json::null()), unique, &holder, NOW)
    }

    fn in_state(state: State) -> Holder<'static> {
        Holder { state, ..WAITS }
    }

    #[test]
    fn a_join_joins_all_but_failures_and_a_refresh_takes_the_key_of_what_has_ended() {
        for state in State::ALL {
            let gives_up = matches!(state, State::Failed | State::Cancelled);
            let joined = if gives_up { Clash::Take } else { Clash::Join };
            assert_eq!(meet(&on(OnClash::Join), in_state(state)), joined, "{state}");
            let refreshed = if state.is_finished() { Clash::Take } else { Clash::Join };
            assert_eq!(meet(&on(OnClash::Refresh), in_state(state)), refreshed, "{state}");
        }
    }

    #[test]
    fn a_holder_in_a_state_that_the_newcomer_does_not_name_gives_the_key_up() {
        let only_waiting =
            |on_clash| Unique { states: Some(vec![State::Scheduled, State::Available]), ..on(on_clash) };
        for on_clash in [OnClash::Join, OnClash::Reject, OnClash::Replace, OnClash::Supersede] {
            assert_eq!(meet(&only_waiting(on_clash), RUNS), Clash::Take, "{on_clash:?}");
            assert_ne!(meet(&only_waiting(on_clash), WAITS), Clash::Take, "{on_clash:?}");
        }
        let named = Unique { states: Some(vec![State::Failed]), ..on(OnClash::Reject) };
        assert_eq!(meet(&named, in_state(State::Failed)), Clash::Reject);
        let throttled = Holder { held_until: Some(NOW.plus(MINUTE)), ..in_state(State::Failed) };
        assert_eq!(meet(&only_waiting(OnClash::Throttle), throttled), Clash::Join, "whatever became of it");
    }

    #[test]
    fn a_replacement_takes_the_time_of_the_newcomer_unless_both_may_run_at_once() {
        let unique = on(OnClash::Replace);
        let starting =
            |start, holder| clash(&NewJob { start, ..NewJob::new("k", Json::null()) }, &unique, &holder, NOW);
        let available = Holder { state: State::Available, run_at: Timestamp(995_000), ..WAITS };
        let later = NOW.plus(MINUTE);
        assert_eq!(starting(Start::Now, WAITS), Clash::Replace(State::Available, NOW));
        assert_eq!(starting(Start::After(MINUTE), available), Clash::Replace(State::Scheduled, later));
        assert_eq!(starting(Start::Now, available), Clash::Replace(State::Available, available.run_at));
        let blocked = in_state(State::Blocked);
        assert_eq!(starting(Start::After(MINUTE), blocked), Clash::Replace(State::Blocked, blocked.run_at));
        assert_eq!(starting(Start::Now, RUNS), Clash::Join, "too late");
        let other = Holder { kind: "other", ..WAITS };
        assert_eq!(starting(Start::Now, other), Clash::Reject, "its args would mean nothing to that kind");
    }

    #[test]
    fn a_supersede_cancels_what_has_not_ended() {
        for state in State::ALL {
            let taken = if state.is_finished() { Clash::Take } else { Clash::Supersede };
            assert_eq!(meet(&on(OnClash::Supersede), in_state(state)), taken, "{state}");
        }
    }

    #[test]
    fn a_follower_stands_behind_what_has_begun_and_replaces_what_waits() {
        let follow = on(OnClash::Follow);
        assert_eq!(meet(&follow, RUNS), Clash::Follow);
        let blocked = in_state(State::Blocked);
        assert_eq!(meet(&follow, blocked), Clash::Replace(State::Blocked, blocked.run_at), "the next one");
        let waits = Holder { started_at: Some(NOW), ..blocked };
        assert_eq!(meet(&follow, waits), Clash::Follow, "it waits for a signal, say");
        assert_eq!(meet(&follow, WAITS), Clash::Replace(State::Available, NOW));
        let other = |holder| Holder { kind: "other", ..holder };
        assert_eq!(meet(&follow, other(WAITS)), Clash::Reject);
        assert_eq!(meet(&follow, other(RUNS)), Clash::Follow);
        for state in [State::Completed, State::Failed, State::Cancelled] {
            assert_eq!(meet(&follow, in_state(state)), Clash::Take, "{state}");
        }
        assert!(Clash::Follow.creates());
    }

    #[test]
    fn a_trailing_debounce_moves_a_job_that_waits_for_its_delay_and_no_other() {
        let debounce = |max_delay| on(OnClash::Debounce { delay: MINUTE, max_delay, edge: Edge::Trailing });
        assert_eq!(meet(&debounce(None), WAITS), Clash::Replace(State::Scheduled, NOW.plus(MINUTE)));
        let bound = debounce(Some(MINUTE));
        assert_eq!(meet(&bound, WAITS), Clash::Replace(State::Scheduled, WAITS.created_at.plus(MINUTE)));
        for holder in [
            RUNS,
            in_state(State::Available),
            in_state(State::Blocked),
            in_state(State::Completed),
            Holder { run_at: NOW, ..WAITS },
            Holder { started_at: Some(WAITS.created_at), ..WAITS },
        ] {
            assert_eq!(meet(&bound, holder), Clash::Take, "{holder:?}");
        }
        let job = NewJob { unique: Some(bound), ..NewJob::new("k", Json::null()) };
        assert_eq!(start(&job, NOW), (State::Scheduled, NOW.plus(MINUTE)));
    }

    #[test]
    fn a_leading_debounce_holds_the_key_until_a_succession_is_over() {
        let unique = |max_delay| on(OnClash::Debounce { delay: MINUTE, max_delay, edge: Edge::Leading });
        let hold = Hold::of(&unique(None), NOW);
        assert_eq!(hold.before_end(), Some(NOW.plus(MINUTE)));
        assert_eq!(hold.after(State::Failed, NOW), Some(NOW.plus(MINUTE)), "whatever becomes of it");
        assert_eq!(hold.after(State::Completed, NOW.plus(MINUTE)), None);
        let held = Holder { held_until: Some(NOW.plus(SECOND)), ..RUNS };
        assert_eq!(meet(&unique(None), held), Clash::Lengthen(NOW.plus(MINUTE)));
        let longest = unique(Some(MINUTE));
        assert_eq!(meet(&longest, held), Clash::Lengthen(held.created_at.plus(MINUTE)));
        let held = Holder { held_until: Some(NOW.plus(2 * MINUTE)), ..held };
        assert_eq!(meet(&longest, held), Clash::Lengthen(NOW.plus(2 * MINUTE)), "never shorter");
        assert_eq!(meet(&longest, RUNS), Clash::Join, "one that was not created so");
        let job = NewJob { unique: Some(longest), ..NewJob::new("k", Json::null()) };
        assert_eq!(start(&job, NOW), (State::Available, NOW));
    }

    #[test]
    fn a_key_outlives_a_completion_by_its_period_and_another_end_where_the_states_name_it() {
        let held = |unique: &Unique, state| Hold::of(unique, Timestamp(0)).after(state, NOW);
        let period = Unique { period: Some(MINUTE), ..Unique::new("key") };
        assert_eq!(held(&period, State::Completed), Some(NOW.plus(MINUTE)));
        assert_eq!(held(&period, State::Failed), None);
        assert!(Hold::of(&Unique::new("key"), NOW).is_plain());
        let named = Unique { states: Some(vec![State::Running, State::Failed]), ..Unique::new("key") };
        assert_eq!(held(&named, State::Failed), Some(Timestamp::MAX));
        assert_eq!(held(&named, State::Completed), None);
        assert_eq!(
            held(&Unique { period: Some(MINUTE), ..named.clone() }, State::Failed),
            Some(NOW.plus(MINUTE))
        );
        let kept_from = |unique: &Unique, state| Hold::of(unique, Timestamp(0)).kept_from(state, NOW);
        assert_eq!(kept_from(&period, State::Completed), NOW.plus(MINUTE));
        assert_eq!(kept_from(&named, State::Failed), NOW, "retention ends what nothing else does");
        let throttle = Unique { period: Some(MINUTE), ..on(OnClash::Throttle) };
        assert_eq!(Hold::of(&throttle, NOW).after(State::Failed, NOW), Some(NOW.plus(MINUTE)));
        assert_eq!(Hold::of(&throttle, NOW).after(State::Completed, NOW.plus(MINUTE)), None);
    }
}
