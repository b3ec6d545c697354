use std::collections::BTreeMap;

use longhaul::{QueueInfo, Result, Timestamp, WorkerInfo};
use rusqlite::Connection;

use crate::error::fault;
use crate::row::{parsed, state, unsigned};

/// Every queue that has jobs or a configuration.
pub(crate) fn queues(connection: &Connection) -> Result<Vec<QueueInfo>> {
    read_queues(connection).map_err(fault("read queues"))
}

fn read_queues(connection: &Connection) -> rusqlite::Result<Vec<QueueInfo>> {
    let mut queues: BTreeMap<String, QueueInfo> = BTreeMap::new();
    let mut counts = connection.prepare_cached("SELECT queue, state, n FROM counts WHERE n > 0")?;
    let mut rows = counts.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let info = queues.entry(name).or_default();
        info.counts.insert(state(row, 1)?, unsigned(row.get(2)?));
    }
    let mut configs = connection.prepare_cached("SELECT name, config FROM queues")?;
    let mut rows = configs.query([])?;
    while let Some(row) = rows.next()? {
        let info = queues.entry(row.get(0)?).or_default();
        info.config = parsed(row, 1)?.unwrap_or_default();
    }
    Ok(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

/// The workers heard of since `since`.
pub(crate) fn workers(connection: &Connection, since: Timestamp) -> Result<Vec<WorkerInfo>> {
    let read = |row: &rusqlite::Row<'_>| {
        let info: Option<WorkerInfo> = parsed(row, 0)?;
        let seen_at = Timestamp(row.get(1)?);
        Ok(info.map(|info| WorkerInfo { seen_at, ..info }))
    };
    connection
        .prepare_cached("SELECT info, seen_at FROM workers WHERE seen_at > ?1 ORDER BY id")
        .and_then(|mut find| find.query_map([since.0], read)?.collect::<rusqlite::Result<Vec<_>>>())
        .map(|workers| workers.into_iter().flatten().collect())
        .map_err(fault("read workers"))
}
