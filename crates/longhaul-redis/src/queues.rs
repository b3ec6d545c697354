use std::collections::BTreeMap;

use longhaul::{
    Lane, MAX_LANES, MAX_POSITION, QueueConfig, QueueInfo, Result, State, Timestamp, WORKER_SEEN_FOR,
    WorkerInfo,
};
use redis::Value;

use crate::answer::{int, list, parsed, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{bounded, json_of};
use crate::scripts;

/// Every queue that has jobs or a configuration or is paused, by name.
pub(crate) async fn queues(driver: &Driver) -> Result<Vec<QueueInfo>> {
    let answer = driver.call(&scripts::QUEUES, Vec::new()).await?;
    read_queues(answer).ok_or_else(|| unreadable(scripts::QUEUES.operation))
}

fn read_queues(answer: Value) -> Option<Vec<QueueInfo>> {
    let [counts, configs, paused] = <[Value; 3]>::try_from(list(answer)?).ok()?;
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
    for queue in &list(paused)? {
        queues.entry(text(queue)?.to_owned()).or_default().paused = true;
    }
    Some(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

pub(crate) async fn set_queue(driver: &Driver, queue: &str, config: &QueueConfig) -> Result<()> {
    let retention = &config.retention;
    let is_capped = [&retention.completed, &retention.failed, &retention.cancelled]
        .iter()
        .any(|keep| keep.count.is_some());
    let flag = |is_set: bool| if is_set { b"1".to_vec() } else { b"0".to_vec() };
    let arguments =
        vec![queue.as_bytes().to_vec(), json_of(config).into_bytes(), flag(is_capped), flag(config.fair)];
    driver.call(&scripts::SET_QUEUE, arguments).await?;
    Ok(())
}

pub(crate) async fn pause(driver: &Driver, queue: &str) -> Result<()> {
    driver.call(&scripts::PAUSE_QUEUE, vec![queue.as_bytes().to_vec()]).await.map(drop)
}

pub(crate) async fn resume(driver: &Driver, queue: &str) -> Result<()> {
    driver.call(&scripts::RESUME_QUEUE, vec![queue.as_bytes().to_vec()]).await.map(drop)
}

/// The claim sources that are not empty.
pub(crate) async fn lanes(driver: &Driver) -> Result<Vec<Lane>> {
    let arguments = vec![MAX_LANES.to_string().into_bytes(), MAX_POSITION.to_string().into_bytes()];
    let answer = driver.call(&scripts::LANES, arguments).await?;
    let lane = |parts: &[Value]| {
        let (kind, version) = text(&parts[1])?.rsplit_once('|')?;
        Some(Lane {
            queue: text(&parts[0])?.to_owned(),
            kind: kind.to_owned(),
            version: version.parse().ok()?,
            waiting: u64::try_from(int(&parts[2])?).ok()?,
            oldest_at: Timestamp(int(&parts[3])?),
        })
    };
    let read = list(answer).and_then(|answer| answer.chunks_exact(4).map(lane).collect::<Option<Vec<_>>>());
    let mut lanes = read.ok_or_else(|| unreadable(scripts::LANES.operation))?;
    lanes.sort_by(|a, b| (&a.queue, &a.kind, a.version).cmp(&(&b.queue, &b.kind, b.version)));
    lanes.truncate(MAX_LANES);
    Ok(lanes)
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
