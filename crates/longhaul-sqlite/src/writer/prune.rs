use longhaul::{AWAITED_FOR, Change, GONE_FOR, Keep, QueueConfig, Result, Retention, State};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;
use crate::error::fault;
use crate::row::{Columns, signed};

/// The time for which a silent worker's row is kept: well beyond any lease, so that a take-over still finds it.
const WORKER_ROW_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Pruning of finished jobs. Two indexes of `counts` find the queues that have any to prune, so that the others cost
/// nothing.
impl WriteTx<'_> {
    /// Removes at most `limit` finished jobs that their queues' retention no longer covers.
    pub(super) fn prune(&mut self, limit: i64) -> Result<u64> {
        let fault = fault("prune");
        // The counts are read below, and jobs may have ended in this very transaction.
        self.write_counts().map_err(&fault)?;
        let aged = self.prune_by_age(limit).map_err(&fault)?;
        self.write_counts().map_err(&fault)?;
        let pruned = aged + self.prune_by_count(limit - aged).map_err(&fault)?;
        if pruned > 0 {
            self.give_space_back()?;
        }
        Ok(pruned.unsigned_abs())
    }

    fn prune_by_age(&mut self, limit: i64) -> rusqlite::Result<i64> {
        let due: Vec<(String, State, QueueConfig)> = self
            .connection
            .prepare_cached(include_str!("../sql/prunable_by_age.sql"))?
            .query_map(params![self.now.0, limit], |row| {
                let mut columns = Columns::new(row);
                // A configuration that this release cannot read stands back for the default.
                Ok((columns.next(), columns.state(), columns.parsed().unwrap_or_default()))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut pruned = 0;
        for (queue, state, config) in due {
            let age = kept(&config.retention, state).age;
            if let Some(age) = age {
                pruned += self.remove_oldest(&queue, state, self.now.minus(age).0, limit - pruned)?;
            }
            let oldest: Option<i64> = self
                .connection
                .prepare_cached(include_str!("../sql/next_finished.sql"))?
                .query_row(params![queue, state.as_str()], |row| row.get(0))
                .optional()?;
            // A job that ends from now on counts from now at the earliest; one that holds its unique key counts from later.
            let next = age.map_or(i64::MAX, |age| {
                longhaul::Timestamp(oldest.unwrap_or(i64::MAX).min(self.now.0)).plus(age).0
            });
            self.connection
                .prepare_cached("UPDATE counts SET prune_at = ?3 WHERE queue = ?1 AND state = ?2")?
                .execute(params![queue, state.as_str(), next])?;
        }
        Ok(pruned)
    }

    fn prune_by_count(&mut self, limit: i64) -> rusqlite::Result<i64> {
        let above: Vec<(String, State, i64)> = self
            .connection
            .prepare_cached(include_str!("../sql/prunable_by_count.sql"))?
            .query_map([limit], |row| {
                let mut columns = Columns::new(row);
                Ok((columns.next(), columns.state(), columns.next()))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut pruned = 0;
        for (queue, state, surplus) in above {
            // A job whose key is held is kept, and not counted among those that are.
            let held: i64 = self
                .connection
                .prepare_cached(include_str!("../sql/count_held.sql"))?
                .query_row(params![queue, state.as_str(), self.now.0], |row| row.get(0))?;
            let surplus = (surplus - held).min(limit - pruned);
            pruned += self.remove_oldest(&queue, state, self.now.0, surplus)?;
        }
        Ok(pruned)
    }

    /// Removes the oldest finished jobs, of those whose retention counts from `kept_from` or earlier; it counts from later
    /// than now while a unique key is held, and where others depended on a job that have not ended.
    fn remove_oldest(
        &mut self,
        queue: &str,
        state: State,
        kept_from: i64,
        limit: i64,
    ) -> rusqlite::Result<i64> {
        if limit <= 0 {
            return Ok(0);
        }
        let seqs: Vec<i64> = self
            .connection
            .prepare_cached(include_str!("../sql/oldest_finished.sql"))?
            .query_map(params![queue, state.as_str(), kept_from, limit], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut removed = 0;
        for seq in seqs {
            if self.is_awaited(seq)? {
                self.connection
                    .prepare_cached("UPDATE jobs SET kept_from = ?2 WHERE seq = ?1")?
                    .execute([seq, self.now.plus(AWAITED_FOR).0])?;
            } else {
                self.remove(seq, queue, state)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes a finished job and leaves word that it was there.
    pub(super) fn remove(&mut self, seq: i64, queue: &str, state: State) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM events WHERE job = ?1")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([seq])?;
        let (id, key, kind, attempt, limit_key, held, children) = self
            .connection
            .prepare_cached(include_str!("../sql/remove_job.sql"))?
            .query_row([seq], |row| {
                let mut columns = Columns::new(row);
                let (id, key): (_, Option<String>) = (columns.id(), columns.next());
                let (kind, attempt) = (columns.next::<String>(), columns.next());
                let (limit_key, held) = (columns.next::<Option<String>>(), columns.next::<Option<i64>>());
                Ok((id, key, kind, attempt, limit_key, held, columns.next::<Option<i64>>()))
            })?;
        if children.is_some() {
            self.forget_expected_children(seq)?;
        }
        if let Some(held) = held {
            self.give_back(limit_key.as_deref().unwrap_or_default(), queue, held)?;
        }
        if let Some(key) = key {
            self.free_unique_key(&key, seq)?;
        }
        self.forget_dependencies(seq)?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO tombstones (id, expires_at) VALUES (?1, ?2)")?
            .execute(params![id.as_str(), self.now.plus(GONE_FOR).0])?;
        let change = Change { from: Some(state), ..self.change(&id, &kind, queue, attempt) };
        self.moved(seq, &change, None)?;
        self.notes.changed.push(id);
        Ok(())
    }

    /// Sets a queue's configuration, and notes beside its counts what a sweep must know of it.
    pub(crate) fn set_queue(&mut self, queue: &str, text: &str, config: &QueueConfig) -> Result<()> {
        let mut write = || {
            let before = self.limits_of_queue(queue)?;
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO queues (name, config) VALUES (?1, ?2)")?
                .execute(params![queue, text])?;
            for state in State::ALL.into_iter().filter(|state| state.is_finished()) {
                let most = kept(&config.retention, state).count.map(signed);
                self.connection
                    .prepare_cached(include_str!("../sql/set_retention.sql"))?
                    .execute(params![queue, state.as_str(), most])?;
            }
            self.set_queue_bound(queue, config)?;
            self.set_queue_limits(queue, before.as_ref(), config)?;
            self.set_fair(queue, config)
        };
        write().map_err(fault("configure a queue"))
    }

    /// Sets a queue's configuration where it is still `before`, and answers whether it was.
    pub(crate) fn update_queue(
        &mut self,
        queue: &str,
        before: &QueueConfig,
        text: &str,
        config: &QueueConfig,
    ) -> Result<bool> {
        let present = || {
            let mut find = self.connection.prepare_cached("SELECT config FROM queues WHERE name = ?1")?;
            find.query_row([queue], |row| Ok(Columns::new(row).parsed::<QueueConfig>())).optional()
        };
        // As `queues` reads it: one that this release cannot read stands back for the default.
        let present = present().map_err(fault("configure a queue"))?.flatten().unwrap_or_default();
        if present != *before {
            return Ok(false);
        }
        self.set_queue(queue, text, config).map(|()| true)
    }

    /// Drops keys, tombstones, pauses, samples and workers whose time is over.
    pub(super) fn forget(&self, limit: i64) -> Result<()> {
        let forget = || {
            for sql in [
                include_str!("../sql/forget_unique_keys.sql"),
                include_str!("../sql/forget_idempotency_keys.sql"),
                include_str!("../sql/forget_tombstones.sql"),
                include_str!("../sql/forget_pauses.sql"),
                include_str!("../sql/forget_samples.sql"),
            ] {
                self.connection.prepare_cached(sql)?.execute(params![self.now.0, limit])?;
            }
            let micros = self.now.0.saturating_mul(1_000);
            self.connection
                .prepare_cached(include_str!("../sql/forget_limit_keys.sql"))?
                .execute(params![micros, limit])?;
            if self.has_fair_queues {
                self.connection.prepare_cached(include_str!("../sql/forget_turns.sql"))?.execute([limit])?;
            }
            self.connection
                .prepare_cached(include_str!("../sql/forget_workers.sql"))?
                .execute(params![self.now.minus(WORKER_ROW_FOR).0, limit])
        };
        forget().map(drop).map_err(fault("forget what has expired"))
    }
}

/// The retention of the jobs that ended in a state.
fn kept(retention: &Retention, state: State) -> &Keep {
    match state {
        State::Completed => &retention.completed,
        State::Failed => &retention.failed,
        _ => &retention.cancelled,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::writer::scratch::Scratch;

    /// A file in which so many queues have history that is not due.
    fn idle(queues: u32) -> Scratch {
        let file = Scratch::new();
        let now = file.clock.now().0;
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes,
                               state_at, created_at, finished_at, kept_from, args)
             SELECT n, 'j' || n, 'k', 1, 'q' || n, 'completed', 0, ?2, ?2, 3, 5, ?2, ?2, ?2, ?2, '{}' FROM n";
        file.connection.execute(fill, params![queues, now]).unwrap();
        let count = "INSERT INTO counts (queue, state, n) SELECT queue, state, 1 FROM jobs";
        file.connection.execute(count, []).unwrap();
        // Whatever the first sweeps look at, they note.
        for _ in 0..queues.div_ceil(200) {
            sweep(&file);
        }
        file
    }

    fn sweep(file: &Scratch) -> (u64, u64) {
        let mut tx = file.begin();
        let mut pruned = 0;
        let steps = file.steps(|| pruned = tx.sweep(200).unwrap().pruned);
        tx.commit().unwrap();
        (steps, pruned)
    }

    #[test]
    fn a_sweep_of_ten_thousand_idle_queues_costs_what_one_of_a_single_queue_costs() {
        assert_eq!(sweep(&idle(10_000)), sweep(&idle(1)));
    }

    #[test]
    fn a_bound_that_is_set_later_is_kept_at_the_next_sweep() {
        let file = idle(3);
        assert_eq!(sweep(&file).1, 0);
        let config = |keep: Keep| QueueConfig {
            retention: Retention { completed: keep, ..Retention::default() },
            ..QueueConfig::default()
        };
        let mut tx = file.begin();
        let by_count = config(Keep { age: None, count: Some(0) });
        tx.set_queue("q1", "{}", &by_count).unwrap();
        let by_age = config(Keep { age: Some(Duration::from_secs(60)), count: None });
        tx.set_queue("q2", longhaul::Json::new(&by_age).unwrap().as_str(), &by_age).unwrap();
        tx.commit().unwrap();
        assert_eq!(sweep(&file).1, 1, "by count");
        file.clock.advance(Duration::from_secs(61));
        assert_eq!(sweep(&file).1, 1, "by age");
        file.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(sweep(&file).1, 1, "by the default");
    }

    #[test]
    fn jobs_that_an_older_release_ends_are_pruned_although_it_notes_no_time() {
        let file = idle(1);
        let mut tx = file.begin();
        tx.remove(1, "q1", State::Completed).unwrap();
        tx.commit().unwrap();
        sweep(&file);
        let copy =
            "INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts,
                                      max_crashes, state_at, created_at, finished_at, kept_from, args)
                    VALUES (2, 'j2', 'k', 1, 'q1', 'completed', 0, 1, 1, 3, 5, 1, 1, 1, 1, '{}')";
        file.connection.execute(copy, []).unwrap();
        let count = include_str!("../../tests/it/previous_release/add_count.sql");
        file.connection.execute(count, params!["q1", "completed", 1]).unwrap();
        file.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(sweep(&file).1, 1);
    }

    #[test]
    fn a_job_that_ends_after_one_whose_key_is_held_on_is_pruned_in_its_time() {
        let file = idle(1);
        let held = "UPDATE jobs SET kept_from = kept_from + 5000; UPDATE counts SET prune_at = 0";
        file.connection.execute_batch(held).unwrap();
        assert_eq!(sweep(&file).1, 0);
        let copy = "INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes,
                                      state_at, created_at, finished_at, kept_from, args)
                    VALUES (2, 'j2', 'k', 1, 'q1', 'completed', 0, 1, 1, 3, 5, 1, 1, ?1, ?1, '{}')";
        file.connection.execute(copy, [file.clock.now().0]).unwrap();
        file.connection.execute("UPDATE counts SET n = 2", []).unwrap();
        file.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(sweep(&file).1, 1);
        file.clock.advance(Duration::from_secs(5));
        assert_eq!(sweep(&file).1, 1);
    }

    #[test]
    fn a_configuration_that_cannot_be_read_stands_back_for_the_default() {
        let file = idle(1);
        file.connection
            .execute("INSERT INTO queues (name, config) VALUES ('q1', '{\"retention\": 7}')", [])
            .unwrap();
        file.clock.advance(Duration::from_secs(24 * 3600 + 1));
        assert_eq!(sweep(&file).1, 1);
    }
}
