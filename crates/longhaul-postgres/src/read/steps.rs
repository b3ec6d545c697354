use std::time::Duration;

use longhaul::{JobId, Json, Result, StepRecord, Timestamp};
use tokio_postgres::Row;

use super::{Reader, Reads};
use crate::row::{small, unsigned};

/// The steps of a job that are done, in the order in which they were recorded; `None` where there is no such job.
pub(crate) async fn steps(reads: &Reads, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
    let mut reader = Reader::of(reads, "read steps").await?;
    let rows = reader.rows(include_str!("../sql/steps_of_job.sql"), &[&id.as_str()]).await?;
    Ok((!rows.is_empty()).then(|| rows.iter().filter_map(step).collect()))
}

fn step(row: &Row) -> Option<StepRecord> {
    let finished_at: Option<i64> = row.get(2);
    let took =
        row.get::<_, Option<i64>>(3).map_or(Duration::ZERO, |took| Duration::from_millis(unsigned(took)));
    Some(StepRecord {
        name: row.get::<_, Option<String>>(0)?,
        attempt: row.get::<_, Option<i64>>(1).map_or(0, small),
        started_at: finished_at.map(|at| Timestamp(at).minus(took)),
        finished_at: finished_at.map(Timestamp),
        // One that cannot be read is none.
        output: row.get::<_, Option<String>>(4).and_then(|output| Json::parse(output).ok()),
    })
}
