use std::time::Duration;

use longhaul::{Change, Claimed, Result, State, Timestamp, lifecycle};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;
use crate::error::fault;

/// Limit keys and queues that are paused. Of limit keys, only jobs that have a key cost a look here.
impl WriteTx<'_> {
    /// Pauses a key, and answers when the pause ends, which another run may have set further off.
    pub(super) fn pause(&self, key: &str, delay: Duration) -> rusqlite::Result<Timestamp> {
        let until = lifecycle::pause_until(delay, self.paused_until(key)?, self.now);
        self.connection
            .prepare_cached(include_str!("../sql/pause_limit_key.sql"))?
            .execute(params![key, until.0])?;
        Ok(until)
    }

    /// When the pause of a key ends, where it has one that goes on.
    pub(super) fn paused_until(&self, key: &str) -> rusqlite::Result<Option<Timestamp>> {
        self.connection
            .prepare_cached(include_str!("../sql/pause_of_limit_key.sql"))?
            .query_row(params![key, self.now.0], |row| row.get(0).map(Timestamp))
            .optional()
    }

    /// Lets an available job wait for the end of its key's pause: a claim meets it once, and not again before that.
    pub(super) fn postpone(
        &mut self,
        seq: i64,
        claimed: Claimed,
        priority: i32,
        until: Timestamp,
    ) -> rusqlite::Result<()> {
        let Claimed { lease, kind, queue, attempt, .. } = claimed;
        self.connection.prepare_cached(include_str!("../sql/postpone_job.sql"))?.execute(params![
            seq,
            self.now.0,
            until.0,
            lifecycle::rank(until, priority)
        ])?;
        // It was to be its next attempt.
        let change = self.change(&lease.id, &kind, &queue, attempt.saturating_sub(1));
        self.moved(&Change { from: Some(State::Available), to: Some(State::Scheduled), ..change });
        self.notes.changed.push(lease.id);
        Ok(())
    }

    /// Keeps a queue's jobs from being claimed.
    pub(crate) fn pause_queue(&mut self, queue: &str) -> Result<()> {
        let pause = "INSERT OR IGNORE INTO paused_queues (queue) VALUES (?1)";
        let paused = self.connection.prepare_cached(pause).and_then(|mut pause| pause.execute([queue]));
        paused.map_err(fault("pause a queue"))?;
        self.has_paused_queues = true;
        Ok(())
    }

    /// Gives a queue's jobs to claims again, and wakes those that wait.
    pub(crate) fn resume_queue(&mut self, queue: &str) -> Result<()> {
        let resume = "DELETE FROM paused_queues WHERE queue = ?1";
        let resumed = self.connection.prepare_cached(resume).and_then(|mut resume| resume.execute([queue]));
        if resumed.map_err(fault("resume a queue"))? > 0 {
            self.notes.make_available(queue);
        }
        Ok(())
    }

    /// True where no claim is given jobs of a queue. Costs nothing where no queue is paused.
    pub(super) fn is_paused(&self, queue: &str) -> Result<bool> {
        if !self.has_paused_queues {
            return Ok(false);
        }
        self.connection
            .prepare_cached(include_str!("../sql/pause_of_queue.sql"))
            .and_then(|mut find| find.exists([queue]))
            .map_err(fault("look for a paused queue"))
    }
}
