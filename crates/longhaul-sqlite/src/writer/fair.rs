use longhaul::lifecycle::limits;
use longhaul::{Cost, KeyConfig, QueueConfig};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;
use crate::row::{signed, unsigned};

/// The turns of a fair queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct FairQueue {
    /// The latest that was taken.
    turn: i64,
    /// The next of its jobs without limit keys.
    pub(super) plain_turn: i64,
    has_changed: bool,
}

/// Queues whose limit keys take turns. The turns of groups are in their rows, and those of keys of which nothing waits are
/// kept where they are later than the queue's.
impl WriteTx<'_> {
    /// The turns of a queue; `None` where it is not fair. Costs nothing where no queue is.
    pub(super) fn fair_queue(&mut self, queue: &str) -> rusqlite::Result<Option<FairQueue>> {
        if !self.has_fair_queues {
            return Ok(None);
        }
        if let Some(known) = self.fair.get(queue) {
            return Ok(*known);
        }
        let find = "SELECT turn, plain_turn FROM fair_queues WHERE queue = ?1";
        let found = self
            .connection
            .prepare_cached(find)?
            .query_row([queue], |row| {
                Ok(FairQueue { turn: row.get(0)?, plain_turn: row.get(1)?, has_changed: false })
            })
            .optional()?;
        self.fair.insert(queue.to_owned(), found);
        Ok(found)
    }

    /// The turn of limit keys of which a job comes to wait in a fair queue; `None` where the queue is not fair.
    pub(super) fn turn_of_arrival(&mut self, queue: &str, keys: &str) -> rusqlite::Result<Option<i64>> {
        let Some(fair) = self.fair_queue(queue)? else { return Ok(None) };
        if keys.is_empty() {
            self.arrived_without_keys(queue, 0)?;
            return Ok(self.fair_queue(queue)?.map(|fair| fair.plain_turn));
        }
        let of_others = "SELECT turn FROM key_groups WHERE several = (instr(?1, ',') > 0) AND limit_key = ?1 AND queue = ?2 LIMIT 1";
        let mut find = self.connection.prepare_cached(of_others)?;
        if let Some(turn) = find.query_row(params![keys, queue], |row| row.get(0)).optional()? {
            return Ok(Some(turn));
        }
        let kept = "SELECT turn FROM fair_turns WHERE queue = ?1 AND limit_key = ?2";
        let mut find = self.connection.prepare_cached(kept)?;
        let kept: Option<i64> = find.query_row(params![queue, keys], |row| row.get(0)).optional()?;
        Ok(Some(fair.turn.max(kept.unwrap_or(0))))
    }

    /// Keeps the turn of limit keys of which no job waits in a fair queue any more. That of jobs without keys is the queue's.
    pub(super) fn keep_turn(&mut self, queue: &str, keys: &str, turn: i64) -> rusqlite::Result<()> {
        let Some(fair) = self.fair_queue(queue)? else { return Ok(()) };
        if turn > fair.turn && !keys.is_empty() {
            let keep = "INSERT OR REPLACE INTO fair_turns (queue, limit_key, turn) VALUES (?1, ?2, ?3)";
            self.connection.prepare_cached(keep)?.execute(params![queue, keys, turn])?;
        }
        Ok(())
    }

    /// A job without limit keys has become available in a queue: where it is the only one, its turn is not before the queue's.
    pub(super) fn plain_arrived(&mut self, queue: &str) -> rusqlite::Result<()> {
        self.arrived_without_keys(queue, 1)
    }

    /// The same, of one that counts among so many plain ones: one that prefers something waits in a group.
    fn arrived_without_keys(&mut self, queue: &str, plain: i64) -> rusqlite::Result<()> {
        let Some(fair) = self.fair_queue(queue)? else { return Ok(()) };
        if fair.plain_turn < fair.turn && self.waits_alone(queue, plain)? {
            let turns = FairQueue { plain_turn: fair.turn, has_changed: true, ..fair };
            self.fair.insert(queue.to_owned(), Some(turns));
        }
        Ok(())
    }

    /// True where no more than so many plain jobs wait in a queue, and no group of jobs without limit keys.
    fn waits_alone(&self, queue: &str, plain: i64) -> rusqlite::Result<bool> {
        let group = "SELECT 1 FROM key_groups WHERE several = 0 AND limit_key = '' AND queue = ?1";
        if self.has_groups && self.connection.prepare_cached(group)?.exists([queue])? {
            return Ok(false);
        }
        let mut next = self.connection.prepare_cached(include_str!("../sql/next_lane.sql"))?;
        let mut count = self.connection.prepare_cached(include_str!("../sql/count_plain.sql"))?;
        let (mut kind, mut version, mut waiting) = (String::new(), 0_u32, 0);
        while waiting <= plain
            && let Some(lane) = next
                .query_row(params![queue, kind, version], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?
        {
            (kind, version) = lane;
            waiting +=
                count.query_row(params![queue, kind, version, plain + 1], |row| row.get::<_, i64>(0))?;
        }
        Ok(waiting <= plain)
    }

    /// The turn that follows one in which a job of these keys was taken; none, or an empty text, where the job has no keys.
    pub(super) fn next_turn(
        &mut self,
        queue: &str,
        keys: Option<&str>,
        turn: i64,
        cost: &Cost,
    ) -> rusqlite::Result<i64> {
        let keys = keys.filter(|keys| !keys.is_empty());
        let limits = match keys.and_then(|keys| keys.split(',').next()) {
            Some(first) => self.key(first)?.limits,
            None => KeyConfig::default(),
        };
        let Some(fair) = self.fair_queue(queue)? else { return Ok(turn) };
        let next = signed(limits::next_turn(unsigned(turn), unsigned(fair.turn), cost, &limits));
        let plain_turn = if keys.is_none() { next } else { fair.plain_turn };
        let turns = FairQueue { turn: fair.turn.max(turn), plain_turn, has_changed: true };
        self.fair.insert(queue.to_owned(), Some(turns));
        Ok(next)
    }

    /// Makes a queue fair, or ends that; all turns begin anew. This is the one change that costs a look at each group of the
    /// queue.
    pub(super) fn set_fair(&mut self, queue: &str, config: &QueueConfig) -> rusqlite::Result<()> {
        self.write_turns()?;
        let changed = if config.fair {
            let begin = "INSERT OR IGNORE INTO fair_queues (queue, turn, plain_turn) VALUES (?1, 0, 0)";
            self.connection.prepare_cached(begin)?.execute([queue])?
        } else if self.has_fair_queues {
            self.connection.prepare_cached("DELETE FROM fair_queues WHERE queue = ?1")?.execute([queue])?
        } else {
            0
        };
        self.fair.remove(queue);
        self.has_fair_queues |= config.fair;
        if changed > 0 {
            self.connection.prepare_cached("DELETE FROM fair_turns WHERE queue = ?1")?.execute([queue])?;
            self.connection
                .prepare_cached(include_str!("../sql/order_groups.sql"))?
                .execute(params![queue, config.fair])?;
            self.notes.make_available(queue);
        }
        Ok(())
    }

    /// Writes the turns that have been taken so far.
    pub(super) fn write_turns(&mut self) -> rusqlite::Result<()> {
        for (queue, turns) in &mut self.fair {
            if let Some(turns) = turns.as_mut().filter(|turns| turns.has_changed) {
                turns.has_changed = false;
                self.connection
                    .prepare_cached("UPDATE fair_queues SET turn = ?2, plain_turn = ?3 WHERE queue = ?1")?
                    .execute(params![queue, turns.turn, turns.plain_turn])?;
            }
        }
        Ok(())
    }
}
