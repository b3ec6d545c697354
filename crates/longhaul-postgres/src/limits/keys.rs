use std::collections::{BTreeMap, BTreeSet, HashMap};

use longhaul::lifecycle::limits::{self, Closed, KeyState};
use longhaul::{Cost, KeyConfig, QueueConfig, Rate, Result, Timestamp};
use tokio_postgres::Row;

use crate::limits::{KEY_STATES, PREFIXES, count};
use crate::write_tx::WriteTx;

/// The keys that a transaction has looked at, as they are after all that it has taken.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    known: HashMap<String, Key>,
    /// The limits of all prefixes, once they are known.
    prefixes: Option<BTreeMap<String, KeyConfig>>,
    /// True once jobs were taken of keys, and false where others were and none of these.
    pub(super) have_taken: Option<bool>,
    /// Keys whose rates are not written yet.
    unwritten: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Key {
    config: KeyConfig,
    state: KeyState,
}

impl Keys {
    #[cfg(test)]
    pub(super) fn with(key: &str, config: KeyConfig, state: KeyState) -> Self {
        let known = [(key.to_owned(), Key { config, state })].into();
        Self { known, ..Self::default() }
    }

    pub(super) fn config(&self, key: &str) -> KeyConfig {
        self.known.get(key).map(|key| key.config).unwrap_or_default()
    }

    /// The key that keeps a job from being claimed, with its limit; of several, the one that opens last, as far as a
    /// time is known.
    pub(super) fn closed<'k>(
        &self,
        keys: &'k [String],
        cost: &Cost,
        now: Timestamp,
    ) -> Option<(&'k String, Closed)> {
        let closed = |name: &'k String| {
            let key = self.known.get(name)?;
            Some((name, limits::closed(&key.config, &key.state, cost, now)?))
        };
        keys.iter().filter_map(closed).max_by_key(|(_, closed)| closed.until().unwrap_or(Timestamp(i64::MAX)))
    }

    /// The number of jobs of a cost that a key admits now, at most `most`.
    pub(super) fn admits(&self, key: &str, cost: &Cost, now: Timestamp, most: usize) -> usize {
        let Some(Key { config, state }) = self.known.get(key) else { return most };
        let (mut state, mut jobs) = (*state, 0);
        while jobs < most && limits::closed(config, &state, cost, now).is_none() {
            state = limits::take(config, &state, cost, now);
            jobs += 1;
        }
        jobs
    }

    pub(super) fn take(&mut self, keys: &[String], cost: &Cost, now: Timestamp) {
        self.have_taken = Some(self.have_taken == Some(true) || !keys.is_empty());
        for name in keys {
            let Some(key) = self.known.get_mut(name) else { continue };
            let before = key.state;
            key.state = limits::take(&key.config, &before, cost, now);
            if (key.state.rate, key.state.rate_free_at) != (before.rate, before.rate_free_at) {
                self.unwritten.insert(name.clone());
            }
        }
    }

    /// Gives the slots of a job back that could not be claimed.
    pub(super) fn give_back(&mut self, keys: &[String], cost: &Cost) {
        for name in keys {
            if let Some(key) = self.known.get_mut(name) {
                key.state = limits::give_back(&key.state, cost.slots.into());
            }
        }
    }

    /// Corrects the rates of keys by the units that a run has really used.
    pub(super) fn settle(&mut self, keys: &[String], reserved: u32, actual: u32, now: Timestamp) {
        for name in keys {
            let Some(key) = self.known.get_mut(name) else { continue };
            let settled = limits::settle(&key.config, &key.state, reserved, actual, now);
            if settled.rate_free_at != key.state.rate_free_at {
                self.unwritten.insert(name.clone());
            }
            key.state = settled;
        }
    }

    /// The changed rates, to be written: key, rate and the time at which it is free.
    pub(super) fn take_rates(&mut self) -> Vec<(String, Option<String>, i64)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let rate = |name: String| {
            let state = self.known.get(&name)?.state;
            let rate = state.rate.and_then(|rate| serde_json::to_string(&rate).ok());
            Some((name, rate, state.rate_free_at))
        };
        unwritten.into_iter().filter_map(rate).collect()
    }

    /// Notes a queue's limits and how much of its slots is taken; what is known of its rate stays.
    pub(super) fn note_queue(&mut self, name: &str, config: KeyConfig, state: KeyState) {
        match self.known.get_mut(name) {
            Some(key) => (key.config, key.state.used) = (config, state.used),
            None => drop(self.known.insert(name.to_owned(), Key { config, state })),
        }
    }

    /// Forgets what was read of a key.
    pub(super) fn forget(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// Notes the limits of all prefixes.
    pub(super) fn note_prefixes(&mut self, rows: &[Row]) {
        let config = |row: &Row| Some((row.get(0), key_config(row.get(1))?));
        self.prefixes = Some(rows.iter().filter_map(config).collect());
    }

    /// Notes a key that was read from `column` on: its name, what is taken of it, until when it is paused, and its own
    /// limits. One that is known already stays as it is, for more may have been taken since.
    pub(super) fn note(&mut self, row: &Row, column: usize) {
        let name: String = row.get(column);
        if self.known.contains_key(&name) {
            return;
        }
        let own = row.get::<_, Option<&str>>(column + 5);
        let config = match name.starts_with(QUEUE) {
            true => own.map(limits_of_queue).unwrap_or_default(),
            false => {
                let prefixes = || self.prefixes.as_ref().map(|prefixes| limits::limits_of(&name, prefixes));
                own.and_then(key_config).or_else(prefixes).unwrap_or_default()
            }
        };
        self.known.insert(name, Key { config, state: key_state(row, column) });
    }
}

/// Reads what is taken of a key, from the column of its name on.
pub(crate) fn key_state(row: &Row, column: usize) -> KeyState {
    KeyState {
        used: count(row.get(column + 1)),
        rate: row.get::<_, Option<&str>>(column + 2).and_then(|rate| serde_json::from_str::<Rate>(rate).ok()),
        rate_free_at: row.get(column + 3),
        closed_until: row.get::<_, Option<i64>>(column + 4).map(Timestamp),
    }
}

/// The beginning of the key that stands for a queue, which no limit key has.
pub(super) const QUEUE: char = '=';

/// The limits in a queue's stored configuration. One that cannot be read is none.
pub(super) fn limits_of_queue(text: &str) -> KeyConfig {
    serde_json::from_str::<QueueConfig>(text).map(|config| config.limits()).unwrap_or_default()
}

/// The limits in a stored configuration. One that cannot be read is none.
pub(crate) fn key_config(text: &str) -> Option<KeyConfig> {
    serde_json::from_str(text).ok()
}

impl WriteTx<'_> {
    /// Reads the limits of all prefixes, once.
    pub(super) async fn read_prefixes(&mut self) -> Result<()> {
        if self.limits.keys.prefixes.is_none() {
            let rows = self.rows("read keys", PREFIXES, &[]).await?;
            self.limits.keys.note_prefixes(&rows);
        }
        Ok(())
    }

    /// Reads keys that are not known yet.
    pub(super) async fn read_keys(&mut self, keys: impl Iterator<Item = &String>) -> Result<()> {
        let unknown: BTreeSet<&String> =
            keys.filter(|key| !self.limits.keys.known.contains_key(*key)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let unknown: Vec<&str> = unknown.into_iter().map(String::as_str).collect();
        let rows = self.rows("read keys", KEY_STATES, &[&unknown]).await?;
        rows.iter().for_each(|row| self.limits.keys.note(row, 0));
        Ok(())
    }
}
