use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use longhaul::lifecycle::limits::limits_of;
use longhaul::{JobId, KeyConfig, NewJob, QueueConfig, Rate, Timestamp};

use super::{PAUSES, RATES, SLOTS};

/// The use of limit keys and of queues, as counted by the witness. A queue is a key with a name that no limit key has.
#[derive(Default)]
pub(super) struct Limits {
    configs: BTreeMap<String, KeyConfig>,
    pub(super) used: BTreeMap<String, u64>,
    closed_until: BTreeMap<String, Timestamp>,
    starts: BTreeMap<String, Starts>,
}

/// The starts of a key by one rate.
#[derive(Default)]
struct Starts {
    rate: Option<Rate>,
    /// The times of the starts, and their units.
    of: VecDeque<(Timestamp, u32)>,
}

/// The number of starts that are remembered.
const LOOK_BACK: usize = 64;

impl Limits {
    /// The limits that hold for a key.
    pub(super) fn config(&self, key: &str) -> KeyConfig {
        limits_of(key, &self.configs)
    }

    pub(super) fn set(&mut self, key: &str, config: Option<&KeyConfig>) {
        match config {
            Some(config) => drop(self.configs.insert(key.to_owned(), *config)),
            None => drop(self.configs.remove(key)),
        }
    }

    pub(super) fn set_queue(&mut self, queue: &str, config: &QueueConfig) {
        self.set(&name_of(queue), config.is_limited().then(|| config.limits()).as_ref());
    }

    /// True where the limits of a queue may keep its jobs back, one after the other, whatever keys they have.
    pub(super) fn may_keep_back(&self, queue: &str, slots: u32) -> bool {
        let name = name_of(queue);
        self.config(&name).rate.is_some() || self.is_full(&name, slots)
    }

    pub(super) fn pause(&mut self, key: &str, pause: Duration, now: Timestamp) {
        let until = self.closed_until.entry(key.to_owned()).or_default();
        *until = now.plus(pause).max(*until);
    }

    pub(super) fn resume(&mut self, key: &str) {
        self.closed_until.remove(key);
    }

    pub(super) fn is_closed(&self, key: &str, now: Timestamp) -> bool {
        self.closed_until.get(key).is_some_and(|until| *until > now)
    }

    /// True where the key has no slot for a job.
    pub(super) fn is_full(&self, key: &str, slots: u32) -> bool {
        let used = self.used.get(key).copied().unwrap_or_default();
        self.config(key).slots.is_some_and(|most| used > 0 && used + u64::from(slots) > u64::from(most))
    }

    /// A run begins: all its keys and its queue must admit it.
    pub(super) fn take(
        &mut self,
        id: &JobId,
        job: &NewJob,
        now: Timestamp,
    ) -> Result<(), (&'static str, String)> {
        let cost = job.policy.cost;
        for key in &names(job) {
            if self.is_closed(key, now) {
                return Err((PAUSES, format!("{id} was claimed while its key {key} was paused")));
            }
            if self.is_full(key, cost.slots) {
                let (used, of) = (self.used.get(key), self.config(key).slots);
                let how = format!(
                    "{id} takes {} slots of {key}, of which {used:?} of {of:?} are taken",
                    cost.slots
                );
                return Err((SLOTS, how));
            }
            self.start(key, cost.rate, now).map_err(|how| (RATES, format!("{id} of {key}: {how}")))?;
            *self.used.entry(key.clone()).or_default() += u64::from(cost.slots);
        }
        Ok(())
    }

    /// A start of so many units: in no window that ends with it may more have started than a burst and the window's share.
    fn start(&mut self, key: &str, units: u32, now: Timestamp) -> Result<(), String> {
        let rate = self.config(key).rate;
        let starts = self.starts.entry(key.to_owned()).or_default();
        if starts.rate != rate {
            *starts = Starts { rate, of: VecDeque::new() };
        }
        let Some(rate) = rate else { return Ok(()) };
        if units == 0 {
            return Ok(());
        }
        starts.of.push_front((now, units));
        starts.of.truncate(LOOK_BACK);
        let mut sum = 0;
        for (at, units) in &starts.of {
            // One that takes more than a burst starts after a rest, and is no part of the bound.
            if *units > rate.burst() {
                break;
            }
            sum += units;
            let share = f64::from(rate.n) * now.since(*at).as_secs_f64() / rate.per.as_secs_f64();
            if f64::from(sum) > f64::from(rate.burst()) + share + 1e-6 {
                return Err(format!("{sum} units started within {:?}, by {rate:?}", now.since(*at)));
            }
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, job: &NewJob) {
        for key in &names(job) {
            if let Some(used) = self.used.get_mut(key) {
                *used = used.saturating_sub(u64::from(job.policy.cost.slots));
            }
        }
    }
}

/// The name of a queue among limit keys.
pub(super) fn name_of(queue: &str) -> String {
    format!("={queue}")
}

/// The limits that count the runs of a job.
fn names(job: &NewJob) -> Vec<String> {
    job.limit_keys.iter().cloned().chain([name_of(&job.queue)]).collect()
}
