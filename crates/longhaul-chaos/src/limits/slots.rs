use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Action, JobFilter, JobId, KeyConfig, KeyFilter, NewJob, Page, Payloads, State, Store};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use super::guarded::{FirstEnd, Guarded, ONE};
use super::verdict::{Lasted, locks_met, overlaps, runs};
use super::{Crowd, Fire};
use crate::Result;
use crate::figure::{Bar, Figure};
use crate::history::{self, Fault, History, Line, What};
use crate::load::Phase;
use crate::target::StoreKind;

/// Keys of one slot, and those of several, of which every other job has one, too.
const ONES: usize = 24;
const SHARED: [(&str, u32); 2] = [("few", 3), ("some", 7)];
/// Jobs that may wait.
const BACKLOG: u64 = 300;
/// The time that a cancelled job has to stop.
const GRACE: Duration = Duration::from_millis(500);
/// The bound on the time that all jobs need once no more faults are made, and that one job of each key needs then.
const DRAIN: Duration = Duration::from_secs(300);
const UNFINISHED: [State; 4] = [State::Scheduled, State::Blocked, State::Available, State::Running];

/// Kills and stops workers while jobs of keys with slots are enqueued, run and cancelled.
pub(super) async fn run(fire: &Fire, kind: StoreKind, random: &mut StdRng) -> Result<Vec<Figure>> {
    let mut crowd = Crowd::new(fire, kind, 8).await?;
    let slots = |slots| KeyConfig { slots: Some(slots), ..KeyConfig::default() };
    crowd.store.set_key(&format!("{ONE}*"), Some(&slots(1))).await?;
    for (key, of) in SHARED {
        crowd.store.set_key(key, Some(&slots(of))).await?;
    }
    crowd.start_all()?;
    let (phase, over) = watch::channel(Phase::Load);
    let cancels = Arc::new(AtomicU64::new(0));
    let load = Load {
        store: Arc::clone(&crowd.store),
        history: crowd.history.clone(),
        random: StdRng::seed_from_u64(random.random()),
        over,
        cancels: Arc::clone(&cancels),
        keys: BTreeMap::new(),
    };
    let load = tokio::spawn(load.run());
    let running = Stopwatch::start();
    make_faults(&mut crowd, random, &cancels, &load).await?;
    phase.send_replace(Phase::Drain);
    let keys = load.await??;
    let under_fire = running.elapsed();
    let stuck = drain(crowd.store.as_ref()).await?;
    let history = history::read(&crowd.history_file())?;
    let count = |fault| {
        history.iter().filter(|l| matches!(l.what, What::Fault { fault: f, .. } if f == fault)).count()
    };
    let mut figures = vec![
        Figure::without_bar(
            "keys with slots under fire",
            format!(
                "{} jobs, {} kills, {} stops, {} cancels in {:.0} s",
                keys.len(),
                count(Fault::WorkerKilled),
                count(Fault::WorkerStopped),
                cancels.load(Ordering::Relaxed),
                under_fire.as_secs_f64(),
            ),
        ),
        none("jobs that have not ended", stuck),
    ];
    figures.extend(check(&history, &keys, crowd.lease()));
    figures.push(none("keys of which a slot is lost", check_keys(crowd.store.as_ref(), &keys).await?));
    Ok(figures)
}

/// Faults, of which there may be none.
fn none(name: &str, faults: Vec<String>) -> Figure {
    let first = faults.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    let value = if faults.is_empty() { "0".to_owned() } else { format!("{}: {first}", faults.len()) };
    Figure::held(name, value, Bar::at_most(faults.len() as f64, 0.0, ""))
}

/// Kills a worker again and again, and stops one now and then for longer than its lease.
async fn make_faults<T>(
    crowd: &mut Crowd<'_>,
    random: &mut StdRng,
    cancels: &AtomicU64,
    load: &tokio::task::JoinHandle<T>,
) -> Result<()> {
    let (mut kills, mut stopped): (u64, Option<(usize, Stopwatch)>) = (0, None);
    while (kills < crowd.args.kills || cancels.load(Ordering::Relaxed) < crowd.args.cancels)
        && !load.is_finished()
    {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..400))).await;
        if let Some((number, since)) = &stopped {
            if since.elapsed() > crowd.lease() + Duration::from_millis(500) {
                resume(crowd, *number).await?;
                stopped = None;
            }
        } else if random.random_range(0..8) == 0 {
            let number = random.random_range(0..crowd.workers.len());
            crowd.workers[number].stop().await?;
            crowd.note(Fault::WorkerStopped, crowd.workers[number].pid());
            stopped = Some((number, Stopwatch::start()));
        }
        if kills < crowd.args.kills {
            let number = crowd.kill_one(random).await?;
            kills += 1;
            stopped = stopped.filter(|(stopped, _)| *stopped != number);
        }
    }
    if let Some((number, _)) = stopped {
        resume(crowd, number).await?;
    }
    Ok(())
}

async fn resume(crowd: &Crowd<'_>, number: usize) -> Result<()> {
    crowd.note(Fault::WorkerContinued, crowd.workers[number].pid());
    crowd.workers[number].resume().await
}

/// A client that enqueues jobs, cancels some that wait and some that run, and pauses keys.
struct Load {
    store: Arc<dyn Store>,
    history: History,
    random: StdRng,
    over: watch::Receiver<Phase>,
    cancels: Arc<AtomicU64>,
    /// The jobs and their keys.
    keys: BTreeMap<String, Vec<String>>,
}

impl Load {
    async fn run(mut self) -> Result<BTreeMap<String, Vec<String>>> {
        while *self.over.borrow() == Phase::Load {
            let store = Arc::clone(&self.store);
            let waiting: u64 = retry_outages(|| store.queues()).await?.iter().map(unfinished).sum();
            let jobs = (0..BACKLOG.saturating_sub(waiting)).map(|_| self.job());
            let jobs = jobs.collect::<Result<Vec<_>>>()?;
            let ids: Vec<JobId> = jobs.iter().filter_map(|job| job.id.clone()).collect();
            retry_outages(|| store.enqueue(jobs.clone())).await?;
            let running = JobFilter { states: vec![State::Running], ..JobFilter::default() };
            let page = Page { limit: 100, payloads: Payloads::Short, cursor: None };
            let running = retry_outages(|| store.list(&running, page.clone())).await?.jobs;
            let running: Vec<JobId> = running.into_iter().map(|job| job.id).collect();
            let mut chosen: Vec<JobId> = running.sample(&mut self.random, 6).cloned().collect();
            chosen.extend(ids.sample(&mut self.random, ids.len() / 3).cloned());
            self.cancel(chosen).await?;
            if self.random.random_range(0..4) == 0 {
                let key = self.key();
                let pause = Duration::from_millis(self.random.random_range(1..500));
                retry_outages(|| store.pause_key(&key, pause)).await?;
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(20..120))).await;
        }
        Ok(self.keys)
    }

    fn key(&mut self) -> String {
        format!("{ONE}{}", self.random.random_range(0..ONES))
    }

    fn job(&mut self) -> Result<NewJob> {
        let mut keys = vec![self.key()];
        if self.random.random_range(0..2) == 0 {
            keys.extend(SHARED.choose(&mut self.random).map(|(key, _)| (*key).to_owned()));
        }
        if self.random.random_range(0..8) == 0 {
            let second = self.key();
            if !keys.contains(&second) {
                keys.push(second);
            }
        }
        let end = match self.random.random_range(0..10) {
            0 => FirstEnd::Deaf,
            1 => FirstEnd::Fails,
            2 => FirstEnd::Panics,
            3 => FirstEnd::Snoozes,
            4 => FirstEnd::PausesItsKey,
            _ => FirstEnd::Completes,
        };
        // Some run until after their grace.
        let longest = if self.random.random_range(0..50) == 0 { 1_500 } else { 150 };
        let job = Guarded { keys: keys.clone(), millis: self.random.random_range(0..longest), end };
        let id = JobId::new(format!("{:016x}", self.random.random::<u64>()))?;
        self.keys.insert(id.to_string(), keys);
        // Workers die under a job more often than by the default.
        Ok(NewJob { id: Some(id), max_crashes: 1_000, ..NewJob::of(&job)? })
    }

    async fn cancel(&self, ids: Vec<JobId>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.history.note(ids.iter().map(|id| What::CancelAsked { job: id.to_string() }).collect());
        let (filter, limit) = (JobFilter { ids, ..JobFilter::default() }, 1_000);
        let done = retry_outages(|| self.store.act(&filter, Action::cancel(GRACE), limit)).await?.done;
        self.cancels.fetch_add(done, Ordering::Relaxed);
        Ok(())
    }
}

fn unfinished(queue: &longhaul::QueueInfo) -> u64 {
    UNFINISHED.iter().filter_map(|state| queue.counts.get(state)).sum()
}

/// Calls a store again while a suspended process keeps it from answering.
async fn retry_outages<T, F: Future<Output = longhaul::Result<T>>>(
    call: impl Fn() -> F,
) -> longhaul::Result<T> {
    loop {
        match call().await {
            Err(error) if error.is_outage() => tokio::time::sleep(Duration::from_millis(50)).await,
            answer => return answer,
        }
    }
}

/// Waits until all jobs have ended; returns some of those that have not.
async fn drain(store: &dyn Store) -> Result<Vec<String>> {
    let draining = Stopwatch::start();
    while retry_outages(|| store.queues()).await?.iter().map(unfinished).sum::<u64>() > 0 {
        if draining.elapsed() > DRAIN {
            let filter = JobFilter { states: UNFINISHED.into(), ..JobFilter::default() };
            let stuck = store.list(&filter, Page::default()).await?.jobs;
            let tell = |job: &longhaul::JobRecord| format!("{} {:?} {:?}", job.id, job.state, job.limit_keys);
            return Ok(stuck.iter().map(tell).collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(Vec::new())
}

fn check(history: &[Line], keys: &BTreeMap<String, Vec<String>>, lease: Duration) -> Vec<Figure> {
    let runs = runs(history, lease, GRACE);
    let mut of_key: BTreeMap<&str, Vec<&Lasted>> = BTreeMap::new();
    for run in &runs {
        for key in keys.get(&run.job).into_iter().flatten() {
            of_key.entry(key).or_default().push(run);
        }
    }
    let mut broken = Vec::new();
    for (key, runs) in of_key {
        let slots = SHARED.iter().find(|(name, _)| *name == key).map_or(1, |(_, slots)| *slots as usize);
        let beyond = overlaps(&runs, slots, lease);
        if let Some(first) = beyond.first() {
            broken.push(format!(
                "{key}: {} runs beyond its {slots} slots, first {}",
                beyond.len(),
                first.job
            ));
            tell_around(history, &runs, first);
        }
    }
    let (overlapping, met) = locks_met(history, &runs);
    vec![
        Figure::without_bar(
            "runs, and those that met a lock which a dead or stopped process had left",
            format!("{}, {met}", runs.len()),
        ),
        none("keys of which more runs than its slots were claimed at a time", broken),
        none("runs that met the lock of another whose lease lasted", overlapping),
    ]
}

/// Prints the history of the runs of a key from shortly before one of them.
fn tell_around(history: &[Line], runs: &[&Lasted], broken: &Lasted) {
    let jobs: BTreeSet<&str> = runs.iter().map(|run| &*run.job).collect();
    let near = |line: &&Line| broken.from.minus(Duration::from_secs(3)) < line.at && line.at <= broken.from;
    let of_key = |line: &&Line| line.what.job().is_none_or(|job| jobs.contains(job));
    for line in history.iter().filter(near).filter(of_key) {
        eprintln!("    {line:?}");
    }
}

/// No slot is lost: nothing is used of a key of which nothing runs, and a job of each key runs.
async fn check_keys(store: &dyn Store, keys: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let listed = store.keys(&KeyFilter { limit: 1_000, ..KeyFilter::default() }).await?;
    for key in listed.iter().filter(|key| key.used > 0 || key.waiting > 0) {
        broken.push(format!("{}: {} slots are lost, and {} jobs wait", key.key, key.used, key.waiting));
    }
    let names: BTreeSet<&String> = keys.values().flatten().collect();
    let mut last = Vec::new();
    for key in names {
        let job = Guarded { keys: vec![key.clone()], millis: 0, end: FirstEnd::Completes };
        let id = store.enqueue(vec![NewJob::of(&job)?]).await?.remove(0).id;
        last.push((key, id));
    }
    let waiting = Stopwatch::start();
    for (key, id) in last {
        while store.get(std::slice::from_ref(&id)).await?.remove(0).found().map(|job| job.state)
            != Some(State::Completed)
        {
            if waiting.elapsed() > DRAIN {
                broken.push(format!("{key}: no job of it runs any more"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(broken)
}
