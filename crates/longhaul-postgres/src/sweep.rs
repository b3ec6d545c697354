use std::time::Duration;

use longhaul::{AttemptError, GONE_FOR, JobId, Keep, Lease, QueueConfig, Result, State, Swept};

use crate::write_tx::WriteTx;
use crate::finish::{End, unchanged};
use crate::row::{parsed, rows_at_most, signed, unsigned};

/// How long a silent worker's row is kept.
const WORKER_ROW_FOR: Duration = Duration::from_secs(24 * 3600);

impl WriteTx<'_> {
    /// Maintenance, at most about `limit` jobs of each sort. What another process is at is left to it.
    pub(crate) async fn sweep(&mut self, limit: usize) -> Result<Swept> {
        let rows = rows_at_most(limit);
        let mut swept = Swept { promoted: self.promote_due(limit).await?, ..Swept::default() };
        for lease in self.leases(include_str!("sql/expired_leases.sql"), rows).await? {
            match self.crash(&lease).await? {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                Some(_) => swept.fenced += 1,
                None => {}
            }
        }
        for lease in self.leases(include_str!("sql/overdue_cancels.sql"), rows).await? {
            swept.fenced += u64::from(self.fence(&lease).await?);
        }
        self.settle().await?;
        swept.pruned = self.prune(rows).await?;
        let silent = self.now.minus(WORKER_ROW_FOR).0;
        self.rows("forget", include_str!("sql/forget.sql"), &[&self.now.0, &rows, &silent]).await?;
        self.rows("count", include_str!("sql/fold_counts.sql"), &[]).await?;
        Ok(swept)
    }

    /// Takes a job from a worker that is dead or cut off. Answers the job's new state.
    async fn crash(&mut self, lease: &Lease) -> Result<Option<State>> {
        let Some(run) = self.find_lease(lease).await? else { return Ok(None) };
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
        self.end_run(lease, run, end).await?;
        Ok(Some(state))
    }

    /// Ends a job that did not stop within the grace that its cancel gave it.
    async fn fence(&mut self, lease: &Lease) -> Result<bool> {
        let Some(run) = self.find_lease(lease).await? else { return Ok(false) };
        let error = Some(AttemptError { attempt: run.attempt, at: self.now, ..AttemptError::fenced() });
        let end = End { state: State::Cancelled, error, ..unchanged(&run) };
        self.end_run(lease, run, end).await?;
        Ok(true)
    }

    async fn leases(&self, sql: &'static str, limit: i64) -> Result<Vec<Lease>> {
        let rows = self.rows("look for leases", sql, &[&self.now.0, &limit]).await?;
        let lease = |row: &tokio_postgres::Row| Lease {
            id: JobId::from_store(row.get(0)),
            token: unsigned(row.get(1)),
        };
        Ok(rows.iter().map(lease).collect())
    }

    /// Removes history that its queue's retention no longer covers.
    async fn prune(&mut self, limit: i64) -> Result<u64> {
        // The counts are read below, and jobs may have ended in this very transaction.
        self.write_counts().await?;
        let mut left = limit;
        for row in self.rows("prune", include_str!("sql/queues_with_history.sql"), &[]).await? {
            let queue: &str = row.get(0);
            let config: QueueConfig = parsed(&row, 1)?.unwrap_or_default();
            let outcomes = [
                (State::Completed, config.retention.completed),
                (State::Failed, config.retention.failed),
                (State::Cancelled, config.retention.cancelled),
            ];
            for (column, (state, keep)) in (2..).zip(outcomes) {
                let count: i64 = row.get(column);
                if count > 0 && left > 0 {
                    left -= self.prune_outcome(queue, state, &keep, count, left).await?;
                }
            }
        }
        Ok(unsigned(limit - left))
    }

    async fn prune_outcome(
        &mut self,
        queue: &str,
        state: State,
        keep: &Keep,
        count: i64,
        limit: i64,
    ) -> Result<i64> {
        // `kept_from` lies in the future while a unique key is held, so neither bound ever reaches such a job.
        let by_age = keep.age.map(|age| (self.now.minus(age).0, i64::MAX));
        let by_count = match keep.count {
            Some(most) if count > signed(most) => self.end_of_newest(queue, state, most).await?,
            _ => None,
        };
        // Both are ends of the same order, so the later one covers the other.
        let Some((kept_from, last)) = by_age.into_iter().chain(by_count).max() else { return Ok(0) };
        let forgotten = self.now.plus(GONE_FOR).0;
        let sql = include_str!("sql/prune.sql");
        let rows = self
            .rows("prune", sql, &[&queue, &state.as_str(), &kept_from, &last, &limit, &forgotten])
            .await?;
        let pruned = rows_at_most(rows.len());
        self.moved_many(queue, Some(state), None, pruned);
        self.effects.changed.extend(rows.iter().map(|row| JobId::from_store(row.get(0))));
        Ok(pruned)
    }

    /// The newest job beyond the `most` newest whose keys are free; `None` where there are not so many.
    async fn end_of_newest(&self, queue: &str, state: State, most: u64) -> Result<Option<(i64, i64)>> {
        let sql = include_str!("sql/end_of_newest.sql");
        let rows = self.rows("prune", sql, &[&queue, &state.as_str(), &self.now.0, &signed(most)]).await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    }
}
