use std::time::Duration;

use longhaul::lifecycle::{self, Times};
use longhaul::{
    AWAITED_FOR, CancelReason, Change, DEPENDANTS_LOOKED_AT, GONE_FOR, JobId, Keep, Lease, QueueConfig,
    Result, STOP_GRACE, State, Swept, Timestamp,
};
use tokio_postgres::Row;

use crate::row::{queue_config, rows_at_most, signed, small, state, unsigned};
use crate::target::Target;
use crate::write_tx::WriteTx;

/// Queues and states whose history one sweep looks at.
const LOOKS_AT_ONCE: i64 = 200;
/// The pause between looks at a history that has more jobs than it is to keep, all of which hold their unique keys.
const HELD_KEYS_EVERY: Duration = Duration::from_secs(10);
/// A history without jobs, or without a bound on their age, is looked at this often: the release before folds counts
/// without a word of it.
const EMPTY_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The finished jobs of a queue that are in one state.
struct History {
    queue: String,
    state: State,
    count: i64,
    keep: Keep,
}

impl WriteTx<'_> {
    /// Maintenance, at most about `limit` jobs of each sort. What another process is at is left to it.
    pub(crate) async fn sweep(&mut self, limit: usize) -> Result<Swept> {
        let rows = rows_at_most(limit);
        self.settle_all().await?;
        let expired = self.end_waiting(rows).await?;
        let mut swept = Swept { expired, promoted: self.promote_due(limit).await?, ..Swept::default() };
        for lease in self.leases(include_str!("sql/expired_leases.sql"), rows).await? {
            match self.crash(&lease).await? {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                Some(_) => swept.fenced += 1,
                None => {}
            }
        }
        swept.expired += self.end_running(rows).await?;
        for lease in self.leases(include_str!("sql/overdue_cancels.sql"), rows).await? {
            swept.fenced += u64::from(self.fence(&lease).await?);
        }
        self.settle().await?;
        // Jobs may have ended in this very transaction, and pruning goes by the counts.
        self.write_counts().await?;
        self.rows("count", include_str!("sql/fold_counts.sql"), &[]).await?;
        swept.pruned = self.prune(rows).await?;
        self.rows("forget", include_str!("sql/forget.sql"), &[&self.now.0, &rows]).await?;
        // Last, for everybody's claims pass over jobs with limit keys from here to the commit.
        self.tidy_limits(rows).await?;
        Ok(swept)
    }

    /// Cancels waiting jobs whose time is over.
    async fn end_waiting(&mut self, limit: i64) -> Result<u64> {
        let sql = include_str!("sql/over_waiting.sql");
        let rows = self.rows("look for jobs that are over", sql, &[&self.now.0, &limit]).await?;
        for row in &rows {
            let target = Target::read(row);
            let at = |column| row.get::<_, Option<i64>>(column).map(Timestamp);
            let times = Times { expires_at: at(17), deadline: at(18) };
            let reason = times.over(target.started_at, self.now).unwrap_or_default();
            self.cancel_waiting(&target, reason).await?;
        }
        // The last child to end may free a closing job.
        self.settle().await?;
        Ok(rows.len() as u64)
    }

    /// Asks running jobs to stop whose deadlines have passed.
    async fn end_running(&mut self, limit: i64) -> Result<u64> {
        let by = self.time.latest.plus(STOP_GRACE).min(Timestamp::MAX);
        let sql = include_str!("sql/over_running.sql");
        let rows = self.rows("look for jobs that are over", sql, &[&self.now.0, &limit, &by.0]).await?;
        let mut asked = 0;
        for row in &rows {
            let target = Target::read(row);
            asked += u64::from(self.ask_to_stop(&target, STOP_GRACE, CancelReason::Deadline).await?);
        }
        Ok(asked)
    }

    /// Takes a job from a worker that is dead or cut off. Answers the job's new state.
    async fn crash(&mut self, lease: &Lease) -> Result<Option<State>> {
        let Some(run) = self.find_lease(lease).await? else { return Ok(None) };
        let next = lifecycle::crash(&run.facts(), self.now);
        let state = next.state;
        self.end_run(lease, run, next).await?;
        Ok(Some(state))
    }

    /// Ends a job that did not stop within the grace that its cancel gave it.
    async fn fence(&mut self, lease: &Lease) -> Result<bool> {
        let Some(run) = self.find_lease(lease).await? else { return Ok(false) };
        let next = lifecycle::fence(&run.facts(), self.now);
        self.end_run(lease, run, next).await?;
        Ok(true)
    }

    async fn leases(&self, sql: &'static str, limit: i64) -> Result<Vec<Lease>> {
        let rows = self.rows("look for leases", sql, &[&self.now.0, &limit]).await?;
        let lease = |row: &Row| Lease { id: JobId::from_store(row.get(0)), token: unsigned(row.get(1)) };
        Ok(rows.iter().map(lease).collect())
    }

    /// Removes history that its queue's retention no longer covers. Only queues and states are looked at of which
    /// something may be due: see `prune_at` in `migrations/0003_containment.sql`.
    async fn prune(&mut self, limit: i64) -> Result<u64> {
        let sql = include_str!("sql/prunable.sql");
        let rows = self.rows("prune", sql, &[&self.now.0, &LOOKS_AT_ONCE]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let histories: Vec<History> = rows.iter().map(history).collect();
        let queues: Vec<&str> = histories.iter().map(|history| history.queue.as_str()).collect();
        let states: Vec<&str> = histories.iter().map(|history| history.state.as_str()).collect();
        let oldest = self.rows("prune", include_str!("sql/oldest_finished.sql"), &[&queues, &states]).await?;
        let (mut left, mut next_looks) = (limit, vec![0; histories.len()]);
        for row in oldest {
            let number = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            let Some(history) = histories.get(number) else { continue };
            next_looks[number] = self.prune_history(history, row.get(1), &mut left).await?;
        }
        let sql = include_str!("sql/set_prune_at.sql");
        self.rows("prune", sql, &[&queues, &states, &next_looks]).await?;
        Ok(unsigned(limit - left))
    }

    /// Prunes where something is due, and answers when to look again.
    async fn prune_history(&mut self, history: &History, oldest: Option<i64>, left: &mut i64) -> Result<i64> {
        let never = self.now.plus(EMPTY_EVERY).0;
        let Some(oldest) = oldest else { return Ok(never) };
        let History { queue, state, count, keep } = history;
        let by_age = keep.age.map(|age| self.now.minus(age).0);
        let is_over_count = keep.count.is_some_and(|most| *count > signed(most));
        if is_over_count || by_age.is_some_and(|bound| oldest <= bound) {
            if *left <= 0 {
                return Ok(self.now.0);
            }
            let pruned = self.prune_outcome(queue, *state, keep, *count, *left).await?;
            *left -= pruned;
            if pruned > 0 {
                return Ok(self.now.0);
            }
            if is_over_count {
                // Those beyond the count hold their unique keys, and are looked at again and again until they do not.
                return Ok(self.now.plus(HELD_KEYS_EVERY).0);
            }
        }
        // Whatever ends later is due later than this.
        Ok(keep.age.map_or(never, |age| Timestamp(oldest.min(self.now.0)).plus(age).0.max(self.now.0 + 1)))
    }

    async fn prune_outcome(
        &mut self,
        queue: &str,
        state: State,
        keep: &Keep,
        count: i64,
        limit: i64,
    ) -> Result<i64> {
        // `kept_from` lies in the future while a unique key is held, or a job is passed over that others depend on, so neither bound
        // ever reaches such a job.
        let by_age = keep.age.map(|age| (self.now.minus(age).0, i64::MAX));
        let by_count = match keep.count {
            Some(most) if count > signed(most) => self.end_of_newest(queue, state, most).await?,
            _ => None,
        };
        // Both are ends of the same order, so the later one covers the other.
        let Some((kept_from, last)) = by_age.into_iter().chain(by_count).max() else { return Ok(0) };
        let (forgotten, passed_over) = (self.now.plus(GONE_FOR).0, self.now.plus(AWAITED_FOR).0);
        let looked_at = rows_at_most(DEPENDANTS_LOOKED_AT);
        let sql = include_str!("sql/prune.sql");
        let state_name = state.as_str();
        let rows = self
            .rows(
                "prune",
                sql,
                &[&queue, &state_name, &kept_from, &last, &limit, &forgotten, &passed_over, &looked_at],
            )
            .await?;
        let pruned = rows_at_most(rows.len());
        for row in rows {
            let id = JobId::from_store(row.get(0));
            self.moved(Change {
                id: &id,
                kind: row.get(1),
                queue,
                from: Some(state),
                to: None,
                attempt: small(row.get(2)),
                at: self.now,
                since: None,
                error: None,
            });
            self.effects.changed.push(id);
        }
        Ok(pruned)
    }

    /// The newest job beyond the `most` newest whose keys are free; `None` where there are not so many.
    async fn end_of_newest(&self, queue: &str, state: State, most: u64) -> Result<Option<(i64, i64)>> {
        let sql = include_str!("sql/end_of_newest.sql");
        let rows = self.rows("prune", sql, &[&queue, &state.as_str(), &self.now.0, &signed(most)]).await?;
        Ok(rows.first().map(|row| (row.get(0), row.get(1))))
    }
}

fn history(row: &Row) -> History {
    let state = state(row, 1);
    let QueueConfig { retention, .. } = queue_config(row, 3);
    let keep = match state {
        State::Completed => retention.completed,
        State::Failed => retention.failed,
        _ => retention.cancelled,
    };
    History { queue: row.get(0), state, count: row.get(2), keep }
}
