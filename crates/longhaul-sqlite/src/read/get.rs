use longhaul::{JobId, JobRecord, Lookup, MAX_POSITION, Payloads, Result, State, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::limit_key::beyond_plain;
use crate::row::{RowFacts, job_columns, job_record, signed, unsigned};

/// Looks jobs up by id.
pub(crate) fn get(connection: &Connection, ids: &[JobId], now: Timestamp) -> Result<Vec<Lookup>> {
    ids.iter()
        .map(|id| get_one(connection, id, now))
        .collect::<rusqlite::Result<_>>()
        .map_err(fault("look a job up"))
}

fn get_one(connection: &Connection, id: &JobId, now: Timestamp) -> rusqlite::Result<Lookup> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {} FROM jobs WHERE id = ?1",
            job_columns(Payloads::Whole, Payloads::Whole)
        ))?
        .query_row([id.as_str()], job_record)
        .optional()?;
    if let Some((mut record, facts)) = found {
        if record.state == State::Available {
            record.position = Some(position(connection, &record, &facts)?);
        }
        if let Some(unique) = &mut record.unique {
            unique.holder = connection
                .prepare_cached(include_str!("../sql/unique_holder.sql"))?
                .query_row(params![unique.key, now.0], |row| row.get(0))
                .optional()?
                .map(JobId::from_store);
        }
        return Ok(Lookup::Found(Box::new(record)));
    }
    Ok(if is_gone(connection, id, now)? { Lookup::Gone } else { Lookup::Unknown })
}

/// True for a job that was removed a short while ago.
pub(crate) fn is_gone(connection: &Connection, id: &JobId, now: Timestamp) -> rusqlite::Result<bool> {
    let find = "SELECT 1 FROM tombstones WHERE id = ?1 AND expires_at > ?2";
    connection.prepare_cached(find)?.exists(params![id.as_str(), now.0])
}

/// The job's place in the order of claims among the available jobs of its queue, from 1; at most [`MAX_POSITION`].
fn position(connection: &Connection, record: &JobRecord, facts: &RowFacts) -> rusqlite::Result<u64> {
    // The index orders a queue's jobs within each kind and version. `next` steps from one of these to the
    // following one without reading the jobs between, so the cost is bounded however long the queue is.
    let mut next = connection.prepare_cached(include_str!("../sql/next_lane.sql"))?;
    let mut ahead = connection.prepare_cached(include_str!("../sql/jobs_ahead.sql"))?;
    let (mut kind, mut version) = (String::new(), 0_u32);
    let mut position = 1;
    while let Some(lane) = next
        .query_row(params![record.queue, kind, version], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
    {
        (kind, version) = lane;
        let left = MAX_POSITION - position;
        if left == 0 {
            break;
        }
        let count: i64 = ahead.query_row(
            params![
                record.queue,
                kind,
                version,
                facts.rank,
                beyond_plain(facts.rank),
                facts.seq,
                signed(left)
            ],
            |row| row.get(0),
        )?;
        position += unsigned(count);
    }
    Ok(position)
}
