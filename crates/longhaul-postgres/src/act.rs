use longhaul::{Action, GONE_FOR, JobId, Result, State, Timestamp};

use crate::error::key_locked;
use crate::row::{priority, state};
use crate::write_tx::{WriteTx, rank};

/// A job that an action may apply to, locked.
struct Target {
    seq: i64,
    queue: String,
    state: State,
    priority: i32,
    unique_key: Option<String>,
    batch: Option<i64>,
}

impl WriteTx<'_> {
    /// Does something to the jobs among `ids` that it applies to, and says to how many.
    pub(crate) async fn act(&mut self, ids: &[JobId], action: Action) -> Result<u64> {
        let mut done = 0;
        for id in ids {
            let Some(target) = self.target(id).await? else { continue };
            let applied = match (action, target.state) {
                (Action::Cancel { grace }, State::Running) => {
                    self.ask_to_stop(&target, self.time.plus(grace)).await?
                }
                (Action::Cancel { .. }, state) if !state.is_finished() => {
                    self.cancel_waiting(&target).await?
                }
                (Action::Retry, state) if state.is_finished() => self.retry(&target).await?,
                (Action::Delete, state) if state.is_finished() => self.delete(&target).await?,
                _ => false,
            };
            if applied {
                done += 1;
                self.effects.changed.push(id.clone());
                self.settle().await?;
            }
        }
        Ok(done)
    }

    async fn target(&self, id: &JobId) -> Result<Option<Target>> {
        let rows =
            self.rows("look a job up", include_str!("sql/job_for_action.sql"), &[&id.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Target {
            seq: row.get(0),
            queue: row.get(1),
            state: state(row, 2),
            priority: priority(row, 3),
            unique_key: row.get(4),
            batch: row.get(5),
        }))
    }

    async fn ask_to_stop(&self, target: &Target, by: Timestamp) -> Result<bool> {
        self.rows("cancel", include_str!("sql/ask_to_stop.sql"), &[&target.seq, &by.0]).await?;
        Ok(true)
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

    async fn retry(&mut self, target: &Target) -> Result<bool> {
        if let Some(key) = &target.unique_key {
            if !self.try_lock_keys(&[format!("u{key}")]).await?.is_empty() {
                return Err(key_locked());
            }
            if self.unique_holder(key).await?.is_some_and(|holder| holder.seq != target.seq) {
                return Ok(false);
            }
            self.hold_unique_key(key, target.seq).await?;
        }
        if target.state == State::Completed {
            self.rows("retry", include_str!("sql/forget_steps.sql"), &[&target.seq]).await?;
        }
        let rank = rank(self.now, target.priority);
        self.rows("retry", include_str!("sql/retry_job.sql"), &[&target.seq, &self.now.0, &rank]).await?;
        self.moved(&target.queue, Some(target.state), Some(State::Available));
        self.uncount_end(target.batch, target.state).await?;
        Ok(true)
    }

    async fn delete(&mut self, target: &Target) -> Result<bool> {
        let forgotten = self.now.plus(GONE_FOR).0;
        self.rows("delete", include_str!("sql/delete_job.sql"), &[&target.seq, &forgotten]).await?;
        self.moved(&target.queue, Some(target.state), None);
        Ok(true)
    }
}
