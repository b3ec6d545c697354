use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{JobFilter, KeyConfig, NewJob, Page, Payloads, Rate, State, Store, Timestamp};
use rand::RngExt;
use rand::rngs::StdRng;

use super::guarded::QUEUE;
use super::verdict::excess;
use super::{Crowd, LimitsArgs};
use crate::target::StoreKind;
use crate::worker::Nothing;
use crate::{Judge, Result};

/// The rate of each key.
const RATE: Rate = Rate { n: 100, per: Duration::from_secs(1), burst: None };
const KEYS: [&str; 2] = ["rate:a", "rate:b"];
/// The part of a rate that must be used.
const USED: f64 = 0.95;

/// The faults that are made while rates are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    /// Workers are killed. What a run takes of a rate before its worker dies is lost, so that the part that is used tells
    /// nothing.
    Kills,
}

/// Lets several processes use the rates of keys of which more jobs wait than they admit. Answers what was broken.
pub(super) async fn run(
    args: &LimitsArgs,
    kind: StoreKind,
    faults: Faults,
    random: &mut StdRng,
) -> Result<Vec<String>> {
    let mut crowd = Crowd::new(args, kind, 16).await?;
    let config = KeyConfig { rate: Some(RATE), ..KeyConfig::default() };
    let most = f64::from(RATE.burst()) + f64::from(RATE.n) * args.seconds as f64;
    for key in KEYS {
        crowd.store.set_key(key, Some(&config)).await?;
        let job = NewJob { limit_keys: vec![key.into()], queue: QUEUE.into(), ..NewJob::of(&Nothing {})? };
        for _ in 0..(most * 2.0) as usize / 100 {
            crowd.store.enqueue(vec![job.clone(); 100]).await?;
        }
    }
    crowd.start_all()?;
    let length = Duration::from_secs(args.seconds);
    let running = Stopwatch::start();
    // Longer by the time that processes need to start.
    let (mut kills, mut begun) = (0, None);
    while begun.is_none_or(|begun: Duration| running.elapsed() < begun + length + Duration::from_secs(1)) {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..600))).await;
        if begun.is_none() && !starts(crowd.store.as_ref(), KEYS[0], 1).await?.is_empty() {
            begun = Some(running.elapsed());
        }
        if faults == Faults::Kills && begun.is_some() {
            crowd.kill_one(random).await?;
            kills += 1;
        }
    }
    let mut broken = Vec::new();
    for key in KEYS {
        let starts = starts(crowd.store.as_ref(), key, usize::MAX).await?;
        let Some(first) = starts.first() else {
            broken.push(format!("{key}: no job of it has run"));
            continue;
        };
        let beyond = excess(&starts, RATE);
        let used = starts.iter().filter(|at| at.since(*first) < length).count() as f64 / most;
        println!(
            "  rate, {kills:>3} kills      {key}: {:.1} % used (the bar is 95 % without kills), {beyond:.2} starts too many",
            used * 100.0
        );
        if beyond > 0.0 {
            broken.push(format!("{key}: {beyond:.2} starts too many in a window"));
        }
        if faults == Faults::None && args.judge == Judge::Times && used < USED {
            broken.push(format!("{key}: only {:.1} % of its rate was used", used * 100.0));
        }
    }
    Ok(broken)
}

/// The times, by the store's clock and in order, at which the last run of each job of a key began; about `limit` of them at most.
async fn starts(store: &dyn Store, key: &str, limit: usize) -> Result<Vec<Timestamp>> {
    let filter = JobFilter {
        states: vec![State::Running, State::Completed],
        queues: vec![QUEUE.into()],
        ..JobFilter::default()
    };
    let mut starts = Vec::new();
    let mut page = Page { limit: 1_000, payloads: Payloads::Short, cursor: None };
    while starts.len() < limit {
        let listed = store.list(&filter, page.clone()).await?;
        let of_key = listed.jobs.iter().filter(|job| job.limit_keys.iter().any(|of| of == key));
        starts.extend(of_key.filter_map(|job| job.started_at));
        page.cursor = listed.next;
        if page.cursor.is_none() {
            break;
        }
    }
    starts.sort_unstable();
    Ok(starts)
}
