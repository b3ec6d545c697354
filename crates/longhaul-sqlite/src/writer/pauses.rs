use std::time::Duration;

use longhaul::{JobId, State, Timestamp, lifecycle};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;

/// Limit keys that are paused. Only jobs that have a key cost a look here.
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
        id: JobId,
        queue: &str,
        priority: i32,
        until: Timestamp,
    ) -> rusqlite::Result<()> {
        self.connection.prepare_cached(include_str!("../sql/postpone_job.sql"))?.execute(params![
            seq,
            self.now.0,
            until.0,
            lifecycle::rank(until, priority)
        ])?;
        self.moved(queue, Some(State::Available), Some(State::Scheduled));
        self.notes.changed.push(id);
        Ok(())
    }
}
