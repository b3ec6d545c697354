use longhaul::{JobId, Lease, Result, State, Swept, lifecycle};
use rusqlite::Row;

use super::ends::Ends;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::row::unsigned;

impl WriteTx<'_> {
    /// Maintenance, at most about `limit` jobs of each sort. Every statement finds what is due by an index, so a sweep
    /// costs what there is to do.
    pub(crate) fn sweep(&mut self, limit: usize) -> Result<Swept> {
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        self.find_ended_dependencies(rows)?;
        self.settle()?;
        let expired = self.end_by_time(Ends::OfWaiting, rows)?;
        let mut swept = Swept { expired, promoted: self.promote_due(limit)?, ..Swept::default() };
        let now = self.lease_now.at.0;
        for lease in self.leases(include_str!("../sql/expired_leases.sql"), &[&now, &rows])? {
            let state = self.each(&lease, |tx| tx.crash(&lease))?.flatten();
            match state {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                Some(_) => swept.fenced += 1,
                None => {}
            }
        }
        swept.expired += self.end_by_time(Ends::OfRunning, rows)?;
        for lease in self.leases(include_str!("../sql/overdue_cancels.sql"), &[&now, &rows])? {
            swept.fenced += u64::from(self.each(&lease, |tx| tx.fence(&lease))? == Some(true));
        }
        self.release_what_is_held_on(rows).map_err(fault("give slots back"))?;
        swept.pruned = self.prune(rows)?;
        self.forget(rows)?;
        Ok(swept)
    }

    /// Gives back, at once, what the dead owner of the lock file was running.
    pub(super) fn take_over(&mut self) -> Result<u64> {
        let mut taken = 0;
        for lease in self.leases(include_str!("../sql/owned_leases.sql"), &[])? {
            taken += u64::from(self.crash(&lease)?.is_some());
        }
        self.connection
            .execute("UPDATE workers SET owned = 0 WHERE owned = 1", [])
            .map_err(fault("disown workers"))?;
        self.count_held_anew().map_err(fault("count the slots of limit keys"))?;
        Ok(taken)
    }

    /// Does something to a job. Where calls are kept apart, a job of which it fails is left for the next sweep, and keeps
    /// no other back.
    fn each<T>(&mut self, lease: &Lease, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        let isolation = self.isolation;
        Ok(self
            .run_isolated(isolation, work)?
            .inspect_err(|error| tracing::error!(job = %lease.id, "{error}"))
            .ok())
    }

    /// Takes a job from a worker that is dead or cut off. Answers the job's new state.
    fn crash(&mut self, lease: &Lease) -> Result<Option<State>> {
        let Some(row) = self.find_lease(lease)? else { return Ok(None) };
        let next = lifecycle::crash(&row.run, self.now);
        let state = next.state;
        self.end_run(&lease.id, row, next)?;
        self.settle()?;
        Ok(Some(state))
    }

    /// Ends a job that did not stop within the grace that its cancel gave it.
    fn fence(&mut self, lease: &Lease) -> Result<bool> {
        let Some(row) = self.find_lease(lease)? else { return Ok(false) };
        let next = lifecycle::fence(&row.run, self.now);
        self.end_run(&lease.id, row, next)?;
        self.settle()?;
        Ok(true)
    }

    fn leases(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<Lease>> {
        let read =
            |row: &Row<'_>| Ok(Lease { id: JobId::from_store(row.get(0)?), token: unsigned(row.get(1)?) });
        self.connection
            .prepare_cached(sql)
            .and_then(|mut find| find.query_map(parameters, read)?.collect())
            .map_err(fault("look for leases"))
    }
}
