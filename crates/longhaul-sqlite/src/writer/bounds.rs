use std::iter;

use longhaul::lifecycle::waiting::{self, Admission, Bound};
use longhaul::{CancelReason, Change, Full, KeyConfig, NewJob, OnFull, QueueConfig, State};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;
use crate::limit_key::{each_key, end_of_prefix};
use crate::row::{Columns, signed, unsigned};

/// The bound on waiting jobs of a queue or of a limit key, and the treatment of a job above it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxWaiting {
    most: u64,
    on_full: OnFull,
}

/// Bounds on waiting jobs, which are those available or scheduled. A queue's are counted by its `counts`; those of a
/// limit key, and of a queue that drops its oldest, have a row each. Without a bound none of these is read.
impl WriteTx<'_> {
    /// Decides on a new job that is to wait; with the owners of its bounds, in the order of the bounds.
    pub(super) fn admission(&mut self, job: &NewJob) -> rusqlite::Result<(Admission, Vec<Full>)> {
        let (mut of, mut bounds) = (Vec::new(), Vec::new());
        for place in places(job) {
            if let Some(bound) = self.bound(&place)? {
                of.push(place);
                bounds.push(bound);
            }
        }
        Ok((waiting::admission(&bounds), of))
    }

    /// Cancels the oldest waiting job of each full bound of a new job.
    pub(super) fn drop_oldest(&mut self, job: &NewJob) -> rusqlite::Result<()> {
        for place in places(job) {
            if self.bound(&place)?.is_none_or(|bound| !bound.is_full()) {
                continue;
            }
            let name = match &place {
                Full::Queue(queue) => of_queue(queue),
                Full::Key(key) => of_key(key),
            };
            if let Some(oldest) = self.oldest_waiting(&name)?
                && let Some(found) = self.job(oldest)?
            {
                self.cancel_waiting(&found.id, &found.target, CancelReason::Dropped)?;
                self.notes.changed.push(found.id);
            }
        }
        Ok(())
    }

    /// The state of a bound; `None` without a bound.
    fn bound(&mut self, place: &Full) -> rusqlite::Result<Option<Bound>> {
        let (bound, waiting) = match place {
            Full::Queue(queue) => {
                let Some(bound) = self.queue_bound(queue)? else { return Ok(None) };
                (bound, self.waiting_in_queue(queue)?)
            }
            Full::Key(key) => {
                let Some(bound) = self.key_bound(key)? else { return Ok(None) };
                (bound, self.waiting_of_key(key)?)
            }
        };
        let MaxWaiting { most, on_full } = bound;
        Ok(Some(Bound { waiting, max_waiting: most, on_full }))
    }

    /// The bound of a queue.
    fn queue_bound(&mut self, queue: &str) -> rusqlite::Result<Option<MaxWaiting>> {
        if !self.has_queue_bounds {
            return Ok(None);
        }
        if let Some(known) = self.queue_bounds.get(queue) {
            return Ok(*known);
        }
        let find = "SELECT config FROM queues WHERE name = ?1 AND max_waiting IS NOT NULL";
        let config: Option<QueueConfig> = self
            .connection
            .prepare_cached(find)?
            .query_row([queue], |row| Ok(Columns::new(row).parsed()))
            .optional()?
            .flatten();
        let bound = config
            .and_then(|config| config.max_waiting.map(|most| MaxWaiting { most, on_full: config.on_full }));
        self.queue_bounds.insert(queue.to_owned(), bound);
        Ok(bound)
    }

    /// The bound of a limit key.
    fn key_bound(&mut self, key: &str) -> rusqlite::Result<Option<MaxWaiting>> {
        if !self.has_key_bounds {
            return Ok(None);
        }
        let KeyConfig { max_waiting, on_full, .. } = self.key(key)?.limits;
        Ok(max_waiting.map(|most| MaxWaiting { most, on_full }))
    }

    /// The number of waiting jobs of a queue.
    fn waiting_in_queue(&self, queue: &str) -> rusqlite::Result<u64> {
        let sql = include_str!("../sql/count_waiting_in_queue.sql");
        let stored: i64 = self.connection.prepare_cached(sql)?.query_row([queue], |row| row.get(0))?;
        Ok(unsigned(stored + self.notes.waiting_in(queue)))
    }

    /// The number of waiting jobs of a limit key.
    fn waiting_of_key(&self, key: &str) -> rusqlite::Result<u64> {
        let find = "SELECT n FROM bounded_counts WHERE bound = ?1";
        let found = self.connection.prepare_cached(find)?.query_row([of_key(key)], |row| row.get(0));
        Ok(unsigned(found.optional()?.unwrap_or(0)))
    }

    /// The oldest job that waits in a queue or of a limit key.
    fn oldest_waiting(&self, bound: &str) -> rusqlite::Result<Option<i64>> {
        loop {
            let sql = include_str!("../sql/oldest_bounded.sql");
            let oldest: Option<(i64, bool)> = self
                .connection
                .prepare_cached(sql)?
                .query_row([bound], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match oldest {
                Some((job, false)) => self.note_waiting(bound, job, Waits::NoMore)?,
                found => return Ok(found.map(|(job, _)| job)),
            }
        }
    }

    /// Keeps what is known of bounds in step with a job that changes its state.
    pub(super) fn track(
        &mut self,
        seq: i64,
        change: &Change<'_>,
        keys: Option<&str>,
    ) -> rusqlite::Result<()> {
        let waits = |state: Option<State>| state.is_some_and(waiting::counts);
        let waits = match (waits(change.from), waits(change.to)) {
            (false, true) => Waits::Now,
            (true, false) => Waits::NoMore,
            _ => return Ok(()),
        };
        if self.queue_bound(change.queue)?.is_some_and(|bound| bound.on_full == OnFull::DropOldest) {
            self.note_waiting(&of_queue(change.queue), seq, waits)?;
        }
        self.track_keys(seq, keys, waits)
    }

    fn track_keys(&mut self, seq: i64, keys: Option<&str>, waits: Waits) -> rusqlite::Result<()> {
        for key in keys.into_iter().flat_map(each_key) {
            if self.key_bound(key)?.is_some() {
                self.note_waiting(&of_key(key), seq, waits)?;
            }
        }
        Ok(())
    }

    fn note_waiting(&self, bound: &str, job: i64, waits: Waits) -> rusqlite::Result<()> {
        let (sql, by) = match waits {
            Waits::Now => ("INSERT OR IGNORE INTO bounded_jobs (bound, job) VALUES (?1, ?2)", 1),
            Waits::NoMore => ("DELETE FROM bounded_jobs WHERE bound = ?1 AND job = ?2", -1),
        };
        // What is noted twice counts once.
        if self.connection.prepare_cached(sql)?.execute(params![bound, job])? > 0 {
            let count = include_str!("../sql/count_bounded.sql");
            self.connection.prepare_cached(count)?.execute(params![bound, by])?;
        }
        Ok(())
    }

    /// Notes the bound of a queue. Where it drops its oldest, this costs a look at each job that waits in it.
    pub(super) fn set_queue_bound(&mut self, queue: &str, config: &QueueConfig) -> rusqlite::Result<()> {
        let bound = "UPDATE queues SET max_waiting = ?2 WHERE name = ?1";
        self.connection.prepare_cached(bound)?.execute(params![queue, config.max_waiting.map(signed)])?;
        self.has_queue_bounds |= config.max_waiting.is_some();
        self.queue_bounds.remove(queue);
        if !self.has_queue_bounds {
            return Ok(());
        }
        let name = of_queue(queue);
        self.forget_bounds(&name, &behind(&name))?;
        if config.max_waiting.is_some() && config.on_full == OnFull::DropOldest {
            let note = include_str!("../sql/note_waiting_in_queue.sql");
            let noted = self.connection.prepare_cached(note)?.execute(params![name, queue])?;
            let count = include_str!("../sql/count_bounded.sql");
            self.connection.prepare_cached(count)?.execute(params![name, signed(noted as u64)])?;
        }
        Ok(())
    }

    /// Counts anew what waits of a limit key, or of those of a prefix, because other limits hold for them. Where any of them
    /// has a bound, this costs a look at each job with limit keys that waits.
    pub(super) fn set_key_bound(&mut self, key: &str, config: Option<&KeyConfig>) -> rusqlite::Result<()> {
        let most = config.and_then(|config| config.max_waiting);
        if most.is_some() {
            let bound = "UPDATE key_configs SET max_waiting = ?2 WHERE key = ?1";
            self.connection.prepare_cached(bound)?.execute(params![key, most.map(signed)])?;
        }
        if most.is_none() && !self.has_key_bounds {
            return Ok(());
        }
        self.has_key_bounds = true;
        let prefix = key.strip_suffix('*');
        match prefix {
            None => self.forget_bounds(&of_key(key), &behind(&of_key(key)))?,
            Some(prefix) => {
                let name = of_key(prefix);
                self.forget_bounds(&name, &end_of_prefix(&name).unwrap_or_default())?;
            }
        }
        let is_meant = |name: &str| prefix.map_or(name == key, |prefix| name.starts_with(prefix));
        let mut found: Vec<(i64, String)> = Vec::new();
        let mut find = self.connection.prepare_cached(include_str!("../sql/waiting_with_keys.sql"))?;
        let mut rows = find.query([])?;
        while let Some(row) = rows.next()? {
            let keys: String = row.get(1)?;
            let seq = row.get(0)?;
            let meant = each_key(&keys).filter(|name| is_meant(name));
            found.extend(meant.map(|name| (seq, name.to_owned())));
        }
        drop(rows);
        for (seq, name) in found {
            if self.key_bound(&name)?.is_some() {
                self.note_waiting(&of_key(&name), seq, Waits::Now)?;
            }
        }
        Ok(())
    }

    /// Forgets the jobs and counts of the bounds from a name up to another, without that one.
    fn forget_bounds(&self, from: &str, to: &str) -> rusqlite::Result<()> {
        for table in ["bounded_jobs", "bounded_counts"] {
            let forget = format!("DELETE FROM {table} WHERE bound >= ?1 AND bound < ?2");
            self.connection.prepare_cached(&forget)?.execute([from, to])?;
        }
        Ok(())
    }
}

/// The places that may bound a new job: its queue and its limit keys.
fn places(job: &NewJob) -> impl Iterator<Item = Full> {
    let keys = job.limit_keys.iter().cloned().map(Full::Key);
    iter::once(Full::Queue(job.queue.to_string())).chain(keys)
}

/// A job that comes to wait, or ceases to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Now,
    NoMore,
}

/// The name of a queue's bound in `bounded_jobs`.
fn of_queue(queue: &str) -> String {
    format!("q{queue}")
}

/// The name of a limit key's bound there.
fn of_key(key: &str) -> String {
    format!("k{key}")
}

/// The first text behind a name: no name has a character as low as this.
fn behind(name: &str) -> String {
    format!("{name}\u{1}")
}
