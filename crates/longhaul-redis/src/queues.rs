use std::collections::BTreeMap;

use longhaul::{QueueConfig, QueueInfo, Result, State, Timestamp, WORKER_SEEN_FOR, WorkerInfo};
use redis::Value;

use crate::answer::{int, list, parsed, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{bounded, json_of};
use crate::scripts;

/// Every queue that has jobs or a configuration, by name.
pub(crate) async fn queues(driver: &Driver) -> Result<Vec<QueueInfo>> {
    let answer = driver.call(&scripts::QUEUES, Vec::new()).await?;
    read_queues(answer).ok_or_else(|| unreadable(scripts::QUEUES.operation))
}

fn read_queues(answer: Value) -> Option<Vec<QueueInfo>> {
    let [counts, configs] = <[Value; 2]>::try_from(list(answer)?).ok()?;
    let mut queues: BTreeMap<String, QueueInfo> = BTreeMap::new();
    for pair in list(counts)?.chunks_exact(2) {
        let (queue, state) = text(&pair[0])?.rsplit_once('|')?;
        let state = *State::ALL.get(state.parse::<usize>().ok()?)?;
        let count = text(&pair[1])?.parse().ok()?;
        queues.entry(queue.to_owned()).or_default().counts.insert(state, count);
    }
    for pair in list(configs)?.chunks_exact(2) {
        // A configuration that a newer version has written, with words that we do not know, must not stop a sweep.
        let config = parsed(&pair[1]).unwrap_or_default();
        queues.entry(text(&pair[0])?.to_owned()).or_default().config = config;
    }
    Some(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

pub(crate) async fn set_queue(driver: &Driver, queue: &str, config: &QueueConfig) -> Result<()> {
    let retention = &config.retention;
    let is_capped = [&retention.completed, &retention.failed, &retention.cancelled]
        .iter()
        .any(|keep| keep.count.is_some());
    let is_capped = if is_capped { "1" } else { "0" };
    let arguments = vec![queue.as_bytes().to_vec(), json_of(config).into_bytes(), is_capped.into()];
    driver.call(&scripts::SET_QUEUE, arguments).await?;
    Ok(())
}

/// The workers heard of within the last minute.
pub(crate) async fn workers(driver: &Driver) -> Result<Vec<WorkerInfo>> {
    let seen_for = bounded(WORKER_SEEN_FOR).to_string().into_bytes();
    let answer = driver.call(&scripts::WORKERS, vec![seen_for]).await?;
    let worker = |pair: &[Value]| {
        let info: WorkerInfo = parsed(&pair[0])?;
        Some(WorkerInfo { seen_at: Timestamp(int(&pair[1])?), ..info })
    };
    let read = list(answer).and_then(|answer| answer.chunks_exact(2).map(worker).collect());
    read.ok_or_else(|| unreadable(scripts::WORKERS.operation))
}
