use std::collections::BTreeMap;

use longhaul::lifecycle::limits;
use longhaul::{Lane, MAX_LANES, MAX_POSITION, QueueInfo, Result, Timestamp, WorkerInfo};

use super::{Reader, Reads};
use crate::limits::key_state;
use crate::row::{parsed, queue_config, rows_at_most, signed, small, unsigned};

/// Every queue that has jobs or a configuration, or is paused.
pub(crate) async fn queues(reads: &Reads, now: Timestamp) -> Result<Vec<QueueInfo>> {
    let mut reader = Reader::of(reads, "read queues").await?;
    let mut queues: BTreeMap<String, QueueInfo> = BTreeMap::new();
    for row in reader.rows(include_str!("../sql/counts.sql"), &[]).await? {
        let info = queues.entry(row.get(0)).or_default();
        if let Ok(state) = row.get::<_, &str>(1).parse() {
            info.counts.insert(state, unsigned(row.get(2)));
        }
    }
    for row in reader.rows("SELECT name, config FROM queues", &[]).await? {
        let info = queues.entry(row.get(0)).or_default();
        info.config = queue_config(&row, 1);
    }
    for row in reader.rows(include_str!("../sql/paused_queues.sql"), &[]).await? {
        queues.entry(row.get(0)).or_default().paused = true;
    }
    for row in reader.rows(include_str!("../sql/queue_limits.sql"), &[]).await? {
        let Some(info) = queues.get_mut(&row.get::<_, &str>(0)[1..]) else { continue };
        let (limits, state) = (info.config.limits(), key_state(&row, 0));
        info.used = limits.slots.map(|_| state.used);
        info.rate_left = limits::rate_left(&limits, &state, now);
        info.rate_free_at = limits::rate_free_at(&limits, &state, now);
    }
    Ok(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

/// The workers that have called since `since`.
pub(crate) async fn workers(reads: &Reads, since: Timestamp) -> Result<Vec<WorkerInfo>> {
    let mut reader = Reader::of(reads, "read workers").await?;
    let mut workers = Vec::new();
    for row in reader.rows(include_str!("../sql/workers.sql"), &[&since.0]).await? {
        let info: Option<WorkerInfo> = parsed(&row, 0, "workers").unwrap_or_default();
        workers.extend(info.map(|info| WorkerInfo { seen_at: Timestamp(row.get(1)), ..info }));
    }
    Ok(workers)
}

/// The kinds and versions that wait in each queue.
pub(crate) async fn lanes(reads: &Reads) -> Result<Vec<Lane>> {
    let mut reader = Reader::of(reads, "read lanes").await?;
    let (most, counted) = (rows_at_most(MAX_LANES), signed(MAX_POSITION));
    let rows = reader.rows(include_str!("../sql/lanes.sql"), &[&most, &counted]).await?;
    let lane = |row: &tokio_postgres::Row| Lane {
        queue: row.get(0),
        kind: row.get(1),
        version: small(row.get(2)),
        waiting: unsigned(row.get(3)),
        oldest_at: Timestamp(row.get(4)),
    };
    Ok(rows.iter().map(lane).collect())
}
