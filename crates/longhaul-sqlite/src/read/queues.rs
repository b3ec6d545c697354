use std::collections::BTreeMap;

use longhaul::lifecycle::limits;
use longhaul::{QueueInfo, Result, Timestamp, WorkerInfo};
use rusqlite::Connection;

use crate::error::fault;
use crate::limit_key::{self, InUse, KeyRow, key_of_queue};
use crate::row::{Columns, unsigned};

/// Every queue that has jobs or a configuration, or is paused.
pub(crate) fn queues(connection: &Connection, now: Timestamp) -> Result<Vec<QueueInfo>> {
    // One transaction, so that all values of a queue are of one moment.
    let transaction = connection.unchecked_transaction().map_err(fault("read queues"))?;
    let queues = read_queues(&transaction, now).map_err(fault("read queues"))?;
    transaction.finish().map_err(fault("read queues"))?;
    Ok(queues)
}

fn read_queues(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<QueueInfo>> {
    let mut queues: BTreeMap<String, QueueInfo> = BTreeMap::new();
    let mut counts = connection.prepare_cached("SELECT queue, state, n FROM counts WHERE n > 0")?;
    let mut rows = counts.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let info = queues.entry(name).or_default();
        // A state that this release does not know is not counted.
        let state: String = row.get(1)?;
        if let Ok(state) = state.parse() {
            info.counts.insert(state, unsigned(row.get(2)?));
        }
    }
    let mut configs = connection.prepare_cached("SELECT name, config FROM queues")?;
    let mut rows = configs.query([])?;
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let info = queues.entry(columns.next()).or_default();
        info.config = columns.parsed().unwrap_or_default();
    }
    let mut paused = connection.prepare_cached("SELECT queue FROM paused_queues")?;
    let mut rows = paused.query([])?;
    while let Some(row) = rows.next()? {
        queues.entry(row.get(0)?).or_default().paused = true;
    }
    for (name, info) in queues.iter_mut().filter(|(_, info)| info.config.is_limited()) {
        let KeyRow { limits, state, .. } = limit_key::find(connection, &key_of_queue(name), InUse::ALL)?;
        info.used = limits.slots.map(|_| state.used);
        info.rate_left = limits::rate_left(&limits, &state, now);
        info.rate_free_at = limits::rate_free_at(&limits, &state, now);
    }
    Ok(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

/// The workers that have called since `since`.
pub(crate) fn workers(connection: &Connection, since: Timestamp) -> Result<Vec<WorkerInfo>> {
    let read = |row: &rusqlite::Row<'_>| {
        let mut columns = Columns::new(row);
        let (info, seen_at) = (columns.parsed::<WorkerInfo>(), columns.time());
        Ok(info.map(|info| WorkerInfo { seen_at, ..info }))
    };
    connection
        .prepare_cached("SELECT info, seen_at FROM workers WHERE seen_at > ?1 ORDER BY id")
        .and_then(|mut find| find.query_map([since.0], read)?.collect::<rusqlite::Result<Vec<_>>>())
        .map(|workers| workers.into_iter().flatten().collect())
        .map_err(fault("read workers"))
}
