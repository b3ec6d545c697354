use std::time::Duration;

use longhaul::{KeyConfig, KeyFilter, KeyInfo, MAX_KEYS, MAX_POSITION, Rate, Result, Timestamp};
use redis::Value;

use crate::answer::{int, list, parsed, text};
use crate::driver::Driver;
use crate::error::unreadable;
use crate::fields::{bounded, json_of};
use crate::pack::Packer;
use crate::queues::{count_waiting, number_of};
use crate::scripts;

/// Sets the limits of a limit key, or of a prefix, or takes them away.
pub(crate) async fn set(driver: &Driver, key: &str, config: Option<&KeyConfig>) -> Result<()> {
    let packed = config.map(pack).unwrap_or_default();
    let is_bound = config.is_some_and(|config| config.max_waiting.is_some());
    let is_bound = if is_bound { b"1".to_vec() } else { b"0".to_vec() };
    let answer = driver.call(&scripts::SET_KEY, vec![key.as_bytes().to_vec(), packed, is_bound]).await?;
    count_waiting(driver, &answer).await
}

pub(crate) async fn pause(driver: &Driver, key: &str, pause: Duration) -> Result<()> {
    let arguments = vec![key.as_bytes().to_vec(), bounded(pause).to_string().into_bytes()];
    driver.call(&scripts::PAUSE_KEY, arguments).await.map(drop)
}

pub(crate) async fn resume(driver: &Driver, key: &str) -> Result<()> {
    driver.call(&scripts::RESUME_KEY, vec![key.as_bytes().to_vec()]).await.map(drop)
}

/// Limit keys by name, with their limits and what is taken of these.
pub(crate) async fn keys(driver: &Driver, filter: &KeyFilter) -> Result<Vec<KeyInfo>> {
    // The script takes no name of a queue for all queues; no job waits in one without a name.
    if filter.queue.as_deref() == Some("") {
        return Ok(Vec::new());
    }
    let (after, queue) = (filter.after.as_deref().unwrap_or(""), filter.queue.as_deref().unwrap_or(""));
    let (limit, furthest) = (filter.limit.clamp(1, MAX_KEYS).to_string(), MAX_POSITION.to_string());
    let units = filter.cost.rate.to_string();
    let arguments = [filter.prefix.as_str(), after, queue, &limit, &furthest, &units];
    let arguments = arguments.into_iter().chain(filter.names.iter().map(String::as_str));
    let answer =
        driver.call(&scripts::LIST_KEYS, arguments.map(|text| text.as_bytes().to_vec()).collect()).await?;
    let read = list(answer).and_then(|answer| answer.chunks_exact(7).map(info).collect());
    read.ok_or_else(|| unreadable(scripts::LIST_KEYS.operation))
}

fn info(parts: &[Value]) -> Option<KeyInfo> {
    let count = |value: &Value| u64::try_from(int(value)?).ok();
    let time = |value: &Value| Some(int(value)?).filter(|at| *at != 0).map(Timestamp);
    Some(KeyInfo {
        key: text(&parts[0])?.to_owned(),
        config: parsed(&parts[1]),
        limits: parsed(&parts[2]).unwrap_or_default(),
        waiting: count(&parts[3])?,
        used: count(&parts[4])?,
        closed_until: time(&parts[5]),
        rate_free_at: time(&parts[6]),
    })
}

/// Packs limits as `limits.lua` reads them, and at their end in JSON as they are shown. A rate has a name, by which a script knows
/// it from one that was set before.
pub(crate) fn pack(config: &KeyConfig) -> Vec<u8> {
    let mut packed = Packer::new();
    packed.list(9).int_or_none(config.slots.map(i64::from)).int(config.weight.unwrap_or(1).into());
    match &config.rate {
        Some(rate) => {
            let micros = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX);
            packed.int(rate.n.into()).int(micros).int(rate.burst().into()).text(&name_of(rate))
        }
        None => packed.none().int(0).int(0).text(""),
    };
    packed.text(&json_of(config));
    packed.int_or_none(config.max_waiting.and_then(|most| i64::try_from(most).ok()));
    packed.int(number_of(config.on_full).into());
    packed.done()
}

pub(crate) fn name_of(rate: &Rate) -> String {
    let burst = rate.burst.map(|burst| burst.to_string()).unwrap_or_default();
    format!("{}/{}/{burst}", rate.n, rate.per.as_nanos())
}
