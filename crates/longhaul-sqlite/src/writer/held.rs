use std::collections::HashMap;

use rusqlite::params;

use super::write_tx::WriteTx;
use crate::limit_key::{each_key, key_of_queue, queue_of_key};
use crate::row::unsigned;

/// Slots of limit keys and of queues that no other code gives back; they are found because a job's row stores the slots
/// of its run.
impl WriteTx<'_> {
    /// Gives back what jobs take that do not run, because a process of an earlier release has ended their runs; at most
    /// `limit` of them.
    pub(super) fn release_what_is_held_on(&mut self, limit: i64) -> rusqlite::Result<()> {
        let found: Vec<(i64, String, String, i64)> = self
            .connection
            .prepare_cached(include_str!("../sql/held_on.sql"))?
            .query_map([limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (seq, keys, queue, held) in found {
            self.release_held(seq, &keys, &queue, held)?;
        }
        Ok(())
    }

    /// Gives back what a job takes that does not run.
    pub(super) fn release_held(
        &mut self,
        seq: i64,
        keys: &str,
        queue: &str,
        held: i64,
    ) -> rusqlite::Result<()> {
        self.connection.prepare_cached("UPDATE jobs SET held = NULL WHERE seq = ?1")?.execute([seq])?;
        self.give_back(keys, queue, held)
    }

    /// Counts what the jobs that run take of each key, in place of what is noted: whatever was lost, by a row that went
    /// missing with its job, is found when the file is opened.
    pub(super) fn count_held_anew(&mut self) -> rusqlite::Result<()> {
        // What others take still is not counted, and so must not be given back by a later sweep.
        self.release_what_is_held_on(i64::MAX)?;
        let mut used: HashMap<String, u64> = HashMap::new();
        let sql = "SELECT coalesce(limit_key, ''), queue, held FROM jobs WHERE state = 'running' AND held IS NOT NULL";
        let mut find = self.connection.prepare(sql)?;
        let mut rows = find.query([])?;
        while let Some(row) = rows.next()? {
            let (keys, queue, held): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let queue = self.limits_of_queue(&queue)?.map(|_| key_of_queue(&queue));
            for key in each_key(&keys).map(str::to_owned).chain(queue) {
                *used.entry(key).or_default() += unsigned(held);
            }
        }
        let mut find = self.connection.prepare("SELECT key FROM limit_keys WHERE used > 0")?;
        let noted: Vec<String> =
            find.query_map(params![], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for key in noted {
            used.entry(key).or_default();
        }
        for (name, used) in used {
            let key = self.key(&name)?;
            if key.state.used != used {
                key.state.used = used;
                key.has_changed = true;
                match queue_of_key(&name) {
                    Some(queue) => self.notes.make_available(queue),
                    None => drop(self.notes.given_back.insert(name)),
                }
            }
        }
        Ok(())
    }
}
