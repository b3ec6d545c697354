//! A soak: hours of steady load with kills each minute, after which memory, disk and latency must be what they were, and no job lost.

mod curve;
mod sample;
mod trend;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Job, JobId, JobRecord, Keep, Longhaul, QueueConfig, Retention, State};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::sample::{Ids, Sample, Times};
use crate::Result;
use crate::cluster::{Cluster, ClusterArgs};
use crate::figure::{self, Bar, Figure, HEAD};
use crate::load::{Phase, post_until_accepted};
use crate::target::{self, StoreKind};
use crate::worker::{Behaviour, Probe, QUEUE};

/// The flags of a soak.
#[derive(Args, Clone, Debug)]
pub(crate) struct SoakArgs {
    /// The stores to run on, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// Hours on each store
    #[arg(long, default_value_t = 2.0)]
    hours: f64,
    /// Jobs per second
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// The folder to draw each store's curves into, as soak-STORE.svg
    #[arg(long, value_name = "FOLDER")]
    curves: Option<PathBuf>,
    /// Repeats a run's choice of victims
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Clients that enqueue.
const CLIENTS: u32 = 16;
/// The pause between two kills: one of a worker and one of a server.
const BETWEEN_KILLS: Duration = Duration::from_secs(60);
/// The samples that a run is judged by, as far as it is long enough for one each five seconds.
const SAMPLES: u32 = 120;
/// The part of a run after which it is judged: the store fills until its retention takes as much as comes.
const WARM_UP: f64 = 0.25;
/// The part of a run that ended jobs are kept for, and the most.
const KEPT: f64 = 0.1;
const LONGEST_KEPT: Duration = Duration::from_secs(600);
/// The time in which a job must have ended. Its run takes 20 ms, and a lease that is not extended 3 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// The growth over a run that counts as none, as a part of the mean.
const UNNOTICED: f64 = 0.05;
/// The most bytes that a removed job may leave behind, which are its id and the indexes that find it. The store keeps them for a day
/// ([`longhaul::GONE_FOR`]), so they add up in every shorter run. A job that was not removed leaves ten times as much.
const LEFT_BEHIND: f64 = 200.0;

/// Soaks each store, prints a table, and fails if a bar is missed.
///
/// # Errors
/// A bar is missed, or a run could not be made.
pub(crate) async fn run(mut args: SoakArgs) -> Result<()> {
    args.cluster.plain = true;
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}: --seed {seed} chooses the same victims again");
    println!("{HEAD}");
    let mut missed = Vec::new();
    for store in StoreKind::chosen(&args.store) {
        let soaked = Soak::start(&args, store, seed).await?.execute().await?;
        figure::print(store, soaked.figures(&args), &mut missed);
        if let Some(folder) = &args.curves {
            let name = format!("{store:?}").to_lowercase();
            let file = folder.join(format!("soak-{name}.svg"));
            std::fs::write(&file, curve::draw(&soaked.samples))
                .map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("missed: {}", missed.join("; ")).into()) }
}

/// A soak in progress.
struct Soak<'a> {
    args: &'a SoakArgs,
    store: StoreKind,
    cluster: Cluster<'a>,
    watcher: Longhaul,
    random: StdRng,
    observed: Arc<Mutex<Observed>>,
}

/// Observations of clients and watchers since the last sample, and the outcomes of all jobs.
#[derive(Default)]
struct Observed {
    acknowledged: Vec<Duration>,
    ended: Vec<Duration>,
    jobs: u64,
    completed: u64,
    lost: Vec<JobId>,
}

/// The result of a soak.
struct Soaked {
    samples: Vec<Sample>,
    jobs: u64,
    completed: u64,
    lost: Vec<JobId>,
    kills: u32,
}

impl<'a> Soak<'a> {
    async fn start(args: &'a SoakArgs, store: StoreKind, seed: u64) -> Result<Self> {
        let cluster = Cluster::start(&args.cluster, store).await?;
        if cluster.workers.len() < 2 || cluster.servers.len() < 2 {
            return Err(
                "a soak takes two workers and two servers at least: the first of each is never killed, \
                        because its memory is watched"
                    .into(),
            );
        }
        let watcher = Longhaul::over(target::open(&cluster.target.direct).await?);
        let kept = Duration::from_secs_f64(args.hours * 3_600.0).mul_f64(KEPT).min(LONGEST_KEPT);
        let keep = Keep { age: Some(kept), count: None };
        let retention = Retention { completed: keep.clone(), failed: keep.clone(), cancelled: keep };
        watcher.store().set_queue(QUEUE, &QueueConfig { retention, ..QueueConfig::default() }).await?;
        Ok(Self {
            args,
            store,
            cluster,
            watcher,
            random: StdRng::seed_from_u64(seed),
            observed: Arc::default(),
        })
    }

    async fn execute(mut self) -> Result<Soaked> {
        let length = Duration::from_secs_f64(self.args.hours * 3_600.0);
        let between_samples = (length / SAMPLES).max(Duration::from_secs(5));
        let (phase, over) = watch::channel(Phase::Load);
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(self.client(number, over.clone()).run());
        }
        let running = Stopwatch::start();
        let (mut samples, mut kills) = (Vec::new(), 0);
        let mut timer = tokio::time::interval(Duration::from_secs(1));
        while running.elapsed() < length {
            timer.tick().await;
            // A client that has ended before its time has met a fault.
            while let Some(client) = clients.try_join_next() {
                client??;
            }
            if running.elapsed() >= BETWEEN_KILLS * (kills + 1) {
                self.kill().await?;
                kills += 1;
            }
            if running.elapsed() >= between_samples * (samples.len() as u32 + 1) {
                let sample = self.sample(running.elapsed())?;
                eprintln!("{:?} {sample}", self.store);
                samples.push(sample);
            }
        }
        phase.send_replace(Phase::Drain);
        while let Some(client) = clients.join_next().await {
            client??;
        }
        let observed = std::mem::take(&mut *self.observed.lock());
        let Observed { jobs, completed, lost, .. } = observed;
        Ok(Soaked { samples, jobs, completed, lost, kills })
    }

    /// Kills a worker and a server that are not the first, and starts others in their places.
    async fn kill(&mut self) -> Result<()> {
        let number = self.random.random_range(1..self.cluster.workers.len());
        self.cluster.kill_worker(number).await?;
        let number = self.random.random_range(1..self.cluster.servers.len());
        self.cluster.kill_server(number).await
    }

    fn sample(&self, at: Duration) -> Result<Sample> {
        let (mut acknowledged, mut ended, jobs) = {
            let mut observed = self.observed.lock();
            (std::mem::take(&mut observed.acknowledged), std::mem::take(&mut observed.ended), observed.jobs)
        };
        Ok(Sample {
            at,
            worker: self.cluster.workers[0].memory().ok_or("the first worker has ended")?,
            server: self.cluster.servers[0].memory().ok_or("the first server has ended")?,
            store: self.cluster.target.server_memory(),
            disk: self.cluster.target.disk_bytes(),
            acknowledged: Times::of(&mut acknowledged),
            ended: Times::of(&mut ended),
            jobs,
        })
    }

    fn client(&self, number: u32, over: watch::Receiver<Phase>) -> SteadyClient {
        SteadyClient {
            number,
            pause: Duration::from_secs_f64(f64::from(CLIENTS) / self.args.rate),
            servers: self.cluster.addresses.subscribe(),
            over,
            watcher: self.watcher.clone(),
            observed: Arc::clone(&self.observed),
        }
    }
}

/// A client that sends a job at each tick of its clock, whether or not the one before was answered: a client that waited would hide
/// how long it had to.
struct SteadyClient {
    number: u32,
    pause: Duration,
    servers: watch::Receiver<Vec<String>>,
    over: watch::Receiver<Phase>,
    watcher: Longhaul,
    observed: Arc<Mutex<Observed>>,
}

impl SteadyClient {
    async fn run(self) -> Result<()> {
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let mut timer = tokio::time::interval(self.pause);
        let mut jobs: JoinSet<Result<()>> = JoinSet::new();
        for count in 0_u64.. {
            timer.tick().await;
            if *self.over.borrow() != Phase::Load {
                break;
            }
            let id = format!("soak-{}-{count}", self.number);
            let (servers, http) = (self.servers.clone(), http.clone());
            let (watcher, observed) = (self.watcher.clone(), Arc::clone(&self.observed));
            jobs.spawn(async move { follow(id, &servers, &http, &watcher, &observed).await });
            while let Some(ended) = jobs.try_join_next() {
                ended??;
            }
        }
        while let Some(ended) = jobs.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Sends a job, waits for its end, and records both.
async fn follow(
    id: String,
    servers: &watch::Receiver<Vec<String>>,
    http: &Client,
    watcher: &Longhaul,
    observed: &Mutex<Observed>,
) -> Result<()> {
    let probe = Probe { millis: 20, behaviour: Behaviour::Plain };
    let body = json!({ "id": id, "kind": Probe::KIND, "args": probe, "queue": QUEUE });
    let mut random = StdRng::from_rng(&mut rand::rng());
    let sending = Stopwatch::start();
    post_until_accepted(servers, http, &body, &mut random).await?;
    {
        let mut observed = observed.lock();
        observed.jobs += 1;
        observed.acknowledged.push(sending.elapsed());
    }
    let id = JobId::from_store(id);
    let found = end_of(&id, watcher).await;
    let mut observed = observed.lock();
    match found {
        Some(job) if job.state == State::Completed => {
            observed.completed += 1;
            observed.ended.push(job.finished_at.unwrap_or(job.created_at).since(job.created_at));
        }
        _ => observed.lost.push(id),
    }
    Ok(())
}

/// The job, once it has ended; `None` after the time limit. A failed look is repeated: the watcher is a client, too,
/// and a busy store may delay it.
async fn end_of(id: &JobId, watcher: &Longhaul) -> Option<JobRecord> {
    let waiting = Stopwatch::start();
    loop {
        let left = PATIENCE.saturating_sub(waiting.elapsed());
        match watcher.wait(id, left).await {
            Ok(job) => return job.found(),
            Err(_) if left.is_zero() => return None,
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}

impl Soaked {
    fn figures(&self, args: &SoakArgs) -> Vec<Figure> {
        let run = format!("{} h, {} jobs/s", args.hours, args.rate);
        let lost: Vec<&str> = self.lost.iter().take(5).map(JobId::as_str).collect();
        let ended = format!("{} of {} {}", self.lost.len(), self.jobs, lost.join(", "));
        let mut figures = vec![
            Figure::without_bar(
                format!("jobs that completed: {run}"),
                format!("{} of {}", self.completed, self.jobs),
            ),
            Figure::without_bar("SIGKILL of a worker and of a server", self.kills.to_string()),
            Figure::held(
                "jobs that did not",
                ended.trim_end(),
                Bar::at_most(self.lost.len() as f64, 0.0, ""),
            ),
        ];
        let judged = &self.samples[(self.samples.len() as f64 * WARM_UP) as usize..];
        // As many jobs are removed as come, once the retention has filled.
        let removed =
            judged.last().zip(judged.first()).map_or(0, |(last, first)| last.jobs - first.jobs) as f64;
        for series in sample::SERIES {
            let points: Option<Vec<(f64, f64)>> = judged.iter().map(|sample| series.point(sample)).collect();
            // A store without a server has no memory of one.
            let Some(trend) = points.as_deref().and_then(trend::of) else { continue };
            let mut value = format!(
                "mean {}, {:+.1} % over the run (± {:.1})",
                series.shown(trend.mean),
                trend.growth * 100.0,
                trend.noise * 100.0
            );
            let mut allowed = trend.noise.max(UNNOTICED);
            if series.ids == Ids::Held {
                value += &format!(", {:.0} bytes for each removed job", trend.growth * trend.mean / removed);
                allowed += removed * LEFT_BEHIND / trend.mean;
            }
            let bar = Bar::at_most(trend.growth, allowed, "").said(format!("≤ {:.1} %", allowed * 100.0));
            figures.push(Figure::held(series.name, value, bar));
        }
        figures
    }
}
