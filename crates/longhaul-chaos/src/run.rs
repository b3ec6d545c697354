//! A run: the cast comes up, the load begins, faults strike, and when all is quiet again the history is checked.

use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;

use crate::Result;
use crate::check::Findings;
use crate::company::{Company, CompanyArgs};
use crate::history::Fault;
use crate::load::{Load, Phase};
use crate::stage::StoreKind;

/// The flags of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// The stores to run on, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// For how long faults strike, in seconds, on all stores together
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Seconds beyond the lease within which a dead worker's jobs must be with another
    #[arg(long, default_value_t = 1)]
    tolerance: u64,
    /// Jobs per second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Repeats a run's faults
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    company: CompanyArgs,
}

/// Clients that enqueue.
const CLIENTS: u64 = 16;

/// Runs on each store, and fails if a promise was broken on one.
///
/// # Errors
/// Where a promise was broken, or a run could not be made.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: --seed {seed} makes the same faults again");
    let stores = if args.store.is_empty() { StoreKind::all() } else { args.store.clone() };
    let each = Duration::from_secs(args.seconds) / stores.len() as u32;
    let longest_rescue = Duration::from_secs(args.company.lease + args.tolerance);
    let mut broken = Vec::new();
    for store in stores {
        println!(
            "\n{store:?}: {} workers, {} servers, {} s",
            args.company.workers,
            args.company.servers,
            each.as_secs()
        );
        let company = Company::begin(&args.company, store).await?;
        let random = StdRng::seed_from_u64(seed);
        let findings = Run { args: &args, company, random, seed }.play(each).await?;
        report(&findings, longest_rescue);
        if !findings.is_good(longest_rescue) {
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
    company: Company<'a>,
    random: StdRng,
    seed: u64,
}

impl Run<'_> {
    /// Lets clients work while faults strike, for so long; then waits for all jobs and checks.
    async fn play(mut self, length: Duration) -> Result<Findings> {
        let (phase, over) = watch::channel(Phase::Load);
        let load = Load {
            servers: self.company.addresses.subscribe(),
            history: self.company.history.clone(),
            rate: self.args.rate,
            over,
        };
        let load = tokio::spawn(load.run(self.seed, CLIENTS));
        let playing = Stopwatch::start();
        while playing.elapsed() < length {
            let calm = Duration::from_millis(self.random.random_range(200..1_200));
            tokio::time::sleep(calm).await;
            self.strike().await?;
        }
        phase.send_replace(Phase::Drain);
        let sent = load.await??;
        self.company.finale(&sent).await
    }

    /// Makes one fault, and mends it.
    async fn strike(&mut self) -> Result<()> {
        match self.random.random_range(0..100) {
            0..45 => self.kill_a_worker().await,
            45..65 => self.stop_a_worker().await,
            65..80 => self.kill_a_server().await,
            80..90 => self.stop_a_server().await,
            90..95 => {
                if self.company.stage.cut() {
                    self.company.note(Fault::ConnectionsCut, 0);
                }
                Ok(())
            }
            _ => self.kill_the_store().await,
        }
    }

    async fn kill_a_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.company.workers.len());
        let pid = self.company.workers[number].pid();
        self.company.workers[number].kill().await?;
        self.company.note(Fault::WorkerKilled, pid);
        self.company.workers[number] = self.company.work()?;
        Ok(())
    }

    /// For longer than its lease, so that it comes back as a zombie.
    async fn stop_a_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.company.workers.len());
        let pid = self.company.workers[number].pid();
        self.company.workers[number].stop().await?;
        self.company.note(Fault::WorkerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.args.company.lease * 1_000 + 1_500)).await;
        self.company.workers[number].go_on().await?;
        self.company.note(Fault::WorkerContinued, pid);
        Ok(())
    }

    async fn kill_a_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.company.servers.len());
        let pid = self.company.servers[number].pid();
        self.company.servers[number].kill().await?;
        self.company.note(Fault::ServerKilled, pid);
        let (server, address) = self.company.serve(number).await?;
        self.company.servers[number] = server;
        self.company.addresses.send_modify(|addresses| addresses[number] = address);
        Ok(())
    }

    async fn stop_a_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.company.servers.len());
        let pid = self.company.servers[number].pid();
        self.company.servers[number].stop().await?;
        self.company.note(Fault::ServerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.random.random_range(100..2_000))).await;
        self.company.servers[number].go_on().await?;
        self.company.note(Fault::ServerContinued, pid);
        Ok(())
    }

    async fn kill_the_store(&mut self) -> Result<()> {
        if !self.company.stage.has_server() {
            return Ok(());
        }
        self.company.note(Fault::StoreKilled, 0);
        self.company.stage.restart(Duration::from_millis(self.random.random_range(0..3_000))).await?;
        self.company.note(Fault::StoreBack, 0);
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
        "  rescues              {}: p50 {}, p99 {} (at most {} s); {} while the store was away",
        findings.rescues.len(),
        rescue(0.5),
        rescue(0.99),
        longest_rescue.as_secs(),
        findings.rescues_left_out,
    );
}
