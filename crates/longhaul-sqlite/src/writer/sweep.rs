use longhaul::{AttemptError, GONE_FOR, JobId, Keep, Lease, QueueConfig, Result, State, Swept};
use rusqlite::{OptionalExtension, Row, params};

use super::Batch;
use super::finish::{End, unchanged};
use crate::error::fault;
use crate::row::{signed, unsigned};

/// How long a silent worker's row is kept: well beyond any lease, so that a take-over still finds it.
const WORKER_ROW_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl Batch<'_> {
    /// Maintenance, at most about `limit` jobs of each sort.
    pub(crate) fn sweep(&mut self, limit: usize) -> Result<Swept> {
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut swept = Swept { promoted: self.promote_due(limit)?, ..Swept::default() };
        let expired = self.leases(include_str!("../sql/expired_leases.sql"), &[&self.now.0, &rows])?;
        for lease in expired {
            match self.crash(&lease)? {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                Some(_) => swept.fenced += 1,
                None => {}
            }
        }
        let overdue = self.leases(include_str!("../sql/overdue_cancels.sql"), &[&self.now.0, &rows])?;
        for lease in overdue {
            swept.fenced += u64::from(self.fence(&lease)?);
        }
        self.settle()?;
        swept.pruned = self.prune(rows)?;
        self.forget(rows).map_err(fault("forget what has expired"))?;
        Ok(swept)
    }

    /// Takes a job from a worker that is dead or cut off. Answers the job's new state.
    fn crash(&mut self, lease: &Lease) -> Result<Option<State>> {
        let Some(run) = self.find_lease(lease)? else { return Ok(None) };
        let crashes = run.crashes + 1;
        let state = if run.cancel_by.is_some() {
            State::Cancelled
        } else if crashes > run.max_crashes {
            State::Failed
        } else {
            State::Available
        };
        let error = AttemptError::crash(crashes, run.max_crashes);
        let error = Some(AttemptError { attempt: run.attempt, at: self.now, ..error });
        // The job keeps its `run_at`, and with it its place: what was begun goes before what was not.
        let end = End { state, attempt: run.attempt.saturating_sub(1), crashes, error, ..unchanged(&run) };
        self.end_run(lease, run, end)?;
        Ok(Some(state))
    }

    /// Ends a job that did not stop within the grace that its cancel gave it.
    fn fence(&mut self, lease: &Lease) -> Result<bool> {
        let Some(run) = self.find_lease(lease)? else { return Ok(false) };
        let error = Some(AttemptError { attempt: run.attempt, at: self.now, ..AttemptError::fenced() });
        let end = End { state: State::Cancelled, error, ..unchanged(&run) };
        self.end_run(lease, run, end)?;
        Ok(true)
    }

    /// Gives back, at once, what the dead owner of the lock file was running.
    pub(super) fn take_over(&mut self) -> Result<u64> {
        let leases = self.leases(include_str!("../sql/owned_leases.sql"), &[])?;
        let mut taken = 0;
        for lease in leases {
            taken += u64::from(self.crash(&lease)?.is_some());
        }
        self.settle()?;
        self.connection
            .execute("UPDATE workers SET owned = 0 WHERE owned = 1", [])
            .map_err(fault("disown workers"))?;
        Ok(taken)
    }

    fn leases(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<Lease>> {
        let read =
            |row: &Row<'_>| Ok(Lease { id: JobId::from_store(row.get(0)?), token: unsigned(row.get(1)?) });
        self.connection
            .prepare_cached(sql)
            .and_then(|mut find| find.query_map(parameters, read)?.collect())
            .map_err(fault("look for leases"))
    }

    /// Removes history that its queue's retention no longer covers.
    fn prune(&mut self, limit: i64) -> Result<u64> {
        let fault = fault("prune");
        // The counts are read below, and jobs may have ended in this very transaction.
        self.write_counts().map_err(&fault)?;
        let mut left = limit;
        for (queue, config, counts) in self.queues_with_history().map_err(&fault)? {
            let retention = config.retention;
            let outcomes = [
                (State::Completed, retention.completed),
                (State::Failed, retention.failed),
                (State::Cancelled, retention.cancelled),
            ];
            for ((state, keep), count) in outcomes.into_iter().zip(counts) {
                if count > 0 && left > 0 {
                    left -= self.prune_outcome(&queue, state, &keep, count, left).map_err(&fault)?;
                }
            }
        }
        let pruned = limit - left;
        if pruned > 0 {
            // Gives pages back to the file system, a few at a time.
            self.connection.execute_batch("PRAGMA incremental_vacuum(256)").map_err(&fault)?;
        }
        Ok(unsigned(pruned))
    }

    fn prune_outcome(
        &mut self,
        queue: &str,
        state: State,
        keep: &Keep,
        count: i64,
        limit: i64,
    ) -> rusqlite::Result<i64> {
        // `kept_from` lies in the future while a unique key is held, so neither bound ever reaches such a job.
        let by_age = keep.age.map(|age| (self.now.minus(age).0, i64::MAX));
        let by_count = keep.count.filter(|most| count > signed(*most));
        let by_count = by_count.map(|most| self.end_of_newest(queue, state, most)).transpose()?.flatten();
        let mut pruned = 0;
        // Both are ends of the same order, so the later one covers the other.
        if let Some((kept_from, last)) = by_age.into_iter().chain(by_count).max() {
            let seqs: Vec<i64> = self
                .connection
                .prepare_cached(include_str!("../sql/prunable.sql"))?
                .query_map(params![queue, state.as_str(), kept_from, last, limit], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for seq in seqs {
                self.remove(seq, queue, state)?;
                pruned += 1;
            }
        }
        Ok(pruned)
    }

    /// The newest job beyond the `most` newest whose keys are free; `None` where there are not so many.
    fn end_of_newest(&self, queue: &str, state: State, most: u64) -> rusqlite::Result<Option<(i64, i64)>> {
        self.connection
            .prepare_cached(include_str!("../sql/end_of_newest.sql"))?
            .query_row(params![queue, state.as_str(), self.now.0, signed(most)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
    }

    /// Removes a finished job and leaves word that it was there.
    pub(super) fn remove(&mut self, seq: i64, queue: &str, state: State) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM events WHERE job = ?1")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([seq])?;
        let (id, key): (String, Option<String>) = self
            .connection
            .prepare_cached("DELETE FROM jobs WHERE seq = ?1 RETURNING id, unique_key")?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let Some(key) = key {
            self.free_unique_key(&key, seq)?;
        }
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO tombstones (id, expires_at) VALUES (?1, ?2)")?
            .execute(params![id, self.now.plus(GONE_FOR).0])?;
        self.moved(queue, Some(state), None);
        self.changed.push(JobId::from_store(id));
        Ok(())
    }

    /// The queues that have finished jobs, with how many are completed, failed and cancelled.
    fn queues_with_history(&self) -> rusqlite::Result<Vec<(String, QueueConfig, [i64; 3])>> {
        self.connection
            .prepare_cached(include_str!("../sql/queues_with_history.sql"))?
            .query_map([], |row| {
                let config = crate::row::parsed(row, 1)?.unwrap_or_default();
                Ok((row.get(0)?, config, [row.get(2)?, row.get(3)?, row.get(4)?]))
            })?
            .collect()
    }

    /// Drops keys, tombstones and workers whose time is over.
    fn forget(&self, limit: i64) -> rusqlite::Result<()> {
        for sql in [
            include_str!("../sql/forget_unique_keys.sql"),
            include_str!("../sql/forget_idempotency_keys.sql"),
            include_str!("../sql/forget_tombstones.sql"),
        ] {
            self.connection.prepare_cached(sql)?.execute(params![self.now.0, limit])?;
        }
        // There are few: one for each limit key that was ever reached.
        self.connection.prepare_cached("DELETE FROM pauses WHERE until <= ?1")?.execute([self.now.0])?;
        self.connection
            .prepare_cached("DELETE FROM workers WHERE seen_at <= ?1")?
            .execute([self.now.minus(WORKER_ROW_FOR).0])?;
        Ok(())
    }
}
