//! Limits of keys as pure functions: whether a key admits a run, what a run takes of it, and the order of keys in fair
//! queues.
//!
//! Stores keep a [`KeyState`] for each key. They give back what a run took in the transaction that ends the run's lease, so
//! that no slot is given back twice, and none is lost.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::model::{Cost, KeyConfig, Rate};

/// The used part of a key's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// The slots that running jobs take.
    pub used: u64,
    /// The moment, in microseconds since 1970, at which all units of the rate are free again.
    pub rate_free_at: i64,
    /// The rate for which `rate_free_at` was computed; under any other rate all units are free.
    pub rate: Option<Rate>,
    /// The end of a pause, before which no job of the key is claimed.
    pub closed_until: Option<Timestamp>,
}

/// A limit that keeps a job from being claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The key is paused until then.
    Paused(Timestamp),
    /// Too few slots are free; a run that ends may change that.
    Slots,
    /// The rate admits the job from then on.
    Rate(Timestamp),
}

impl Closed {
    /// The time at which the limit opens without any event; `None` where a run has to end first.
    #[must_use]
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Closed::Paused(until) | Closed::Rate(until) => Some(until),
            Closed::Slots => None,
        }
    }
}

/// The limit that keeps a job of this cost from being claimed now, checked in the order pause, slots, rate; `None` if
/// the key admits it.
///
/// A job that takes more slots than the key has runs alone, and one that takes more than a burst starts after a rest, because
/// neither would ever run otherwise.
#[must_use]
pub fn closed(config: &KeyConfig, state: &KeyState, cost: &Cost, now: Timestamp) -> Option<Closed> {
    if let Some(until) = state.closed_until.filter(|until| *until > now) {
        return Some(Closed::Paused(until));
    }
    let fits = |slots: u32| state.used == 0 || state.used + u64::from(cost.slots) <= u64::from(slots);
    if config.slots.is_some_and(|slots| !fits(slots)) {
        return Some(Closed::Slots);
    }
    rate_admits_at(config, state, cost.rate, now).map(Closed::Rate)
}

/// The earliest time at which a key's rate admits a job of so many units; `None` if it admits the job now.
#[must_use]
pub fn rate_admits_at(config: &KeyConfig, state: &KeyState, units: u32, now: Timestamp) -> Option<Timestamp> {
    let rate = config.rate.filter(|rate| state.rate == Some(*rate) && units > 0)?;
    let at = match units > rate.burst() {
        // It needs a whole burst, and takes more.
        true => state.rate_free_at,
        false => state.rate_free_at.saturating_add(micros(&rate, units)) - micros(&rate, rate.burst()),
    };
    // Rounded up: a claim at that moment is to succeed.
    let at = Timestamp(at.div_euclid(1_000) + i64::from(at.rem_euclid(1_000) > 0));
    (at > now).then_some(at)
}

/// The units of a key's rate that may start now, at most a burst; `None` if the key has no rate.
#[must_use]
pub fn rate_left(config: &KeyConfig, state: &KeyState, now: Timestamp) -> Option<u32> {
    let burst = config.rate?.burst();
    // A rate that admits some units admits any smaller number, so that a binary search finds the largest.
    let (mut left, mut above) = (0, burst + 1);
    while above - left > 1 {
        let units = left + (above - left) / 2;
        match rate_admits_at(config, state, units, now) {
            None => left = units,
            Some(_) => above = units,
        }
    }
    Some(left)
}

/// The time at which all units of a key's rate are free again; `None` if they are free now.
#[must_use]
pub fn rate_free_at(config: &KeyConfig, state: &KeyState, now: Timestamp) -> Option<Timestamp> {
    // More units than any burst are admitted when the whole burst is free.
    rate_admits_at(config, state, u32::MAX, now)
}

/// The state of a key after it has admitted a run.
#[must_use]
pub fn take(config: &KeyConfig, state: &KeyState, cost: &Cost, now: Timestamp) -> KeyState {
    let used = state.used + u64::from(cost.slots);
    let Some(rate) = config.rate else { return KeyState { used, rate_free_at: 0, rate: None, ..*state } };
    let free_at = if state.rate == Some(rate) { state.rate_free_at } else { 0 };
    let rate_free_at = free_at.max(now.0.saturating_mul(1_000)).saturating_add(micros(&rate, cost.rate));
    KeyState { used, rate_free_at, rate: Some(rate), ..*state }
}

/// The state of a key after a run that took so many slots has ended.
#[must_use]
pub fn give_back(state: &KeyState, slots: u64) -> KeyState {
    KeyState { used: state.used.saturating_sub(slots), ..*state }
}

/// The key after a run has ended that took `actual` units of its rate in truth, and `reserved` when it began: later runs wait
/// for what it took in truth. A rate that was set anew since has not counted it.
#[must_use]
pub fn settle(config: &KeyConfig, state: &KeyState, reserved: u32, actual: u32, now: Timestamp) -> KeyState {
    let Some(rate) = config.rate.filter(|rate| state.rate == Some(*rate)) else { return *state };
    let now = now.0.saturating_mul(1_000);
    let free_at = state.rate_free_at.max(now).saturating_add(micros(&rate, actual));
    let rate_free_at = free_at.saturating_sub(micros(&rate, reserved)).max(now);
    KeyState { rate_free_at, ..*state }
}

/// The turn of a key in a fair queue after one of its jobs was claimed in its turn. `queue_turn` is the latest turn that was
/// taken in the queue before: a key that was closed for long has no more than one turn to catch up with.
#[must_use]
pub fn next_turn(turn: u64, queue_turn: u64, cost: &Cost, config: &KeyConfig) -> u64 {
    let step = TURN * u64::from(cost.slots) / u64::from(config.weight.unwrap_or(1));
    turn.max(queue_turn).saturating_add(step)
}

/// The length of a turn of a job of one slot and weight 1, so that it can be divided by every weight.
pub const TURN: u64 = 1_000_000;

/// The limits that hold for a key: its own, or else those of its longest configured prefix.
#[must_use]
pub fn limits_of(key: &str, configs: &BTreeMap<String, KeyConfig>) -> KeyConfig {
    let prefixes = (0..=key.len()).rev().map(|end| format!("{}*", &key[..end]));
    let own = configs.get(key).copied();
    own.or_else(|| prefixes.into_iter().find_map(|prefix| configs.get(&prefix).copied())).unwrap_or_default()
}

/// The microseconds that units of a rate take, rounded up.
fn micros(rate: &Rate, units: u32) -> i64 {
    let micros = (rate.per.as_micros() * u128::from(units)).div_ceil(u128::from(rate.n.max(1)));
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);
    const ONE: Cost = Cost { slots: 1, rate: 1 };

    fn slots(slots: u32) -> KeyConfig {
        KeyConfig { slots: Some(slots), ..KeyConfig::default() }
    }

    fn rate(n: u32, burst: u32) -> KeyConfig {
        let per = Duration::from_secs(1);
        KeyConfig { rate: Some(Rate { n, per, burst: Some(burst) }), ..KeyConfig::default() }
    }

    #[test]
    fn slots_bound_what_runs_and_a_job_of_more_than_all_runs_alone() {
        let used = |used| KeyState { used, ..KeyState::default() };
        let cost = |slots| Cost { slots, rate: 1 };
        assert_eq!(closed(&slots(2), &used(1), &ONE, NOW), None);
        assert_eq!(closed(&slots(2), &used(2), &ONE, NOW), Some(Closed::Slots));
        assert_eq!(closed(&slots(3), &used(2), &cost(2), NOW), Some(Closed::Slots));
        assert_eq!(closed(&slots(3), &used(0), &cost(9), NOW), None);
        assert_eq!(take(&slots(3), &used(1), &cost(2), NOW).used, 3);
        assert_eq!(give_back(&used(3), 2).used, 1);
        assert_eq!(closed(&KeyConfig::default(), &used(1_000_000), &ONE, NOW), None);
    }

    #[test]
    fn a_pause_closes_before_slots_and_rate_do() {
        let until = NOW.plus(Duration::from_secs(1));
        let state = KeyState { used: 9, closed_until: Some(until), ..KeyState::default() };
        assert_eq!(closed(&slots(1), &state, &ONE, NOW), Some(Closed::Paused(until)));
        assert_eq!(closed(&slots(1), &state, &ONE, until), Some(Closed::Slots));
    }

    /// The starts of a job of `cost` asked for each millisecond.
    fn starts(config: &KeyConfig, cost: &Cost, millis: i64) -> Vec<i64> {
        let mut state = KeyState::default();
        let mut starts = Vec::new();
        for at in 0..millis {
            while closed(config, &state, cost, Timestamp(NOW.0 + at)).is_none() {
                state = take(config, &state, cost, Timestamp(NOW.0 + at));
                starts.push(at);
            }
        }
        starts
    }

    #[test]
    fn no_window_has_more_starts_than_a_burst_and_its_share_and_nearly_all_are_used() {
        for (n, burst) in [(100, 10), (7, 1), (3, 3), (999, 5)] {
            let starts = starts(&rate(n, burst), &ONE, 3_000);
            for (first, from) in starts.iter().enumerate() {
                for (last, to) in starts.iter().enumerate().skip(first) {
                    let bound = f64::from(burst) + f64::from(n) * (to - from) as f64 / 1e3;
                    assert!((last - first + 1) as f64 <= bound + 1e-9, "{n} {burst} {from} {to}");
                }
            }
            let most = burst as usize + 3 * n as usize;
            assert!(starts.len() + 2 >= most * 95 / 100, "{n} {burst}: {} of {most}", starts.len());
        }
    }

    #[test]
    fn a_cost_takes_its_units_and_one_beyond_a_burst_starts_after_a_rest() {
        assert_eq!(starts(&rate(10, 4), &Cost { slots: 1, rate: 2 }, 601), [0, 0, 200, 400, 600]);
        assert_eq!(starts(&rate(10, 1), &Cost { slots: 1, rate: 5 }, 1_001), [0, 500, 1_000]);
        assert_eq!(starts(&rate(1, 1), &ONE, 1_001), [0, 1_000]);
        let free = take(&rate(1, 1), &KeyState::default(), &ONE, NOW);
        assert_eq!(
            closed(&rate(1, 1), &free, &ONE, NOW),
            Some(Closed::Rate(NOW.plus(Duration::from_secs(1))))
        );
        assert_eq!(closed(&rate(1, 1), &free, &Cost { slots: 1, rate: 0 }, NOW), None);
    }

    #[test]
    fn what_is_left_of_a_rate_is_what_it_admits() {
        let config = rate(10, 4);
        let taken = take(&config, &KeyState::default(), &Cost { slots: 1, rate: 3 }, NOW);
        assert_eq!(rate_left(&config, &KeyState::default(), NOW), Some(4));
        assert_eq!(
            (rate_left(&config, &taken, NOW), rate_free_at(&config, &taken, NOW)),
            (Some(1), Some(NOW.plus(Duration::from_millis(300))))
        );
        let later = NOW.plus(Duration::from_millis(299));
        assert_eq!(rate_left(&config, &taken, later), Some(3));
        let later = NOW.plus(Duration::from_millis(300));
        assert_eq!(
            (rate_left(&config, &taken, later), rate_free_at(&config, &taken, later)),
            (Some(4), None)
        );
        assert_eq!(rate_left(&rate(9, 4), &taken, NOW), Some(4), "another rate is at rest");
        assert_eq!((rate_left(&slots(1), &taken, NOW), rate_free_at(&slots(1), &taken, NOW)), (None, None));
    }

    #[test]
    fn a_settled_run_moves_its_rate_by_the_difference_and_not_below_now() {
        let config = rate(10, 4);
        let free_in = |state: KeyState| state.rate_free_at / 1_000 - NOW.0;
        let taken = take(&config, &KeyState::default(), &Cost { slots: 1, rate: 3 }, NOW);
        assert_eq!(free_in(taken), 300);
        assert_eq!(free_in(settle(&config, &taken, 3, 3, NOW)), 300);
        assert_eq!(free_in(settle(&config, &taken, 3, 1, NOW)), 100);
        assert_eq!(free_in(settle(&config, &taken, 3, 20, NOW)), 2_000);
        let rested = NOW.plus(Duration::from_secs(9));
        assert_eq!(free_in(settle(&config, &taken, 3, 0, rested)), 9_000, "what has been free is free");
        assert_eq!(free_in(settle(&config, &taken, 3, 5, rested)), 9_200);
        assert_eq!(settle(&rate(10, 5), &taken, 3, 1, NOW), taken, "another rate has not counted the run");
        assert_eq!(settle(&KeyConfig::default(), &taken, 3, 1, NOW), taken);
    }

    #[test]
    fn a_key_has_its_own_limits_or_those_of_its_longest_prefix() {
        let named = [("*", 1), ("tenant:*", 2), ("tenant:4*", 3), ("tenant:42", 4)];
        let configs = named.map(|(name, n)| (name.to_owned(), slots(n))).into();
        for (key, n) in [("other", 1), ("tenant:", 2), ("tenant:7", 2), ("tenant:4", 3), ("tenant:42", 4)] {
            assert_eq!(limits_of(key, &configs), slots(n), "{key}");
        }
        assert_eq!(limits_of("other", &BTreeMap::new()), KeyConfig::default());
    }

    #[test]
    fn turns_are_shared_by_weight_and_none_is_saved_up() {
        let weight = |weight| KeyConfig { weight: Some(weight), ..KeyConfig::default() };
        let mut turns = [(0, 1), (0, 2), (0, 4)];
        let (mut shares, mut queue_turn) = ([0; 3], 0);
        for _ in 0..7_000 {
            let next = (0..3).min_by_key(|n| turns[*n].0).unwrap();
            shares[next] += 1;
            let (turn, of) = turns[next];
            turns[next].0 = next_turn(turn, queue_turn, &ONE, &weight(of));
            queue_turn = queue_turn.max(turn);
        }
        assert_eq!(shares, [1_000, 2_000, 4_000]);
        assert_eq!(next_turn(0, 5 * TURN, &ONE, &weight(1)), 6 * TURN);
        assert_eq!(next_turn(0, 0, &Cost { slots: 3, rate: 1 }, &weight(1_000)), 3_000);
    }
}
