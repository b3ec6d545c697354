use longhaul::{Action, JobId, Result, State, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::Batch;
use super::batch::rank;
use crate::error::fault;
use crate::row::state;

/// What an action must know of a job.
struct Target {
    seq: i64,
    queue: String,
    state: State,
    priority: i32,
    unique_key: Option<String>,
    batch: Option<i64>,
}

impl Batch<'_> {
    /// Does something to the jobs among `ids` that it applies to, and says to how many.
    pub(crate) fn act(&mut self, ids: &[JobId], action: Action) -> Result<u64> {
        let mut done = 0;
        for id in ids {
            let Some(target) = self.target(id).map_err(fault("look a job up"))? else { continue };
            let applied = match (action, target.state) {
                (Action::Cancel { grace }, State::Running) => self.ask_to_stop(&target, self.now.plus(grace)),
                (Action::Cancel { .. }, state) if !state.is_finished() => self.cancel_waiting(&target),
                (Action::Retry, state) if state.is_finished() => self.retry(&target),
                (Action::Delete, state) if state.is_finished() => {
                    self.remove(target.seq, &target.queue, state).map(|()| true)
                }
                _ => Ok(false),
            };
            if applied.map_err(fault("act on a job"))? {
                done += 1;
                self.changed.push(id.clone());
                self.settle()?;
            }
        }
        Ok(done)
    }

    fn target(&self, id: &JobId) -> rusqlite::Result<Option<Target>> {
        self.connection
            .prepare_cached(include_str!("../sql/job_for_action.sql"))?
            .query_row([id.as_str()], |row| {
                Ok(Target {
                    seq: row.get(0)?,
                    queue: row.get(1)?,
                    state: state(row, 2)?,
                    priority: row.get(3)?,
                    unique_key: row.get(4)?,
                    batch: row.get(5)?,
                })
            })
            .optional()
    }

    /// A second request may shorten the grace and cannot lengthen it.
    fn ask_to_stop(&self, target: &Target, by: Timestamp) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("UPDATE jobs SET cancel_by = min(coalesce(cancel_by, ?2), ?2) WHERE seq = ?1")?
            .execute(params![target.seq, by.0])?;
        Ok(true)
    }

    fn cancel_waiting(&mut self, target: &Target) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(include_str!("../sql/cancel_job.sql"))?
            .execute(params![target.seq, self.now.0])?;
        if let Some(key) = &target.unique_key {
            self.free_unique_key(key, target.seq)?;
        }
        self.moved(&target.queue, Some(target.state), Some(State::Cancelled));
        self.child_ended(target.batch, State::Cancelled);
        Ok(true)
    }

    fn retry(&mut self, target: &Target) -> rusqlite::Result<bool> {
        if let Some(key) = &target.unique_key {
            if self.unique_holder(key)?.is_some_and(|holder| holder.seq != target.seq) {
                return Ok(false);
            }
            self.hold_unique_key(key, target.seq)?;
        }
        if target.state == State::Completed {
            self.connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([target.seq])?;
            self.connection
                .prepare_cached("UPDATE jobs SET steps = 0 WHERE seq = ?1")?
                .execute([target.seq])?;
        }
        self.connection.prepare_cached(include_str!("../sql/retry_job.sql"))?.execute(params![
            target.seq,
            self.now.0,
            rank(self.now, target.priority)
        ])?;
        self.moved(&target.queue, Some(target.state), Some(State::Available));
        self.uncount_end(target.batch, target.state)?;
        Ok(true)
    }
}
