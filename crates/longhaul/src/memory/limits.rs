use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle;
use crate::lifecycle::limits::{self, Closed, KeyState};
use crate::model::{Cost, KeyConfig, KeyFilter, KeyInfo, State};
use crate::store::{MAX_KEYS, MAX_POSITION};

/// The limits of keys, what is taken of them, and whose turn is next.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// By key, or by prefix with its `*`.
    pub(super) configs: BTreeMap<String, KeyConfig>,
    states: BTreeMap<String, KeyState>,
    /// By fair queue and limit keys.
    turns: HashMap<(String, Vec<String>), u64>,
    /// The latest turn that was taken in each fair queue.
    queue_turns: HashMap<String, u64>,
}

impl Limits {
    pub(super) fn config(&self, key: &str) -> KeyConfig {
        limits::limits_of(key, &self.configs)
    }

    fn state(&self, key: &str) -> KeyState {
        self.states.get(key).copied().unwrap_or_default()
    }

    /// The limit that keeps a job of these keys from being claimed. Of several closed keys it is the one that opens
    /// last; a key whose slots are taken counts as the last, because no time is known for it.
    pub(super) fn closed(&self, keys: &[String], cost: &Cost, now: Timestamp) -> Option<Closed> {
        let closed = |key| limits::closed(&self.config(key), &self.state(key), cost, now);
        let latest = |closed: &Closed| closed.until().unwrap_or(Timestamp::MAX);
        keys.iter().filter_map(|key| closed(key)).max_by_key(latest)
    }

    pub(super) fn take(&mut self, row: &Row, now: Timestamp) {
        for key in &row.record.limit_keys {
            let taken = limits::take(&self.config(key), &self.state(key), &row.record.policy.cost, now);
            self.states.insert(key.clone(), taken);
        }
    }

    pub(super) fn give_back(&mut self, row: &Row) {
        for key in &row.record.limit_keys {
            let state = limits::give_back(&self.state(key), u64::from(row.record.policy.cost.slots));
            self.states.insert(key.clone(), state);
        }
    }

    /// Corrects the rates of a run's keys by the units that the run has really used.
    fn settle(&mut self, row: &Row, actual: u32, now: Timestamp) {
        let reserved = row.record.policy.cost.rate;
        for key in &row.record.limit_keys {
            let state = limits::settle(&self.config(key), &self.state(key), reserved, actual, now);
            self.states.insert(key.clone(), state);
        }
    }

    fn pause_until(&mut self, key: &str, until: Option<Timestamp>) {
        let state = KeyState { closed_until: until, ..self.state(key) };
        self.states.insert(key.to_owned(), state);
    }

    pub(super) fn turn(&self, queue: &str, keys: &[String]) -> u64 {
        self.turns.get(&(queue.to_owned(), keys.to_vec())).copied().unwrap_or_default()
    }

    /// Jobs of these keys wait in a fair queue, where none did.
    pub(super) fn arrive(&mut self, queue: &str, keys: &[String]) {
        let turn = self.turn(queue, keys).max(self.queue_turns.get(queue).copied().unwrap_or_default());
        self.turns.insert((queue.to_owned(), keys.to_vec()), turn);
    }

    /// A job of these keys was claimed in its turn.
    pub(super) fn next_turn(&mut self, queue: &str, keys: &[String], cost: &Cost) {
        let config = keys.first().map(|key| self.config(key)).unwrap_or_default();
        let (turn, latest) = (self.turn(queue, keys), self.queue_turns.entry(queue.to_owned()).or_default());
        let next = limits::next_turn(turn, *latest, cost, &config);
        *latest = turn.max(*latest);
        self.turns.insert((queue.to_owned(), keys.to_vec()), next);
    }

    /// A queue becomes fair, or is so no more: all turns begin anew.
    pub(super) fn forget_turns(&mut self, queue: &str) {
        self.turns.retain(|(other, _), _| other != queue);
        self.queue_turns.remove(queue);
    }

    /// Forgets keys of which nothing is taken.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.states.retain(|_, state| {
            state.used > 0
                || state.closed_until.is_some_and(|until| until > now)
                || state.rate_free_at > now.0.saturating_mul(1_000)
        });
    }
}

impl Table {
    pub(super) fn set_key(&mut self, key: &str, config: Option<&KeyConfig>) {
        match config {
            Some(config) => drop(self.limits.configs.insert(key.to_owned(), *config)),
            None => drop(self.limits.configs.remove(key)),
        }
    }

    /// Settles what a run that ends now has taken of rates.
    pub(super) fn settle_cost(&mut self, seq: u64, cost: Option<u32>, now: Timestamp) {
        if let (Some(row), Some(actual)) = (self.rows.get(&seq), cost) {
            self.limits.settle(row, actual, now);
            self.settle_queue(seq, actual, now);
        }
    }

    /// Pauses a key, and answers until when.
    pub(super) fn pause_key(&mut self, key: &str, pause: Duration, now: Timestamp) -> Timestamp {
        let until = lifecycle::pause_until(pause, self.limits.state(key).closed_until, now);
        self.limits.pause_until(key, Some(until));
        until
    }

    pub(super) fn resume_key(&mut self, key: &str) {
        self.limits.pause_until(key, None);
        self.wake(key);
    }

    pub(super) fn is_fair(&self, queue: &str) -> bool {
        self.configs.get(queue).is_some_and(|config| config.fair)
    }

    pub(super) fn list_keys(&self, filter: &KeyFilter, now: Timestamp) -> Vec<KeyInfo> {
        let limits = &self.limits;
        let is_taken =
            |state: &KeyState| state.used > 0 || state.closed_until.is_some_and(|until| until > now);
        let taken = limits.states.iter().filter(|(_, state)| is_taken(state)).map(|(key, _)| key);
        let waiting = self.index.waiting_keys(None);
        let mut names: BTreeSet<&String> = match filter.names.is_empty() {
            true => limits.configs.keys().chain(taken).chain(waiting).collect(),
            false => filter.names.iter().collect(),
        };
        if let Some(queue) = &filter.queue {
            let of_queue: BTreeSet<&String> = self.index.waiting_keys(Some(queue)).collect();
            names.retain(|name| of_queue.contains(name));
        }
        let behind = |name: &&String| filter.after.as_ref().is_none_or(|after| name > &after);
        let fits = names.into_iter().filter(|name| name.starts_with(&filter.prefix)).filter(behind);
        fits.take(filter.limit.clamp(1, MAX_KEYS)).map(|key| self.key(key, &filter.cost, now)).collect()
    }

    fn key(&self, key: &str, cost: &Cost, now: Timestamp) -> KeyInfo {
        let config = self.limits.configs.get(key).copied();
        if key.ends_with('*') {
            let limits = config.unwrap_or_default();
            return KeyInfo {
                key: key.to_owned(),
                config,
                limits,
                waiting: 0,
                used: 0,
                closed_until: None,
                rate_free_at: None,
            };
        }
        let (limits, state) = (self.limits.config(key), self.limits.state(key));
        KeyInfo {
            key: key.to_owned(),
            config,
            limits,
            waiting: self.index.waiting_of(key).min(MAX_POSITION),
            used: state.used,
            closed_until: state.closed_until.filter(|until| *until > now),
            rate_free_at: limits::rate_admits_at(&limits, &state, cost.rate, now),
        }
    }

    /// Keeps what is taken of limits, and whose turn it is, in step with a job that has changed.
    pub(super) fn limit(&mut self, seq: u64, before: Option<State>, now: Timestamp) {
        let Some(row) = self.rows.get(&seq) else { return };
        let (state, record) = (row.record.state, &row.record);
        let (was_running, is_running) = (before == Some(State::Running), state == State::Running);
        let (began, ended) = (!was_running && is_running, was_running && !is_running);
        if ended {
            self.limits.give_back(row);
        }
        if began {
            self.limits.take(row, now);
        }
        let arrives = state == State::Available && before != Some(State::Available);
        if arrives
            && self.is_fair(&record.queue)
            && self.index.waiting_in(&record.queue, &record.limit_keys) == 1
        {
            self.limits.arrive(&record.queue, &record.limit_keys);
        }
        if ended {
            for key in &record.limit_keys {
                self.wake(key);
            }
            if self.is_limited(&record.queue) {
                self.signals.send(&record.queue);
            }
            self.give_back_to_queue(seq);
        }
        if began {
            self.take_of_queue(seq, now);
        }
    }

    /// Wakes the claims that may take a job of this key.
    pub(super) fn wake(&self, key: &str) {
        for queue in self.index.queues_of(key) {
            self.signals.send(queue);
        }
    }
}
