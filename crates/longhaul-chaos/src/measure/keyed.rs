use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{NewJob, Store};

use super::MeasureArgs;
use crate::Result;
use crate::figure::{Bar, Figure, millis, part};
use crate::limits::{claim, completed};
use crate::target::{self, StoreKind, Target};
use crate::worker::{Nothing, QUEUE};

/// Rounds, in which all stores take turns, of which the fastest counts; and calls of each sort in a round.
const ROUNDS: usize = 5;
const CALLS: usize = 100;
/// Drains without and with keys, in turn.
const DRAINS: usize = 20;
/// Jobs of one call while stores are filled, and of a drain.
const AT_ONCE: usize = 1_000;
/// The key that the jobs of one store wait behind.
const PAUSED: &str = "paused";
const CALL_NAMES: [&str; 4] =
    ["an enqueue", "an enqueue with the paused key", "a claim", "a pause and its end"];

/// The cost of calls on an empty store, on one with many jobs behind a paused key, and on one with many keys of a job each;
/// and a drain with a key on every job beside one without.
pub(super) async fn measure(args: &MeasureArgs, kind: StoreKind) -> Result<Vec<Figure>> {
    let (empty, _a) = open(kind).await?;
    let (paused, _b) = open(kind).await?;
    let (many, _c) = open(kind).await?;
    fill(paused.as_ref(), args.keyed, |_| PAUSED.to_owned()).await?;
    fill(many.as_ref(), args.keyed, |number| format!("key:{number}")).await?;
    for store in [&empty, &paused, &many] {
        store.pause_key(PAUSED, PAUSE).await?;
    }
    let mut least = [[Duration::MAX; CALL_NAMES.len()]; 3];
    for round in 0..ROUNDS {
        for (store, least) in [&empty, &paused, &many].into_iter().zip(&mut least) {
            let took = calls(store.as_ref(), round).await?;
            for (least, took) in least.iter_mut().zip(took) {
                *least = took.min(*least);
            }
        }
    }
    let mut figures = Vec::new();
    let beside =
        [format!("{} jobs behind a paused key", args.keyed), format!("{} keys with a job each", args.keyed)];
    for (beside, filled) in beside.iter().zip(&least[1..]) {
        for (call, name) in CALL_NAMES.iter().enumerate() {
            let (less, more) = (least[0][call], filled[call]);
            let factor = more.as_secs_f64() / less.as_secs_f64();
            let value = format!("{} → {} ({factor:.2} ×)", millis(less), millis(more));
            let bar = Bar::at_most(factor, 1.2, "×");
            figures.push(Figure::held(format!("{name} beside {beside}, p50"), value, bar));
        }
    }
    let (mut plain, mut keyed) = (Duration::MAX, Duration::MAX);
    for _ in 0..DRAINS {
        plain = drain(empty.as_ref(), Keys::None).await?.min(plain);
        keyed = drain(empty.as_ref(), Keys::OneEach).await?.min(keyed);
    }
    let rate = plain.as_secs_f64() / keyed.as_secs_f64();
    figures.push(Figure::held(
        format!("{AT_ONCE} jobs with a key each, enqueued and run, beside as many without"),
        format!("{} → {} ({rate:.2} × the rate)", millis(plain), millis(keyed)),
        Bar::at_least(rate, 0.5, "×"),
    ));
    Ok(figures)
}

/// Longer than any measurement.
const PAUSE: Duration = Duration::from_secs(24 * 3_600);

async fn open(kind: StoreKind) -> Result<(Arc<dyn Store>, Target)> {
    let target = Target::start(kind).await?;
    Ok((target::open(&target.direct).await?, target))
}

async fn fill(store: &dyn Store, jobs: usize, key: impl Fn(usize) -> String) -> Result<()> {
    for first in (0..jobs).step_by(AT_ONCE) {
        let batch = (first..jobs.min(first + AT_ONCE)).map(|number| of_key(key(number)));
        store.enqueue(batch.collect::<longhaul::Result<_>>()?).await?;
    }
    Ok(())
}

fn of_key(key: String) -> longhaul::Result<NewJob> {
    Ok(NewJob { limit_keys: vec![key], ..NewJob::of(&Nothing {})? })
}

/// The medians of calls of each sort.
async fn calls(store: &dyn Store, round: usize) -> Result<[Duration; CALL_NAMES.len()]> {
    let mut took = [const { Vec::new() }; CALL_NAMES.len()];
    // As servers do each second.
    store.sweep(1_000).await?;
    for call in 0..CALLS {
        let job = of_key(format!("own:{round}:{call}"))?;
        let one = Stopwatch::start();
        store.enqueue(vec![job]).await?;
        took[0].push(one.elapsed());
        let one = Stopwatch::start();
        store.enqueue(vec![of_key(PAUSED.to_owned())?]).await?;
        took[1].push(one.elapsed());
        let one = Stopwatch::start();
        let claimed = store.claim(claim(QUEUE, 1)).await?;
        took[2].push(one.elapsed());
        if claimed.len() != 1 {
            return Err(format!("a claim has taken {} jobs, and one was free", claimed.len()).into());
        }
        store.finish(claimed.into_iter().map(completed).collect()).await?;
        let one = Stopwatch::start();
        store.resume_key(PAUSED).await?;
        store.pause_key(PAUSED, PAUSE).await?;
        took[3].push(one.elapsed());
    }
    Ok(took.map(|mut took| {
        took.sort_unstable();
        part(&took, 0.5)
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    None,
    OneEach,
}

/// The time in which jobs are enqueued and run.
async fn drain(store: &dyn Store, keys: Keys) -> Result<Duration> {
    const QUEUE: &str = "drained";
    let job = |number: usize| -> longhaul::Result<NewJob> {
        let plain = NewJob { queue: QUEUE.into(), ..NewJob::of(&Nothing {})? };
        let keys = (keys == Keys::OneEach).then(|| format!("drained:{}", number % 100));
        Ok(NewJob { limit_keys: Vec::from_iter(keys), ..plain })
    };
    let jobs = (0..AT_ONCE).map(job).collect::<longhaul::Result<Vec<_>>>()?;
    let draining = Stopwatch::start();
    for jobs in jobs.chunks(64) {
        store.enqueue(jobs.to_vec()).await?;
    }
    let (mut left, mut finishes) = (AT_ONCE, Vec::new());
    while left > 0 || !finishes.is_empty() {
        let turn = store.finish_and_claim(finishes, claim(QUEUE, 16)).await?;
        left -= turn.claimed.len();
        finishes = turn.claimed.into_iter().map(completed).collect();
    }
    Ok(draining.elapsed())
}
