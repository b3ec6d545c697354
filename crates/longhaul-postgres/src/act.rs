use std::collections::HashMap;

use longhaul::lifecycle::{self, Deed};
use longhaul::{Acted, Action, GONE_FOR, JobFilter, JobId, Result, State, Timestamp};

use crate::error::key_locked;
use crate::read::{Values, conditions, references};
use crate::row::{priority, state};
use crate::write_tx::WriteTx;

/// A job that an action may apply to, locked.
struct Target {
    seq: i64,
    queue: String,
    state: State,
    priority: i32,
    unique_key: Option<String>,
    batch: Option<i64>,
    cancel_by: Option<i64>,
}

impl WriteTx<'_> {
    /// Applies an action to the jobs among `ids` that still fit the filter, and answers how many these are and how many
    /// it changed.
    pub(crate) async fn act(&mut self, ids: &[JobId], filter: &JobFilter, action: &Action) -> Result<Acted> {
        let mut targets = self.targets(ids, filter).await?;
        let mut acted = Acted::default();
        for id in ids {
            let Some(mut target) = targets.remove(id.as_str()) else { continue };
            // A child that came earlier in `ids` was its last: it waits no more, and may fit the filter no more.
            if self.freed.contains(&target.seq) {
                match self.targets(std::slice::from_ref(id), filter).await?.remove(id.as_str()) {
                    Some(freed) => target = freed,
                    None => continue,
                }
            }
            acted.matched += 1;
            let applied = match lifecycle::act(target.state, action) {
                // Goes when this store sets priorities.
                Deed::Nothing | Deed::SetPriority(_) => false,
                Deed::AskToStop(grace) => {
                    let by = lifecycle::cancel_by(target.cancel_by.map(Timestamp), grace, self.time.latest);
                    let sql = include_str!("sql/ask_to_stop.sql");
                    self.rows("cancel", sql, &[&target.seq, &by.0]).await?;
                    true
                }
                Deed::Cancel => self.cancel_waiting(&target).await?,
                Deed::StartAnew => self.start_anew(&target).await?,
                Deed::Remove => self.remove(&target).await?,
            };
            if applied {
                acted.done += 1;
                self.effects.changed.push(id.clone());
                self.settle().await?;
            }
        }
        Ok(acted)
    }

    /// Locks the jobs that fit now, whatever they did when they were looked for: the lock is taken where the filter is
    /// checked, so nothing changes between the check and the write.
    async fn targets(&self, ids: &[JobId], filter: &JobFilter) -> Result<HashMap<String, Target>> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let mut values: Values = vec![Box::new(ids)];
        let conditions = conditions(filter, &mut values)?;
        let sql = include_str!("sql/jobs_for_action.sql").replace("{conditions}", &conditions);
        let rows = self.rows_unprepared("look jobs up", &sql, &references(&values)).await?;
        let target = |row: &tokio_postgres::Row| {
            let target = Target {
                seq: row.get(1),
                queue: row.get(2),
                state: state(row, 3),
                priority: priority(row, 4),
                unique_key: row.get(5),
                batch: row.get(6),
                cancel_by: row.get(7),
            };
            (row.get(0), target)
        };
        Ok(rows.iter().map(target).collect())
    }

    async fn cancel_waiting(&mut self, target: &Target) -> Result<bool> {
        self.rows("cancel", include_str!("sql/cancel_job.sql"), &[&target.seq, &self.now.0]).await?;
        if let Some(key) = &target.unique_key {
            self.free_unique_key(key, target.seq).await?;
        }
        self.moved(&target.queue, Some(target.state), Some(State::Cancelled));
        self.child_ended(target.batch, State::Cancelled);
        Ok(true)
    }

    async fn start_anew(&mut self, target: &Target) -> Result<bool> {
        if let Some(key) = &target.unique_key {
            if !self.try_lock_keys(&[format!("u{key}")]).await?.is_empty() {
                return Err(key_locked());
            }
            let holder = self.unique_holders(&[key]).await?.remove(key);
            if holder.is_some_and(|holder| holder.seq != target.seq) {
                return Ok(false);
            }
            self.hold_unique_keys(&[key], &[target.seq]).await?;
        }
        if target.state == State::Completed {
            self.rows("retry", include_str!("sql/forget_steps.sql"), &[&target.seq]).await?;
        }
        let rank = lifecycle::rank(self.now, target.priority);
        self.rows("retry", include_str!("sql/retry_job.sql"), &[&target.seq, &self.now.0, &rank]).await?;
        self.moved(&target.queue, Some(target.state), Some(State::Available));
        self.uncount_end(target.batch, target.state).await?;
        Ok(true)
    }

    async fn remove(&mut self, target: &Target) -> Result<bool> {
        let forgotten = self.now.plus(GONE_FOR).0;
        self.rows("delete", include_str!("sql/delete_job.sql"), &[&target.seq, &forgotten]).await?;
        self.moved(&target.queue, Some(target.state), None);
        Ok(true)
    }
}
