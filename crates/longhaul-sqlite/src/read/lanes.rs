use longhaul::{KeyPause, Lane, MAX_LANES, MAX_PAUSES, MAX_POSITION, Result, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::row::{Columns, signed, unsigned};

/// The claim sources that are not empty. From one to the next is a step in the index, and a lane's jobs are counted up to
/// a bound, so that this costs no more for millions of jobs.
pub(crate) fn lanes(connection: &Connection) -> Result<Vec<Lane>> {
    read_lanes(connection).map_err(fault("list lanes"))
}

fn read_lanes(connection: &Connection) -> rusqlite::Result<Vec<Lane>> {
    let mut next = connection.prepare_cached(include_str!("../sql/next_lane_of_all.sql"))?;
    let mut count = connection.prepare_cached(include_str!("../sql/count_lane.sql"))?;
    let mut lanes: Vec<Lane> = Vec::new();
    let (mut queue, mut kind, mut version) = (String::new(), String::new(), 0_u32);
    while lanes.len() < MAX_LANES {
        let found = next.query_row(params![queue, kind, version], |row| {
            let mut columns = Columns::new(row);
            Ok((columns.next(), columns.next(), columns.next(), columns.time()))
        });
        let Some((next_queue, next_kind, next_version, oldest_at)) = found.optional()? else { break };
        (queue, kind, version) = (next_queue, next_kind, next_version);
        let waiting: i64 =
            count.query_row(params![queue, kind, version, signed(MAX_POSITION)], |row| row.get(0))?;
        // The last of its jobs may have been claimed between the two looks.
        if waiting > 0 {
            let waiting = unsigned(waiting);
            lanes.push(Lane { queue: queue.clone(), kind: kind.clone(), version, waiting, oldest_at });
        }
    }
    Ok(lanes)
}

/// The limit keys that are paused, by when their pauses end.
pub(crate) fn pauses(connection: &Connection, now: Timestamp) -> Result<Vec<KeyPause>> {
    let most = i64::try_from(MAX_PAUSES).unwrap_or(i64::MAX);
    connection
        .prepare_cached(include_str!("../sql/pauses.sql"))
        .and_then(|mut find| {
            find.query_map(params![now.0, most], |row| {
                let mut columns = Columns::new(row);
                Ok(KeyPause { key: columns.next(), until: columns.time() })
            })?
            .collect()
        })
        .map_err(fault("list pauses"))
}
