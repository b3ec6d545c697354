use std::time::Duration;

use longhaul::{Lease, LeaseStatus, Result, WorkerInfo};
use rusqlite::{OptionalExtension, params};

use super::Batch;
use super::finish::held;
use crate::error::fault;
use crate::row::signed;

impl Batch<'_> {
    /// Extends leases, and notes that their worker lives.
    pub(crate) fn heartbeat(
        &mut self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.note_worker(worker)?;
        let until = self.now.plus(lease_for).0;
        let extend = |lease: &Lease| {
            let cancel_by: Option<Option<i64>> = self
                .connection
                .prepare_cached(include_str!("../sql/heartbeat.sql"))?
                .query_row(params![lease.id.as_str(), signed(lease.token), until], |row| row.get(0))
                .optional()?;
            Ok(cancel_by.map_or(LeaseStatus::Lost, held))
        };
        leases.iter().map(extend).collect::<rusqlite::Result<_>>().map_err(fault("extend a lease"))
    }
}
