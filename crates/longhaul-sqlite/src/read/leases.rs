use longhaul::{Lease, LeaseStatus, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::row::signed;

/// The statuses of leases as they are on the disk.
pub(crate) fn statuses(connection: &Connection, leases: &[Lease]) -> Result<Vec<LeaseStatus>> {
    let status = |lease: &Lease| {
        let cancel_by: Option<Option<i64>> = connection
            .prepare_cached("SELECT cancel_by FROM jobs WHERE id = ?1 AND token = ?2 AND state = 'running'")?
            .query_row(params![lease.id.as_str(), signed(lease.token)], |row| row.get(0))
            .optional()?;
        Ok(match cancel_by {
            None => LeaseStatus::Lost,
            Some(None) => LeaseStatus::Held,
            Some(Some(_)) => LeaseStatus::CancelRequested,
        })
    };
    leases.iter().map(status).collect::<rusqlite::Result<_>>().map_err(fault("look a lease up"))
}
