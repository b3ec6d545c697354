//! A run: clients enqueue while random faults are made; then all jobs must end, and the history is checked.

use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use crate::check::Findings;
use crate::cluster::{Cluster, ClusterArgs};
use crate::history::Fault;
use crate::load::{Load, Phase};
use crate::target::StoreKind;
use crate::{Judge, Result};

/// The flags of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// The stores to run on, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// Seconds in which faults are made, on all stores together
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The promises to judge by
    #[arg(long, value_enum, default_value_t = Judge::Times)]
    judge: Judge,
    /// Jobs per second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Repeats a run's faults
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Clients that enqueue.
const CLIENTS: u64 = 16;

/// Runs on each store, and fails if a promise was broken on one.
///
/// # Errors
/// A promise was broken, or a run could not be made.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: --seed {seed} makes the same faults again");
    let stores = StoreKind::chosen(&args.store);
    let each = Duration::from_secs(args.seconds) / stores.len() as u32;
    let longest_rescue = Duration::from_secs(args.cluster.lease + 1);
    let mut broken = Vec::new();
    for store in stores {
        println!(
            "\n{store:?}: {} workers, {} servers, {} s",
            args.cluster.workers,
            args.cluster.servers,
            each.as_secs()
        );
        let cluster = Cluster::start(&args.cluster, store).await?;
        let random = StdRng::seed_from_u64(seed);
        let findings = Run { args: &args, cluster, random, seed }.execute(each).await?;
        report(&findings, longest_rescue);
        let is_late = findings.rescue(0.99).is_some_and(|slowest| slowest > longest_rescue);
        if !findings.broken().is_empty() || (args.judge == Judge::Times && is_late) {
            broken.push(format!("{store:?}"));
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("promises were broken on {}", broken.join(", ")).into())
    }
}

/// A run in progress.
struct Run<'a> {
    args: &'a RunArgs,
    cluster: Cluster<'a>,
    random: StdRng,
    seed: u64,
}

impl Run<'_> {
    /// Makes faults under load for so long, then waits for all jobs and checks the history.
    async fn execute(mut self, length: Duration) -> Result<Findings> {
        let (phase, over) = watch::channel(Phase::Load);
        let load = Load {
            servers: self.cluster.addresses.subscribe(),
            history: self.cluster.history.clone(),
            rate: self.args.rate,
            over,
        };
        let load = tokio::spawn(load.run(self.seed, CLIENTS));
        let running = Stopwatch::start();
        while running.elapsed() < length {
            let calm = Duration::from_millis(self.random.random_range(200..1_200));
            tokio::time::sleep(calm).await;
            self.inject_fault().await?;
        }
        phase.send_replace(Phase::Drain);
        let sent = load.await??;
        self.cluster.verify(&sent).await
    }

    /// Makes one fault, and ends it.
    async fn inject_fault(&mut self) -> Result<()> {
        match self.random.random_range(0..100) {
            0..45 => self.kill_worker().await,
            45..65 => self.stop_worker().await,
            65..80 => self.kill_server().await,
            80..90 => self.stop_server().await,
            90..95 => {
                if self.cluster.target.cut() {
                    self.cluster.note(Fault::ConnectionsCut, 0);
                }
                Ok(())
            }
            _ => self.kill_store().await,
        }
    }

    async fn kill_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.cluster.workers.len());
        self.cluster.kill_worker(number).await
    }

    /// Stops a worker for longer than its lease, so that it comes back with jobs that are others' by then.
    async fn stop_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.cluster.workers.len());
        let pid = self.cluster.workers[number].pid();
        self.cluster.workers[number].stop().await?;
        self.cluster.note(Fault::WorkerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.args.cluster.lease * 1_000 + 1_500)).await;
        self.cluster.workers[number].resume().await?;
        self.cluster.note(Fault::WorkerContinued, pid);
        Ok(())
    }

    async fn kill_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.cluster.servers.len());
        self.cluster.kill_server(number).await
    }

    async fn stop_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.cluster.servers.len());
        let pid = self.cluster.servers[number].pid();
        self.cluster.servers[number].stop().await?;
        self.cluster.note(Fault::ServerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.random.random_range(100..2_000))).await;
        self.cluster.servers[number].resume().await?;
        self.cluster.note(Fault::ServerContinued, pid);
        Ok(())
    }

    async fn kill_store(&mut self) -> Result<()> {
        if !self.cluster.target.has_server() {
            return Ok(());
        }
        self.cluster.note(Fault::StoreKilled, 0);
        self.cluster.target.restart(Duration::from_millis(self.random.random_range(0..3_000))).await?;
        self.cluster.note(Fault::StoreBack, 0);
        Ok(())
    }
}

fn report(findings: &Findings, longest_rescue: Duration) {
    let faults: Vec<String> =
        findings.faults.iter().map(|(fault, count)| format!("{count} {fault:?}")).collect();
    println!("  faults               {}", faults.join(", "));
    findings.report();
    let rescue =
        |part| findings.rescue(part).map_or("none".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    println!(
        "  rescues              {}: p50 {}, p99 {} (the bar is {} s); {} while the store was away",
        findings.rescues.len(),
        rescue(0.5),
        rescue(0.99),
        longest_rescue.as_secs(),
        findings.rescues_left_out,
    );
}
