use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{
    Claim, Claimed, Finish, Job, Json, KeyConfig, NewJob, Outcome, QueueConfig, QueueSlots, Store,
    SupportedKind, WorkerInfo, process_id,
};

use super::{Crowd, Fire};
use crate::Result;
use crate::figure::{Bar, Figure, millis};
use crate::target::StoreKind;
use crate::worker::Nothing;

/// The jobs of the large key; the small keys, and the jobs of each.
const LARGE: usize = 10_000;
const SMALL_KEYS: usize = 50;
const SMALL: usize = 10;
/// Rounds, of which the fastest counts.
const ROUNDS: usize = 9;
/// The factor within which the small keys are done beside the large one.
const FACTOR: f64 = 1.2;
/// Keys by weight, the jobs that are claimed of them, and the deviation of a share in percent.
const WEIGHTS: [u32; 3] = [1, 2, 4];
const SHARED: usize = 3_500;
const DEVIATION: f64 = 5.0;
/// The label with a job's key, which a claim does not contain.
const KEY: &str = "key";
/// Jobs of one call.
const AT_ONCE: usize = 10;

/// Compares the turns of small keys with and without a large one beside them, and shares with weights.
pub(super) async fn run(fire: &Fire, kind: StoreKind) -> Result<Vec<Figure>> {
    let crowd = Crowd::new(fire, kind, 0).await?;
    let store = crowd.store.as_ref();
    let (mut alone, mut beside) = ((usize::MAX, Duration::MAX), (usize::MAX, Duration::MAX));
    enqueue(store, "beside", "large", LARGE).await?;
    for round in 0..ROUNDS {
        alone = least(alone, small_keys(store, "alone", round).await?);
        beside = least(beside, small_keys(store, "beside", round).await?);
    }
    let by_jobs = beside.0 as f64 / alone.0 as f64;
    let by_time = beside.1.as_secs_f64() / alone.1.as_secs_f64();
    let name = format!("{SMALL_KEYS} keys of {SMALL} jobs are done, alone and beside a key of {LARGE}");
    let mut figures = vec![
        Figure::held(
            format!("{name}: jobs that have run"),
            format!("{} → {} ({by_jobs:.3} ×)", alone.0, beside.0),
            Bar::at_most(by_jobs, FACTOR, "×"),
        ),
        Figure {
            bar: fire.in_time(Bar::at_most(by_time, FACTOR, "×")),
            ..Figure::without_bar(
                format!("{name}: time"),
                format!("{} → {} ({by_time:.2} ×)", millis(alone.1), millis(beside.1)),
            )
        },
    ];
    let shares = shares(store).await?;
    let sum: u32 = WEIGHTS.iter().sum();
    let deviation = |(weight, share): (&u32, &usize)| {
        let due = SHARED as f64 * f64::from(*weight) / f64::from(sum);
        (*share as f64 / due - 1.0).abs() * 100.0
    };
    let most = WEIGHTS.iter().zip(&shares).map(deviation).fold(0.0, f64::max);
    figures.push(Figure::held(
        format!("shares of {SHARED} jobs for weights {WEIGHTS:?}"),
        format!("{shares:?} ({most:.1} % off)"),
        Bar::at_most(most, DEVIATION, "%"),
    ));
    Ok(figures)
}

fn least(a: (usize, Duration), b: (usize, Duration)) -> (usize, Duration) {
    (a.0.min(b.0), a.1.min(b.1))
}

async fn enqueue(store: &dyn Store, queue: &'static str, key: &str, count: usize) -> Result<()> {
    store.set_queue(queue, &QueueConfig { fair: true, ..QueueConfig::default() }).await?;
    let job = NewJob {
        queue: queue.into(),
        limit_keys: vec![key.into()],
        labels: [(KEY.to_owned(), key.to_owned())].into(),
        ..NewJob::of(&Nothing {})?
    };
    for first in (0..count).step_by(1_000) {
        store.enqueue(vec![job.clone(); 1_000.min(count - first)]).await?;
    }
    Ok(())
}

/// The jobs that have run, and the time that has passed, once all jobs of the small keys are done.
async fn small_keys(store: &dyn Store, queue: &'static str, round: usize) -> Result<(usize, Duration)> {
    for number in 0..SMALL_KEYS {
        enqueue(store, queue, &format!("small:{round}:{number}"), SMALL).await?;
    }
    let running = Stopwatch::start();
    let (mut all, mut small) = (0, 0);
    while small < SMALL_KEYS * SMALL {
        for key in run_some(store, queue, AT_ONCE).await? {
            all += 1;
            small += usize::from(key != "large");
        }
    }
    Ok((all, running.elapsed()))
}

/// The jobs of each weight among those that run first.
async fn shares(store: &dyn Store) -> Result<Vec<usize>> {
    for weight in WEIGHTS {
        let key = format!("weight:{weight}");
        let config = KeyConfig { weight: Some(weight), ..KeyConfig::default() };
        store.set_key(&key, Some(&config)).await?;
        enqueue(store, "shared", &key, SHARED).await?;
    }
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    let mut left = SHARED;
    while left > 0 {
        let keys = run_some(store, "shared", AT_ONCE.min(left)).await?;
        left -= keys.len();
        keys.into_iter().for_each(|key| *shares.entry(key).or_default() += 1);
    }
    Ok(WEIGHTS.iter().map(|weight| shares.get(&format!("weight:{weight}")).copied().unwrap_or(0)).collect())
}

/// Claims jobs and completes them; answers their keys.
async fn run_some(store: &dyn Store, queue: &str, slots: usize) -> Result<Vec<String>> {
    let claimed = store.claim(claim(queue, slots)).await?;
    if claimed.is_empty() {
        return Err("jobs that wait in a fair queue are not claimed".into());
    }
    let keys = claimed.iter().filter_map(|job| job.labels.get(KEY).cloned()).collect();
    store.finish(claimed.into_iter().map(completed).collect()).await?;
    Ok(keys)
}

/// A claim of jobs that do nothing.
pub(crate) fn claim(queue: &str, slots: usize) -> Claim {
    let queues = vec![QueueSlots { queue: queue.into(), slots }];
    Claim {
        worker: WorkerInfo {
            id: "turns".into(),
            process: process_id().into(),
            queues: queues.clone(),
            ..WorkerInfo::default()
        },
        queues,
        kinds: vec![SupportedKind { kind: Nothing::KIND.into(), version: 1 }],
        lease_for: Duration::from_secs(60),
        wait: Duration::ZERO,
    }
}

/// The end of a run that did its work.
pub(crate) fn completed(job: Claimed) -> Finish {
    Finish {
        lease: job.lease,
        outcome: Outcome::Completed { output: Json::null() },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    }
}
