//! How rows become the engine's values.

use std::time::Duration;

use longhaul::{Children, JobId, JobRecord, Json, State, Timestamp};
use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;

/// The columns that [`job_record`] reads, in its order.
pub(crate) const JOB_COLUMNS: &str = "id, kind, version, queue, args, state, priority, attempt, max_attempts, \
    crashes, max_crashes, interruptions, timeout, progress, output, errors, cancel_by, worker, created_at, run_at, \
    started_at, finished_at, last_event, parent, labels, seq, state_event, state_at, rank, limit_key, children_total, \
    children_completed, children_failed, children_cancelled";

/// What a job's row says that its record does not.
pub(crate) struct RowFacts {
    pub(crate) seq: i64,
    pub(crate) state_event: u64,
    pub(crate) state_at: Timestamp,
    pub(crate) rank: i64,
}

/// Reads [`JOB_COLUMNS`].
pub(crate) fn job_record(row: &Row<'_>) -> rusqlite::Result<(JobRecord, RowFacts)> {
    let record = JobRecord {
        id: JobId::from_store(row.get(0)?),
        kind: row.get(1)?,
        version: row.get(2)?,
        queue: row.get(3)?,
        args: json(row, 4)?,
        state: state(row, 5)?,
        priority: row.get(6)?,
        attempt: row.get(7)?,
        max_attempts: row.get(8)?,
        crashes: row.get(9)?,
        max_crashes: row.get(10)?,
        interruptions: row.get(11)?,
        policy: longhaul::Policy {
            timeout: millis_column(row, 12)?.map(Duration::from_millis),
            ..longhaul::Policy::default()
        },
        progress: parsed(row, 13)?,
        output: parsed(row, 14)?,
        errors: parsed(row, 15)?.unwrap_or_default(),
        cancel_requested: row.get::<_, Option<i64>>(16)?.is_some(),
        worker: row.get(17)?,
        position: None,
        created_at: Timestamp(row.get(18)?),
        run_at: Timestamp(row.get(19)?),
        started_at: row.get::<_, Option<i64>>(20)?.map(Timestamp),
        finished_at: row.get::<_, Option<i64>>(21)?.map(Timestamp),
        last_event: unsigned(row.get(22)?),
        limit_key: row.get(29)?,
        parent: row.get::<_, Option<String>>(23)?.map(JobId::from_store),
        children: children(row)?,
        labels: parsed(row, 24)?.unwrap_or_default(),
        args_bytes: None,
        output_bytes: None,
    };
    let facts = RowFacts {
        seq: row.get(25)?,
        state_event: unsigned(row.get(26)?),
        state_at: Timestamp(row.get(27)?),
        rank: row.get(28)?,
    };
    Ok((record, facts))
}

/// A closing job's children; null in all other jobs.
fn children(row: &Row<'_>) -> rusqlite::Result<Option<Children>> {
    let Some(total) = row.get::<_, Option<i64>>(30)? else { return Ok(None) };
    Ok(Some(Children {
        total: unsigned(total),
        completed: unsigned(row.get(31)?),
        failed: unsigned(row.get(32)?),
        cancelled: unsigned(row.get(33)?),
    }))
}

/// A column of JSON text that is handed on as it is.
pub(crate) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Json> {
    Json::parse(row.get(column)?).map_err(|e| bad_column(column, e))
}

/// A column of JSON text, or null.
pub(crate) fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|e| bad_column(column, e))?;
    text.map(|text| serde_json::from_str(text).map_err(|e| bad_column(column, e))).transpose()
}

pub(crate) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    let word = row.get_ref(column)?.as_str().map_err(|e| bad_column(column, e))?;
    word.parse().map_err(|e: String| bad_column(column, std::io::Error::other(e)))
}

pub(crate) fn millis_column(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(unsigned))
}

/// Our own numbers are never negative; one that is comes of a hand in the file, and counts as none.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The engine's numbers fit SQLite's, but for ones that a caller made up (an event number of 2⁶⁴): those are
/// beyond all others.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bad_column(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
