use std::time::Duration;

use longhaul::lifecycle::{self, Deed};
use longhaul::{
    Action, CancelReason, Change, Cost, JobFilter, JobId, Json, Payloads, Result, State, Timestamp, WaitsFor,
};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params, params_from_iter};

use super::groups::{Keyed, cost_of};
use super::keys::UniqueKey;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::filter;
use crate::limit_key::stored_rank;
use crate::row::{Columns, job_columns, job_record};

/// The parts of a job's row that an action looks at.
pub(super) struct Target {
    pub(super) seq: i64,
    pub(super) queue: String,
    pub(super) state: State,
    pub(super) priority: i32,
    batch: Option<i64>,
    cancel_by: Option<i64>,
    pub(super) kind: String,
    pub(super) attempt: u32,
    pub(super) run_at: Timestamp,
    pub(super) limit_key: Option<String>,
    pub(super) version: u32,
    pub(super) cost: Cost,
    unique: Option<UniqueKey>,
    /// The event that it waits for, if it is blocked by more than its children.
    waits_for: Option<WaitsFor>,
}

/// Reads the columns of `job_for_action.sql`.
pub(super) fn read_target(columns: &mut Columns<'_, '_>) -> Target {
    Target {
        seq: columns.next(),
        queue: columns.next(),
        state: columns.state(),
        priority: columns.next(),
        batch: columns.next(),
        cancel_by: columns.next(),
        kind: columns.next(),
        attempt: columns.next(),
        run_at: columns.time(),
        limit_key: columns.next(),
        version: columns.next(),
        cost: cost_of(columns.parsed()),
        unique: UniqueKey::read(columns),
        waits_for: columns.word(),
    }
}

impl Target {
    /// Its entry for its group; `None` without limit keys.
    pub(super) fn keyed(&self, rank: i64) -> Option<Keyed<'_>> {
        let (seq, version, cost) = (self.seq, self.version, self.cost);
        self.limit_key.as_deref().map(|keys| Keyed { keys, seq, version, rank, cost, held: None })
    }
}

/// The result of an action on some jobs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Jobs that fitted the filter still.
    pub(crate) matched: u64,
    /// Jobs that were changed.
    pub(crate) done: u64,
}

impl WriteTx<'_> {
    /// Does something to those among `ids` that fit the filter now, under the lock that writes: a job that has changed
    /// since it was looked for is left alone.
    pub(crate) fn act(&mut self, ids: &[JobId], filter: &JobFilter, action: &Action) -> Result<Done> {
        let mut values = vec![Value::Null];
        let conditions = filter::conditions(filter, &mut values);
        let sql = format!("{} AND {conditions}", include_str!("../sql/job_for_action.sql").trim_end());
        let mut acted = Done::default();
        for id in ids {
            values[0] = Value::Text(id.as_str().to_owned());
            let target = self.target(&sql, &values).map_err(fault("look a job up"))?;
            let Some(target) = target else { continue };
            if !filter.terms.is_empty()
                && !self.fits_terms(&target, filter).map_err(fault("look a job up"))?
            {
                continue;
            }
            acted.matched += 1;
            if self.act_on(id, &target, action).map_err(fault("act on a job"))? {
                acted.done += 1;
                self.notes.changed.push(id.clone());
                self.settle()?;
            }
        }
        Ok(acted)
    }

    fn target(&self, sql: &str, values: &[Value]) -> rusqlite::Result<Option<Target>> {
        self.connection
            .prepare_cached(sql)?
            .query_row(params_from_iter(values), |row| Ok(read_target(&mut Columns::new(row))))
            .optional()
    }

    /// True where what no statement knows of the filter holds, too.
    fn fits_terms(&self, target: &Target, filter: &JobFilter) -> rusqlite::Result<bool> {
        // Terms do not look at outputs.
        let columns = job_columns(Payloads::Whole, Payloads::Short);
        self.connection
            .prepare_cached(&format!("SELECT {columns} FROM jobs WHERE seq = ?1"))?
            .query_row([target.seq], |row| Ok(filter.fits_terms(&job_record(row)?.0)))
    }

    /// Answers false where the action does not apply.
    fn act_on(&mut self, id: &JobId, target: &Target, action: &Action) -> rusqlite::Result<bool> {
        match lifecycle::act(target.state, target.waits_for.as_ref(), action) {
            Deed::Nothing => return Ok(false),
            Deed::AskToStop(grace, reason) => return self.ask_to_stop(target, grace, reason),
            Deed::Cancel(reason) => self.cancel_waiting(id, target, reason)?,
            Deed::StartAnew => {
                let args = if let Action::RetryWith { args } = action { Some(args) } else { None };
                return self.retry(id, target, args, None);
            }
            Deed::StartFromStep => {
                let Action::RetryFrom { step, args } = action else { return Ok(false) };
                return Ok(
                    self.has_step(target.seq, step)? && self.retry(id, target, args.as_ref(), Some(step))?
                );
            }
            Deed::Remove => self.remove(target.seq, &target.queue, target.state)?,
            Deed::SetPriority(priority) if priority == target.priority => return Ok(false),
            Deed::SetPriority(priority) => {
                let rank = lifecycle::rank(target.run_at, priority);
                let stored = stored_rank(target.state, target.limit_key.as_deref(), rank);
                self.connection
                    .prepare_cached(include_str!("../sql/set_priority.sql"))?
                    .execute(params![target.seq, self.now.0, priority, stored])?;
                if target.state == State::Available {
                    self.made_way(&target.queue)?;
                    if let Some(job) = target.keyed(rank) {
                        self.reprioritized(id, &target.kind, &target.queue, &job)?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Asks a running job to stop. Answers false where it was asked to stop as soon already.
    pub(super) fn ask_to_stop(
        &mut self,
        target: &Target,
        grace: Duration,
        reason: CancelReason,
    ) -> rusqlite::Result<bool> {
        // The grace ends on the clock of leases, as the lease itself does.
        let earlier = target.cancel_by.map(Timestamp);
        let Some(by) = lifecycle::cancel_by(earlier, grace, self.lease_now.at) else { return Ok(false) };
        self.connection.prepare_cached(include_str!("../sql/ask_to_stop.sql"))?.execute(params![
            target.seq,
            by.0,
            reason.as_str(),
            self.now.0
        ])?;
        Ok(true)
    }

    /// Cancels a job that waits.
    pub(super) fn cancel_waiting(
        &mut self,
        id: &JobId,
        target: &Target,
        reason: CancelReason,
    ) -> rusqlite::Result<()> {
        let kept_from = self.key_ended(target.unique.as_ref(), target.seq, State::Cancelled)?;
        self.connection.prepare_cached(include_str!("../sql/cancel_job.sql"))?.execute(params![
            target.seq,
            self.now.0,
            reason.as_str(),
            kept_from.0
        ])?;
        let change = self.change(id, &target.kind, &target.queue, target.attempt);
        let rank = lifecycle::rank(target.run_at, target.priority);
        let change = Change { from: Some(target.state), to: Some(State::Cancelled), ..change };
        self.moved(target.seq, &change, target.keyed(rank).as_ref())?;
        if target.state == State::Blocked {
            self.end_wait(target.seq)?;
        }
        self.ended(target.seq, target.batch, State::Cancelled);
        Ok(())
    }

    /// Starts a job anew, from a step where one is named.
    fn retry(
        &mut self,
        id: &JobId,
        target: &Target,
        args: Option<&Json>,
        from: Option<&str>,
    ) -> rusqlite::Result<bool> {
        if let Some(unique) = &target.unique {
            if self.unique_holder(&unique.key)?.is_some_and(|holder| holder.seq != target.seq) {
                return Ok(false);
            }
            self.hold_unique_key(unique, target.seq)?;
        }
        let forgotten = match from {
            Some(step) => {
                let forget = include_str!("../sql/forget_steps_from.sql");
                self.connection.prepare_cached(forget)?.execute(params![target.seq, step])?
            }
            None if target.state == State::Completed || args.is_some() => {
                self.connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([target.seq])?
            }
            None => 0,
        };
        if forgotten > 0 {
            let count = "UPDATE jobs SET steps = (SELECT count(*) FROM steps WHERE job = ?1) WHERE seq = ?1";
            self.connection.prepare_cached(count)?.execute([target.seq])?;
        }
        if target.state == State::Blocked {
            self.end_wait(target.seq)?;
        }
        let rank = lifecycle::rank(self.now, target.priority);
        self.connection.prepare_cached(include_str!("../sql/retry_job.sql"))?.execute(params![
            target.seq,
            self.now.0,
            stored_rank(State::Available, target.limit_key.as_deref(), rank),
            args.map(Json::as_str),
        ])?;
        let change = self.change(id, &target.kind, &target.queue, 0);
        let change = Change { from: Some(target.state), to: Some(State::Available), ..change };
        self.moved(target.seq, &change, target.keyed(rank).as_ref())?;
        if target.state.is_finished() {
            self.uncount_end(target.batch, target.state)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use longhaul::{AttemptError, ErrorKind, Outcome};
    use longhaul_conformance::jobs::{claim, completed, finish, id, named};

    use super::*;
    use crate::writer::scratch::Scratch;

    #[test]
    fn a_bulk_retry_leaves_alone_a_job_that_has_completed_since_it_was_looked_for() {
        let file = Scratch::new();
        let mut tx = file.begin();
        tx.enqueue(&[named("a")]).unwrap();
        let failed = JobFilter { states: vec![State::Failed], ..JobFilter::default() };
        let first = tx.claim(&claim()).unwrap().remove(0).lease;
        let error = AttemptError::new(ErrorKind::Fatal, "no");
        tx.finish(&[finish(&first, Outcome::Failed { error })]).unwrap();
        // Two bulk retries find it. One acts at once, and the job completes before the other does.
        assert_eq!(tx.act(&[id("a")], &failed, &Action::Retry).unwrap().done, 1);
        let second = tx.claim(&claim()).unwrap().remove(0).lease;
        tx.finish(&[finish(&second, completed())]).unwrap();
        let late = tx.act(&[id("a")], &failed, &Action::Retry).unwrap();
        assert_eq!((late.matched, late.done), (0, 0));
        let again = tx.act(&[id("a")], &JobFilter::default(), &Action::Retry).unwrap();
        assert_eq!((again.matched, again.done), (1, 1), "where any state will do, it is retried");
    }
}
