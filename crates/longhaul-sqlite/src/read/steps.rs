use std::time::Duration;

use longhaul::{JobId, Json, Result, StepRecord, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::fault;
use crate::row::{Columns, unsigned};

/// The steps of a job in the order in which they were done; `None` where there is no such job.
pub(crate) fn steps(connection: &Connection, id: &JobId) -> Result<Option<Vec<StepRecord>>> {
    // One transaction, so that the job and its steps are of the same moment.
    let transaction = connection.unchecked_transaction().map_err(fault("read steps"))?;
    let steps = read(&transaction, id).map_err(fault("read steps"))?;
    transaction.finish().map_err(fault("read steps"))?;
    Ok(steps)
}

fn read(connection: &Connection, id: &JobId) -> rusqlite::Result<Option<Vec<StepRecord>>> {
    let job: Option<i64> = connection
        .prepare_cached("SELECT seq FROM jobs WHERE id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    let Some(job) = job else { return Ok(None) };
    let mut find = connection.prepare_cached(include_str!("../sql/steps_of_job.sql"))?;
    find.query_map([job], step)?.collect::<rusqlite::Result<_>>().map(Some)
}

pub(super) fn step(row: &Row<'_>) -> rusqlite::Result<StepRecord> {
    let mut columns = Columns::new(row);
    let (name, attempt) = (columns.next(), columns.next::<Option<u32>>());
    let finished_at = columns.next::<Option<i64>>().map(Timestamp);
    let took = columns.next::<Option<i64>>().map(|millis| Duration::from_millis(unsigned(millis)));
    let output: String = columns.next();
    Ok(StepRecord {
        name,
        attempt: attempt.unwrap_or(0),
        started_at: finished_at.zip(took).map(|(finished_at, took)| finished_at.minus(took)),
        finished_at,
        // An empty one is none; one that cannot be read is none either, and its step runs again.
        output: Json::parse(output).ok(),
    })
}
