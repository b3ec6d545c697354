use std::collections::hash_map::Entry;
use std::time::Duration;

use longhaul::lifecycle;
use longhaul::lifecycle::limits::{self, Closed};
use longhaul::{Cost, Json, KeyConfig, Result, Timestamp};
use rusqlite::params;

use super::write_tx::{WriteTx, no_json};
use crate::error::fault;
use crate::limit_key::{self, InUse, KeyRow, each_key, end_of_prefix, queue_of_key};
use crate::row::signed;

/// A limit key that this transaction has looked at.
#[derive(Debug)]
pub(super) struct Key {
    row: KeyRow,
    /// True if its row must be written before the commit.
    pub(super) has_changed: bool,
}

impl std::ops::Deref for Key {
    type Target = KeyRow;

    fn deref(&self) -> &KeyRow {
        &self.row
    }
}

impl std::ops::DerefMut for Key {
    fn deref_mut(&mut self) -> &mut KeyRow {
        &mut self.row
    }
}

/// The most keys of a prefix, or keys that open by time, that one transaction looks at.
const OPENED_AT_ONCE: usize = 100;

/// The used limits of keys. Each key is read once in a transaction that needs it, and written at its end.
impl WriteTx<'_> {
    pub(super) fn key(&mut self, key: &str) -> rusqlite::Result<&mut Key> {
        let in_use = self.limits_in_use()?;
        Ok(match self.keys.entry(key.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let row = limit_key::find(self.connection, key, in_use)?;
                unknown.insert(Key { row, has_changed: false })
            }
        })
    }

    /// The limit key look-ups that can find something.
    pub(super) fn limits_in_use(&mut self) -> rusqlite::Result<InUse> {
        Ok(match self.limits_in_use {
            Some(known) => known,
            None => *self.limits_in_use.insert(InUse::read(self.connection)?),
        })
    }

    /// The key that keeps a job from being claimed; of several, the one that opens last, as far as a time is known.
    pub(super) fn closed(&mut self, keys: &str, cost: &Cost) -> rusqlite::Result<Option<(String, Closed)>> {
        let now = self.now;
        let latest = |closed: &Closed| closed.until().unwrap_or(Timestamp::MAX);
        let mut found: Option<(&str, Closed)> = None;
        for key in each_key(keys) {
            let row = self.key(key)?;
            if let Some(closed) = limits::closed(&row.limits, &row.state, cost, now)
                && found.as_ref().is_none_or(|(_, other)| latest(&closed) >= latest(other))
            {
                found = Some((key, closed));
            }
        }
        Ok(found.map(|(key, closed)| (key.to_owned(), closed)))
    }

    /// Takes of a job's keys what its run costs.
    pub(super) fn take(&mut self, keys: &str, cost: &Cost) -> rusqlite::Result<()> {
        let now = self.now;
        for key in each_key(keys) {
            let row = self.key(key)?;
            row.state = limits::take(&row.limits, &row.state, cost, now);
            row.has_changed = true;
        }
        Ok(())
    }

    /// Gives the slots back that a run took. Groups that the keys keep back are looked at later in the transaction.
    pub(super) fn give_back(&mut self, keys: &str, queue: &str, held: i64) -> rusqlite::Result<()> {
        self.give_back_to_queue(queue, held)?;
        for key in each_key(keys) {
            let row = self.key(key)?;
            row.state = limits::give_back(&row.state, held.unsigned_abs());
            row.has_changed = true;
            if row.keeps_back {
                self.notes.given_back.insert(key.to_owned());
            }
        }
        Ok(())
    }

    /// Has rates count what a run took in truth, in place of what it took at its start.
    pub(super) fn settle_rates(
        &mut self,
        keys: &str,
        queue: &str,
        reserved: u32,
        actual: u32,
    ) -> rusqlite::Result<()> {
        let now = self.now;
        self.settle_queue(queue, reserved, actual)?;
        for key in each_key(keys) {
            let row = self.key(key)?;
            row.state = limits::settle(&row.limits, &row.state, reserved, actual, now);
            row.has_changed = true;
            if row.keeps_back {
                self.notes.given_back.insert(key.to_owned());
            }
        }
        Ok(())
    }

    /// Notes that a key keeps a group back.
    pub(super) fn keep_back(&mut self, key: &str, closed: Closed) -> rusqlite::Result<()> {
        let row = self.key(key)?;
        row.keeps_back = true;
        if let Some(until) = closed.until()
            && row.opens_at.is_none_or(|opens_at| until < opens_at)
        {
            row.opens_at = Some(until);
            row.has_changed = true;
            self.notes.scheduled = true;
        }
        if let Some(in_use) = &mut self.limits_in_use {
            in_use.kept_back = true;
        }
        Ok(())
    }

    /// Opens groups of keys of which slots were given back, and those behind groups that have gone. Answers whether there
    /// were any.
    pub(super) fn open_what_was_freed(&mut self) -> Result<bool> {
        self.open_freed().map_err(fault("look for groups"))
    }

    fn open_freed(&mut self) -> rusqlite::Result<bool> {
        let mut has_opened = false;
        while let Some(key) = self.notes.given_back.pop_first() {
            has_opened |= !self.open_groups(&key, None)?.is_empty();
        }
        while let Some(displaced) = self.notes.displaced.pop() {
            for key in each_key(&displaced.keys) {
                if self.key(key)?.keeps_back {
                    has_opened |= !self.open_groups(key, Some(&displaced.lane))?.is_empty();
                }
            }
        }
        Ok(has_opened)
    }

    /// Opens what claims may take now: see [`open_what_was_freed`](Self::open_what_was_freed), and groups of keys whose time has
    /// come. Costs nothing where no job with limit keys waits and no queue is limited.
    pub(super) fn open_for_claims(&mut self) -> Result<()> {
        if self.has_groups {
            self.pass_over_ended()?;
            self.open_what_was_freed()?;
            self.look_at_preferring_jobs();
        }
        if self.has_groups || self.has_queue_limits {
            self.open_due().map_err(fault("look for limit keys that open"))?;
        }
        Ok(())
    }

    fn open_due(&mut self) -> rusqlite::Result<()> {
        let due: Vec<(String, Option<String>)> = self
            .connection
            .prepare_cached(include_str!("../sql/keys_that_open.sql"))?
            .query_map(params![self.now.0, signed(OPENED_AT_ONCE as u64)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        self.notes.stopped_early |= due.len() == OPENED_AT_ONCE;
        for (key, looked_up_to) in due {
            if let Some(queue) = queue_of_key(&key) {
                self.open_queue(queue)?;
                continue;
            }
            match key.strip_suffix('*') {
                Some(prefix) => self.open_prefix(prefix, looked_up_to.unwrap_or_default())?,
                None => drop(self.open_groups(&key, None)?),
            }
        }
        Ok(())
    }

    /// Looks at the keys of a prefix whose limits have changed: some at a time, and the rest in the next transactions.
    fn open_prefix(&mut self, prefix: &str, mut looked_up_to: String) -> rusqlite::Result<()> {
        let end = end_of_prefix(prefix);
        let row = format!("{prefix}*");
        for _ in 0..OPENED_AT_ONCE {
            let next = self
                .connection
                .prepare_cached(include_str!("../sql/next_key_that_keeps_back.sql"))?
                .query_map(params![looked_up_to, prefix, end], |row| row.get(0))?
                .next()
                .transpose()?;
            let Some(key) = next else {
                self.connection.prepare_cached("DELETE FROM limit_keys WHERE key = ?1")?.execute([row])?;
                return Ok(());
            };
            looked_up_to = key;
            self.open_groups(&looked_up_to, None)?;
        }
        self.notes.stopped_early = true;
        let note = "INSERT OR REPLACE INTO limit_keys (key, used, rate_free_at, opens_at, looked_up_to) VALUES (?1, 0, 0, ?2, ?3)";
        self.connection.prepare_cached(note)?.execute(params![row, self.now.0, looked_up_to])?;
        Ok(())
    }

    /// Sets the limits of a key, or of a prefix where the name ends in `*`.
    pub(crate) fn set_key(&mut self, key: &str, config: Option<&KeyConfig>) -> Result<()> {
        self.write_config(key, config).map_err(fault("configure a limit key"))
    }

    fn write_config(&mut self, key: &str, config: Option<&KeyConfig>) -> rusqlite::Result<()> {
        let prefix = key.strip_suffix('*');
        match config {
            Some(config) => {
                let set = "INSERT OR REPLACE INTO key_configs (key, prefix, config) VALUES (?1, ?2, ?3)";
                let config = Json::new(config).map_err(no_json)?;
                self.connection.prepare_cached(set)?.execute(params![key, prefix, config.as_str()])?;
            }
            None => {
                self.connection.prepare_cached("DELETE FROM key_configs WHERE key = ?1")?.execute([key])?;
            }
        }
        // What is known of keys has been written with other limits in mind.
        self.write_keys()?;
        self.keys.clear();
        self.limits_in_use = None;
        self.set_key_bound(key, config)?;
        match prefix {
            Some(prefix) => self.open_prefix(prefix, String::new()),
            None => self.open_groups(key, None).map(drop),
        }
    }

    /// Keeps jobs of a key from being claimed.
    pub(crate) fn pause_key(&mut self, key: &str, pause: Duration) -> Result<Timestamp> {
        let mut write = || {
            let now = self.now;
            let row = self.key(key)?;
            let until = lifecycle::pause_until(pause, row.state.closed_until, now);
            row.state.closed_until = Some(until);
            self.connection
                .prepare_cached(include_str!("../sql/pause_limit_key.sql"))?
                .execute(params![key, until.0])?;
            self.limits_in_use = None;
            Ok(until)
        };
        write().map_err(fault("pause a limit key"))
    }

    /// Ends the pause of a key.
    pub(crate) fn resume_key(&mut self, key: &str) -> Result<()> {
        let mut write = || {
            self.connection.prepare_cached("DELETE FROM pauses WHERE limit_key = ?1")?.execute([key])?;
            self.key(key)?.state.closed_until = None;
            self.open_groups(key, None)
        };
        write().map(drop).map_err(fault("resume a limit key"))
    }

    /// Writes what has been taken so far.
    pub(super) fn write_keys(&mut self) -> rusqlite::Result<()> {
        for (name, key) in &mut self.keys {
            if !std::mem::take(&mut key.has_changed) {
                continue;
            }
            let state = &key.row.state;
            let is_at_rest = state.used == 0
                && key.row.opens_at.is_none()
                && state.rate_free_at <= self.now.0.saturating_mul(1_000);
            if !is_at_rest {
                let (update, insert) =
                    (include_str!("../sql/update_key.sql"), include_str!("../sql/insert_key.sql"));
                let write = if key.row.is_stored { update } else { insert };
                let rate = state.rate.map(|rate| Json::new(&rate)).transpose().map_err(no_json)?;
                self.connection.prepare_cached(write)?.execute(params![
                    name,
                    signed(state.used),
                    state.rate_free_at,
                    rate.as_ref().map(Json::as_str),
                    key.row.opens_at.map(|at| at.0),
                ])?;
            } else if key.row.is_stored {
                self.connection.prepare_cached("DELETE FROM limit_keys WHERE key = ?1")?.execute([name])?;
            }
            key.row.is_stored = !is_at_rest;
        }
        Ok(())
    }
}
