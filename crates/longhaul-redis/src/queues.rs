use std::collections::BTreeMap;

use longhaul::lifecycle::limits::{self, KeyState};
use longhaul::{
    Lane, MAX_LANES, MAX_POSITION, OnFull, QueueConfig, QueueInfo, Result, State, Timestamp, WORKER_SEEN_FOR,
    WorkerInfo,
};
use redis::Value;

use crate::answer::{int, list, parsed, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{bounded, json_of};
use crate::limit_keys::{name_of, pack};
use crate::scripts;

/// Every queue that has jobs or a configuration or is paused, by name.
pub(crate) async fn queues(driver: &Driver) -> Result<Vec<QueueInfo>> {
    let answer = driver.call(&scripts::QUEUES, Vec::new()).await?;
    read_queues(answer).ok_or_else(|| unreadable(scripts::QUEUES.operation))
}

fn read_queues(answer: Value) -> Option<Vec<QueueInfo>> {
    let [counts, configs, paused, taken, now] = <[Value; 5]>::try_from(list(answer)?).ok()?;
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
    let now = Timestamp(int(&now)?);
    for pair in list(taken)?.chunks_exact(2) {
        let info = queues.entry(text(&pair[0])?.to_owned()).or_default();
        let (limits, state) = (info.config.limits(), state(&info.config, text(&pair[1])?)?);
        info.used = limits.slots.map(|_| state.used);
        info.rate_left = limits::rate_left(&limits, &state, now);
        info.rate_free_at = limits::rate_free_at(&limits, &state, now);
    }
    Some(queues.into_iter().map(|(name, info)| QueueInfo { name, ..info }).collect())
}

/// The used limits of a queue, as `limits.lua` stores them.
fn state(config: &QueueConfig, stored: &str) -> Option<KeyState> {
    let mut parts = stored.splitn(3, '|');
    let (used, rate_free_at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let rate = config.rate.filter(|rate| parts.next() == Some(&name_of(rate)));
    Some(KeyState { used, rate_free_at, rate, ..KeyState::default() })
}

pub(crate) async fn set_queue(driver: &Driver, queue: &str, config: &QueueConfig) -> Result<()> {
    write_queue(driver, queue, config, Vec::new()).await.map(drop)
}

/// Sets a queue's configuration where it is still `before`, and answers whether it was. The script compares texts, because one that
/// another release has written holds words that are unknown here.
pub(crate) async fn update_queue(
    driver: &Driver,
    queue: &str,
    before: &QueueConfig,
    config: &QueueConfig,
) -> Result<bool> {
    let configs =
        list(driver.call(&scripts::QUEUES, Vec::new()).await?).and_then(|lists| list(lists.get(1)?.clone()));
    let configs = configs.ok_or_else(|| unreadable(scripts::QUEUES.operation))?;
    let present = configs.chunks_exact(2).find(|pair| text(&pair[0]) == Some(queue)).map(|pair| &pair[1]);
    let present_config: QueueConfig = present.and_then(parsed).unwrap_or_default();
    if present_config != *before {
        return Ok(false);
    }
    let replaced = format!("={}", present.and_then(text).unwrap_or_default());
    write_queue(driver, queue, config, replaced.into_bytes()).await
}

/// Writes a queue's configuration in place of the one that is `replaced`, as the script takes it, and answers whether it was there.
async fn write_queue(driver: &Driver, queue: &str, config: &QueueConfig, replaced: Vec<u8>) -> Result<bool> {
    let retention = &config.retention;
    let is_capped = [&retention.completed, &retention.failed, &retention.cancelled]
        .iter()
        .any(|keep| keep.count.is_some());
    let flag = |is_set: bool| if is_set { b"1".to_vec() } else { b"0".to_vec() };
    let mut arguments =
        vec![queue.as_bytes().to_vec(), json_of(config).into_bytes(), flag(is_capped), flag(config.fair)];
    let bound = config.max_waiting.map(|most| format!("{most}|{}", number_of(config.on_full)));
    arguments.push(bound.unwrap_or_default().into_bytes());
    let limits = Some(config).filter(|config| config.is_limited()).map(|config| pack(&config.limits()));
    arguments.extend([limits.unwrap_or_default(), replaced]);
    let answer = driver.call(&scripts::SET_QUEUE, arguments).await?;
    count_waiting(driver, &answer).await?;
    Ok(int(&answer) != Some(0))
}

/// The number of what happens in `bounds.lua`.
pub(crate) fn number_of(on_full: OnFull) -> u8 {
    match on_full {
        OnFull::Reject => 0,
        OnFull::DropOldest => 1,
        OnFull::DropNewest => 2,
    }
}

/// Has those counted that wait, a piece at a time, where a bound has been set: `answer` is that of the script which did so.
pub(crate) async fn count_waiting(driver: &Driver, answer: &Value) -> Result<()> {
    if int(answer) != Some(2) {
        return Ok(());
    }
    let (mut set, mut at) = (Vec::new(), b"0".to_vec());
    loop {
        let arguments = vec![set, at, COUNTED_AT_ONCE.to_string().into_bytes()];
        let answer = driver.call(&scripts::COUNT_WAITING, arguments).await?;
        let next = list(answer)
            .and_then(|answer| Some([text(&answer[0])?, text(answer.get(1)?)?].map(str::to_owned)));
        let [next_set, next_at] = next.ok_or_else(|| unreadable(scripts::COUNT_WAITING.operation))?;
        if next_set.is_empty() {
            return Ok(());
        }
        (set, at) = (next_set.into_bytes(), next_at.into_bytes());
    }
}

/// The jobs that one call counts.
const COUNTED_AT_ONCE: usize = 500;

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

/// The workers that have called within the last minute.
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
