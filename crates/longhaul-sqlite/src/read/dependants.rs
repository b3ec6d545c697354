use longhaul::{JobId, Result};
use rusqlite::{Connection, params};

use crate::error::fault;
use crate::row::signed;

/// The jobs that were enqueued to depend on one, in the order in which they were.
pub(crate) fn dependants(connection: &Connection, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
    connection
        .prepare_cached(include_str!("../sql/dependants_of_job.sql"))
        .and_then(|mut find| {
            let read = |row: &rusqlite::Row<'_>| row.get(0).map(JobId::from_store);
            find.query_map(params![id.as_str(), signed(limit as u64)], read)?.collect()
        })
        .map_err(fault("list dependants"))
}
