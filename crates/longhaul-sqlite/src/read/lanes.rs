use longhaul::{Lane, MAX_LANES, MAX_POSITION, Result, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::limit_key::{FIRST_KEYED, natural_rank};
use crate::row::{signed, unsigned};

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
        let found =
            next.query_row(params![queue, kind, version], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let Some(lane) = found.optional()? else { break };
        (queue, kind, version) = lane;
        let waiting: i64 =
            count.query_row(params![queue, kind, version, signed(MAX_POSITION)], |row| row.get(0))?;
        // The last of its jobs may have been claimed between the two looks.
        if let Some(oldest_at) = oldest_at(connection, &queue, &kind, version)? {
            let waiting = unsigned(waiting).max(1);
            lanes.push(Lane { queue: queue.clone(), kind: kind.clone(), version, waiting, oldest_at });
        }
    }
    Ok(lanes)
}

/// The time at which the first job of a lane in claim order fell due: of the jobs without limit keys, or of those with.
fn oldest_at(
    connection: &Connection,
    queue: &str,
    kind: &str,
    version: u32,
) -> rusqlite::Result<Option<Timestamp>> {
    let mut find = connection.prepare_cached(include_str!("../sql/first_of_lane.sql"))?;
    let mut first = |from: i64| {
        find.query_row(params![queue, kind, version, from], |row| {
            Ok(((natural_rank(row.get(0)?), row.get::<_, i64>(1)?), Timestamp(row.get(2)?)))
        })
        .optional()
    };
    let firsts = [first(i64::MIN)?, first(FIRST_KEYED)?];
    Ok(firsts.into_iter().flatten().min().map(|(_, run_at)| run_at))
}
