//! How fast the store is: `cargo run --release --example bench -- postgres://127.0.0.1/bench [WORKLOAD...]`.
//!
//! The workloads are those of `longhaul bench`; `drain=2000` is one with another number of jobs. Each has a schema of its own, which is left: use a database that
//! has nothing else on it.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Context, Job, JobResult, Longhaul, NewJob, Worker};
use longhaul_postgres::{PostgresOptions, PostgresStore};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// A job of about 200 bytes.
#[derive(Serialize, Deserialize)]
struct Email {
    id: u64,
    to: String,
    body: String,
}

impl Email {
    fn new(id: u64) -> Self {
        Self { id, to: format!("user{id}@example.com"), body: "x".repeat(140) }
    }
}

impl Job for Email {
    const KIND: &'static str = "email";
    type State = Arc<Probe>;
    type Output = ();

    async fn run(self, cx: Context<Arc<Probe>>) -> JobResult<()> {
        cx.state().note(self.id);
        Ok(())
    }
}

/// Notes when each job was called.
struct Probe {
    since: Stopwatch,
    expected: usize,
    called: Mutex<HashMap<u64, Duration>>,
    all: Notify,
}

impl Probe {
    fn new(expected: usize) -> Arc<Self> {
        Arc::new(Self { since: Stopwatch::start(), expected, called: Mutex::default(), all: Notify::new() })
    }

    fn note(&self, id: u64) {
        let mut called = self.called.lock();
        called.insert(id, self.since.elapsed());
        if called.len() == self.expected {
            self.all.notify_one();
        }
    }
}

async fn enqueue(longhaul: &Longhaul, lanes: u64, jobs: u64) -> Result<f64> {
    let since = Stopwatch::start();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for lane in 0..lanes {
        let longhaul = longhaul.clone();
        tasks.spawn(async move {
            for id in (lane..jobs).step_by(usize::try_from(lanes)?) {
                longhaul.enqueue(Email::new(id)).await?;
            }
            Ok(())
        });
    }
    while let Some(lane) = tasks.join_next().await {
        lane??;
    }
    Ok(jobs as f64 / since.elapsed().as_secs_f64())
}

async fn bulk(longhaul: &Longhaul, jobs: u64) -> Result<f64> {
    let since = Stopwatch::start();
    for from in (0..jobs).step_by(1_000) {
        let jobs = (from..jobs.min(from + 1_000)).map(|id| NewJob::of(&Email::new(id)));
        longhaul.enqueue_many(jobs.collect::<longhaul::Result<_>>()?).await?;
    }
    Ok(jobs as f64 / since.elapsed().as_secs_f64())
}

fn start(longhaul: &Longhaul, probe: &Arc<Probe>) -> Worker {
    longhaul.worker().register::<Email>(Arc::clone(probe)).queue("default", 64).start()
}

async fn drain(longhaul: &Longhaul, jobs: u64) -> Result<f64> {
    bulk(longhaul, jobs).await?;
    let probe = Probe::new(usize::try_from(jobs)?);
    let worker = start(longhaul, &probe);
    probe.all.notified().await;
    let called = probe.called.lock().clone();
    worker.shutdown(Duration::from_secs(5)).await;
    let (first, last) = (called.values().min(), called.values().max());
    let span = last.zip(first).map_or(Duration::ZERO, |(last, first)| *last - *first);
    Ok(jobs as f64 / span.as_secs_f64())
}

/// The median and the 99th percentile, in milliseconds.
async fn pickup(longhaul: &Longhaul, jobs: u64) -> Result<(f64, f64)> {
    let probe = Probe::new(usize::try_from(jobs)? + 1);
    let worker = start(longhaul, &probe);
    longhaul.enqueue(Email::new(0)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    let mut sent = Vec::new();
    for id in 1..=jobs {
        ticks.tick().await;
        sent.push((id, probe.since.elapsed()));
        longhaul.enqueue(Email::new(id)).await?;
    }
    probe.all.notified().await;
    let called = probe.called.lock().clone();
    worker.shutdown(Duration::from_secs(5)).await;
    let mut waits: Vec<f64> = sent.iter().map(|(id, at)| (called[id] - *at).as_secs_f64() * 1e3).collect();
    waits.sort_by(f64::total_cmp);
    Ok((waits[waits.len() / 2], waits[waits.len() * 99 / 100]))
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: bench URL [enqueue1|enqueue64|bulk|drain|pickup ...]")?;
    let mut workloads: Vec<String> = arguments.collect();
    if workloads.is_empty() {
        workloads = ["enqueue1", "enqueue64", "bulk", "drain", "pickup"].map(String::from).to_vec();
    }
    for workload in workloads {
        let schema = format!("bench_{}", longhaul::JobId::random()).replace('-', "_");
        let store = PostgresStore::open(PostgresOptions::new(&url)?.schema(schema)).await?;
        let longhaul = Longhaul::new(store);
        let (workload, jobs) = match workload.split_once('=') {
            Some((workload, jobs)) => (workload, Some(jobs.parse()?)),
            None => (workload.as_str(), None),
        };
        match workload {
            "enqueue1" => {
                println!("enqueue1   {:9.0}/s", enqueue(&longhaul, 1, jobs.unwrap_or(5_000)).await?)
            }
            "enqueue64" => {
                println!("enqueue64  {:9.0}/s", enqueue(&longhaul, 64, jobs.unwrap_or(50_000)).await?)
            }
            "bulk" => println!("bulk       {:9.0}/s", bulk(&longhaul, jobs.unwrap_or(50_000)).await?),
            "drain" => println!("drain      {:9.0}/s", drain(&longhaul, jobs.unwrap_or(20_000)).await?),
            "pickup" => {
                let (p50, p99) = pickup(&longhaul, jobs.unwrap_or(200)).await?;
                println!("pickup     p50 {p50:.2} ms, p99 {p99:.2} ms");
            }
            other => return Err(format!("no workload is called '{other}'").into()),
        }
    }
    Ok(())
}
