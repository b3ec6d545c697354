use longhaul::{JobId, Result};

use super::{Reader, Reads};
use crate::row::rows_at_most;

/// The jobs that were enqueued to depend on one, in the order in which they were.
pub(crate) async fn dependants(reads: &Reads, id: &JobId, limit: usize) -> Result<Vec<JobId>> {
    let mut reader = Reader::of(reads, "list dependants").await?;
    let sql = include_str!("../sql/dependants_of_job.sql");
    let rows = reader.rows(sql, &[&id.as_str(), &rows_at_most(limit)]).await?;
    Ok(rows.iter().map(|row| JobId::from_store(row.get(0))).collect())
}
