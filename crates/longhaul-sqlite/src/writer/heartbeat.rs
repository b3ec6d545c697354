use std::time::Duration;

use longhaul::{Json, Lease, LeaseStatus, Result, Timestamp, WORKER_SEEN_FOR, WorkerInfo, process_id};
use rusqlite::{OptionalExtension, params};

use super::run::held;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::row::signed;

impl WriteTx<'_> {
    /// Extends leases, and notes that their worker lives.
    pub(crate) fn heartbeat(
        &mut self,
        worker: &WorkerInfo,
        leases: &[Lease],
        lease_for: Duration,
    ) -> Result<Vec<LeaseStatus>> {
        self.write_worker(include_str!("../sql/upsert_worker.sql"), worker, self.now)?;
        let until = self.lease_now.at.plus(lease_for).0;
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

    /// Notes the worker of a first claim, so that a successor finds it. It is listed once it sends a heartbeat.
    pub(super) fn make_known(&mut self, worker: &WorkerInfo) -> Result<()> {
        if self.known_workers.contains(&worker.id) {
            return Ok(());
        }
        let not_listed = self.now.minus(WORKER_SEEN_FOR);
        self.write_worker(include_str!("../sql/own_worker.sql"), worker, not_listed)?;
        self.known_workers.insert(worker.id.clone());
        Ok(())
    }

    fn write_worker(&self, sql: &str, worker: &WorkerInfo, seen_at: Timestamp) -> Result<()> {
        // A worker of another process may live on when this one dies, so a successor must not take over from it.
        let owned = self.owner && worker.process == process_id();
        let info = Json::new(worker)?;
        self.connection
            .prepare_cached(sql)
            .and_then(|mut write| write.execute(params![worker.id, info.as_str(), seen_at.0, owned]))
            .map_err(fault("note a worker"))?;
        Ok(())
    }
}
