use std::collections::BTreeMap;

use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::limits::{self, Closed, KeyState};
use crate::model::{Cost, KeyConfig, QueueConfig};

/// The used part of each queue's limits: a queue is a limit key of all its jobs. Slots are counted without a limit too,
/// so that a limit that is set later counts the jobs that run already.
#[derive(Debug, Default)]
pub(super) struct QueueLimits(BTreeMap<String, KeyState>);

impl QueueLimits {
    fn state(&self, queue: &str) -> KeyState {
        self.0.get(queue).copied().unwrap_or_default()
    }

    fn set(&mut self, queue: &str, state: KeyState) {
        self.0.insert(queue.to_owned(), state);
    }

    /// Removes the queues whose limits are unused.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let now = now.0.saturating_mul(1_000);
        self.0.retain(|_, state| state.used > 0 || state.rate_free_at > now);
    }
}

impl Table {
    fn limits_of_queue(&self, queue: &str) -> KeyConfig {
        self.configs.get(queue).map(QueueConfig::limits).unwrap_or_default()
    }

    /// The limit of the queue that keeps its next job from being claimed.
    pub(super) fn queue_closed(&self, queue: &str, cost: &Cost, now: Timestamp) -> Option<Closed> {
        limits::closed(&self.limits_of_queue(queue), &self.queue_limits.state(queue), cost, now)
    }

    pub(super) fn take_of_queue(&mut self, seq: u64, now: Timestamp) {
        self.change_queue(seq, |config, state, cost| limits::take(config, state, cost, now));
    }

    pub(super) fn give_back_to_queue(&mut self, seq: u64) {
        self.change_queue(seq, |_, state, cost| limits::give_back(state, u64::from(cost.slots)));
    }

    /// Corrects the rate of a run's queue by the units that the run has really used.
    pub(super) fn settle_queue(&mut self, seq: u64, actual: u32, now: Timestamp) {
        self.change_queue(seq, |config, state, cost| limits::settle(config, state, cost.rate, actual, now));
    }

    fn change_queue(&mut self, seq: u64, change: impl FnOnce(&KeyConfig, &KeyState, &Cost) -> KeyState) {
        let Some(Row { record, .. }) = self.rows.get(&seq) else { return };
        let (config, state) = (self.limits_of_queue(&record.queue), self.queue_limits.state(&record.queue));
        self.queue_limits.set(&record.queue, change(&config, &state, &record.policy.cost));
    }

    pub(super) fn config_of(&self, queue: &str) -> QueueConfig {
        self.configs.get(queue).cloned().unwrap_or_default()
    }

    pub(super) fn set_queue(&mut self, queue: &str, config: &QueueConfig) {
        let before = self.configs.insert(queue.to_owned(), config.clone()).unwrap_or_default();
        if before.fair != config.fair {
            self.limits.forget_turns(queue);
        }
        if before.rate != config.rate {
            let rested = KeyState { rate: None, rate_free_at: 0, ..self.queue_limits.state(queue) };
            self.queue_limits.set(queue, rested);
        }
        if before.limits() != config.limits() {
            self.signals.send(queue);
        }
    }

    pub(super) fn is_limited(&self, queue: &str) -> bool {
        self.configs.get(queue).is_some_and(QueueConfig::is_limited)
    }

    /// The slots of a queue that are taken, where it has such.
    pub(super) fn queue_used(&self, queue: &str) -> Option<u64> {
        self.limits_of_queue(queue).slots.map(|_| self.queue_limits.state(queue).used)
    }

    /// The units of a queue's rate that may start now, where it has one.
    pub(super) fn queue_rate_left(&self, queue: &str, now: Timestamp) -> Option<u32> {
        limits::rate_left(&self.limits_of_queue(queue), &self.queue_limits.state(queue), now)
    }

    pub(super) fn queue_rate_free_at(&self, queue: &str, now: Timestamp) -> Option<Timestamp> {
        limits::rate_free_at(&self.limits_of_queue(queue), &self.queue_limits.state(queue), now)
    }
}
