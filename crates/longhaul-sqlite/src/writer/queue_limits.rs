use longhaul::lifecycle::limits;
use longhaul::{Cost, KeyConfig, QueueConfig, Timestamp};
use rusqlite::params;

use super::write_tx::WriteTx;
use crate::limit_key::{self, key_of_queue};
use crate::row::unsigned;

/// Slots and rates of queues: what is taken of them is kept as of a limit key that all of a queue's jobs have. None of it is looked
/// at where no queue is limited.
impl WriteTx<'_> {
    /// The limits of a queue; `None` where it has none.
    pub(super) fn limits_of_queue(&mut self, queue: &str) -> rusqlite::Result<Option<KeyConfig>> {
        if !self.has_queue_limits {
            return Ok(None);
        }
        if let Some(known) = self.limited_queues.get(queue) {
            return Ok(*known);
        }
        let found = limit_key::limits_of_queue(self.connection, queue)?;
        self.limited_queues.insert(queue.to_owned(), found);
        Ok(found)
    }

    /// The most jobs that a claim may take of a queue by its free slots, since each job takes at least one.
    pub(super) fn free_in_queue(&mut self, queue: &str, wanted: usize) -> rusqlite::Result<usize> {
        let Some(slots) = self.limits_of_queue(queue)?.and_then(|limits| limits.slots) else {
            return Ok(wanted);
        };
        let used = self.key(&key_of_queue(queue))?.state.used;
        // One that takes more than all slots runs alone.
        let least = u64::from(used == 0);
        let free = u64::from(slots).saturating_sub(used).max(least);
        Ok(wanted.min(usize::try_from(free).unwrap_or(usize::MAX)))
    }

    /// True where a queue lets its next job be claimed. Where time alone will, the claims of the queue look again then.
    pub(super) fn queue_admits(&mut self, queue: &str, cost: &Cost) -> rusqlite::Result<bool> {
        if self.limits_of_queue(queue)?.is_none() {
            return Ok(true);
        }
        let now = self.now;
        let row = self.key(&key_of_queue(queue))?;
        let Some(closed) = limits::closed(&row.limits, &row.state, cost, now) else { return Ok(true) };
        if let Some(until) = closed.until()
            && row.opens_at.is_none_or(|opens_at| until < opens_at)
        {
            row.opens_at = Some(until);
            row.has_changed = true;
            self.notes.scheduled = true;
        }
        Ok(false)
    }

    /// Takes of a queue what a run costs. Answers false where the queue has no limits, so that nothing is to be given back.
    pub(super) fn take_of_queue(&mut self, queue: &str, cost: &Cost) -> rusqlite::Result<bool> {
        if self.limits_of_queue(queue)?.is_none() {
            return Ok(false);
        }
        let now = self.now;
        let row = self.key(&key_of_queue(queue))?;
        row.state = limits::take(&row.limits, &row.state, cost, now);
        row.has_changed = true;
        Ok(true)
    }

    pub(super) fn give_back_to_queue(&mut self, queue: &str, held: i64) -> rusqlite::Result<()> {
        if self.limits_of_queue(queue)?.is_none() {
            return Ok(());
        }
        let row = self.key(&key_of_queue(queue))?;
        row.state = limits::give_back(&row.state, held.unsigned_abs());
        row.has_changed = true;
        self.notes.make_available(queue);
        Ok(())
    }

    /// Has the rate of a queue count what a run took in truth.
    pub(super) fn settle_queue(&mut self, queue: &str, reserved: u32, actual: u32) -> rusqlite::Result<()> {
        if self.limits_of_queue(queue)?.is_none() {
            return Ok(());
        }
        let now = self.now;
        let row = self.key(&key_of_queue(queue))?;
        row.state = limits::settle(&row.limits, &row.state, reserved, actual, now);
        row.has_changed = true;
        self.notes.make_available(queue);
        Ok(())
    }

    /// The rate of a queue may admit its next job.
    pub(super) fn open_queue(&mut self, queue: &str) -> rusqlite::Result<()> {
        let row = self.key(&key_of_queue(queue))?;
        row.opens_at = None;
        row.has_changed = true;
        // A claim that finds the queue closed also notes when to look again.
        self.notes.scheduled = true;
        self.notes.make_available(queue);
        Ok(())
    }

    /// A job has ceased to wait without being claimed: it may have kept back those behind it in a queue that is limited.
    pub(super) fn made_way(&mut self, queue: &str) -> rusqlite::Result<()> {
        if self.limits_of_queue(queue)?.is_some() {
            self.notes.make_available(queue);
        }
        Ok(())
    }

    /// Notes the limits of a queue, whose configuration is written already. What runs counts: this is the one change that costs a
    /// look at each running job.
    pub(super) fn set_queue_limits(
        &mut self,
        queue: &str,
        before: Option<&KeyConfig>,
        config: &QueueConfig,
    ) -> rusqlite::Result<()> {
        let limits = config.is_limited().then(|| config.limits());
        let note = "UPDATE queues SET limited = ?2 WHERE name = ?1";
        self.connection.prepare_cached(note)?.execute(params![queue, limits.map(|_| 1)])?;
        self.has_queue_limits |= limits.is_some();
        self.limited_queues.insert(queue.to_owned(), limits);
        if limits.as_ref() == before {
            return Ok(());
        }
        let name = key_of_queue(queue);
        // Before what runs is counted anew: given back by a later sweep, these slots would be taken from that count.
        self.release_what_is_held_on(i64::MAX)?;
        if before.is_none() {
            self.connection.prepare_cached(include_str!("../sql/hold_for_queue.sql"))?.execute([queue])?;
            // Their ends must give the slots back.
            self.forget_leased();
        }
        let sql = include_str!("../sql/held_of_queue.sql");
        let held: i64 = self.connection.prepare_cached(sql)?.query_row([queue], |row| row.get(0))?;
        let row = self.key(&name)?;
        let old_rate = before.and_then(|before| before.rate);
        row.limits = limits.unwrap_or_default();
        row.opens_at = None;
        row.state.used = if limits.is_some() { unsigned(held) } else { 0 };
        if old_rate != row.limits.rate {
            (row.state.rate_free_at, row.state.rate) = (0, None);
        }
        row.has_changed = true;
        self.notes.make_available(queue);
        self.notes.scheduled = true;
        Ok(())
    }

    /// Lets claims look again at jobs that have waited long enough for the workers that they prefer.
    pub(super) fn look_at_preferring_jobs(&mut self) {
        let now = self.now;
        // They are forgotten with the commit.
        for (queue, _) in self.preferred_until.iter().filter(|(_, at)| **at <= now) {
            self.notes.make_available(queue);
        }
    }

    /// Notes when a claim of a queue is to look again at a job that waits for the workers that it prefers.
    pub(super) fn look_again_at(&mut self, queue: &str, at: Timestamp) {
        match self.preferred_until.get_mut(queue) {
            Some(known) if *known <= at && *known > self.now => return,
            Some(known) => *known = at,
            None => drop(self.preferred_until.insert(queue.to_owned(), at)),
        }
        self.notes.scheduled = true;
    }
}
