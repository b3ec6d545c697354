use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{JobFilter, KeyConfig, NewJob, Page, Payloads, Rate, State, Store, Timestamp};
use rand::RngExt;
use rand::rngs::StdRng;

use super::guarded::QUEUE;
use super::verdict::excess;
use super::{Crowd, Fire};
use crate::Result;
use crate::figure::{Bar, Figure};
use crate::target::StoreKind;
use crate::worker::Nothing;

/// The rate of each key.
const RATE: Rate = Rate { n: 100, per: Duration::from_secs(1), burst: None };
const KEYS: [&str; 2] = ["rate:a", "rate:b"];
/// The part of a rate that must be used, in percent.
const USED: f64 = 95.0;

/// The faults that are made while rates are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    None,
    /// Workers are killed. The units that a run takes before its worker dies are lost, so that the used part is not
    /// judged.
    Kills,
}

/// Lets several processes use the rates of keys of which more jobs wait than they admit.
pub(super) async fn run(
    fire: &Fire,
    kind: StoreKind,
    faults: Faults,
    random: &mut StdRng,
) -> Result<Vec<Figure>> {
    let mut crowd = Crowd::new(fire, kind, 16).await?;
    let config = KeyConfig { rate: Some(RATE), ..KeyConfig::default() };
    let most = f64::from(RATE.burst()) + f64::from(RATE.n) * fire.seconds as f64;
    for key in KEYS {
        crowd.store.set_key(key, Some(&config)).await?;
        let job = NewJob { limit_keys: vec![key.into()], queue: QUEUE.into(), ..NewJob::of(&Nothing {})? };
        for _ in 0..(most * 2.0) as usize / 100 {
            crowd.store.enqueue(vec![job.clone(); 100]).await?;
        }
    }
    crowd.start_all()?;
    let length = Duration::from_secs(fire.seconds);
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
    let mut figures = Vec::new();
    for key in KEYS {
        let starts = starts(crowd.store.as_ref(), key, usize::MAX).await?;
        let first = starts.first().ok_or_else(|| format!("no job of {key} has run"))?;
        let used = starts.iter().filter(|at| at.since(*first) < length).count() as f64 / most * 100.0;
        let of = format!("{key}, {}/s, {} processes, {kills} kills", RATE.n, fire.workers);
        // What a run takes of a rate before its worker dies is lost.
        let bar = fire.in_time(Bar::at_least(used, USED, "%")).filter(|_| faults == Faults::None);
        figures.push(Figure { bar, ..Figure::without_bar(format!("{of}: used"), format!("{used:.1} %")) });
        let beyond = excess(&starts, RATE);
        figures.push(Figure::held(
            format!("{of}: starts beyond the bound of a window"),
            format!("{beyond:.2}"),
            Bar::at_most(beyond, 0.0, ""),
        ));
    }
    Ok(figures)
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
