//! A run: the cast comes up, the load begins, faults strike, and when all is quiet again the history is checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, State};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use crate::Result;
use crate::cast::Actor;
use crate::check::{Findings, check};
use crate::history::{self, Fault, History, What};
use crate::load::{Load, Phase, Sent};
use crate::stage::{self, Stage, StoreKind};
use crate::worker::Behaviour;

/// The flags of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// The stores to run on, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// For how long faults strike, in seconds, on all stores together
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Workers
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// API servers
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Jobs that each worker runs at once
    #[arg(long, default_value_t = 8)]
    slots: usize,
    /// The length of a worker's lease, in seconds
    #[arg(long, default_value_t = 3)]
    lease: u64,
    /// Seconds beyond the lease within which a dead worker's jobs must be with another
    #[arg(long, default_value_t = 1)]
    tolerance: u64,
    /// Jobs per second
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Repeats a run's faults
    #[arg(long)]
    seed: Option<u64>,
    /// The server under test
    #[arg(long, value_name = "BINARY")]
    longhaul: PathBuf,
}

/// Clients that enqueue.
const CLIENTS: u64 = 16;
/// How long jobs may take to be done once no fault strikes any more.
const DRAIN: Duration = Duration::from_secs(120);

/// Runs on each store, and fails if a promise was broken on one.
///
/// # Errors
/// Where a promise was broken, or a run could not be made.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: --seed {seed} makes the same faults again");
    let stores = if args.store.is_empty() { StoreKind::all() } else { args.store.clone() };
    let each = Duration::from_secs(args.seconds) / stores.len() as u32;
    let longest_rescue = Duration::from_secs(args.lease + args.tolerance);
    let mut broken = Vec::new();
    for store in stores {
        println!("\n{store:?}: {} workers, {} servers, {} s", args.workers, args.servers, each.as_secs());
        let findings = Run::begin(&args, store, seed).await?.play(each).await?;
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
    stage: Stage,
    folder: TempDir,
    history: History,
    workers: Vec<Actor>,
    servers: Vec<Actor>,
    addresses: watch::Sender<Vec<String>>,
    random: StdRng,
    seed: u64,
}

impl<'a> Run<'a> {
    async fn begin(args: &'a RunArgs, kind: StoreKind, seed: u64) -> Result<Self> {
        let folder = TempDir::new()?;
        let history = History::open(&history_file(&folder))?;
        let stage = Stage::build(kind).await?;
        // Whoever is first makes the tables; here nobody has to race for that.
        stage::open(&stage.direct).await?;
        let mut run = Self {
            args,
            stage,
            folder,
            history,
            workers: Vec::new(),
            servers: Vec::new(),
            addresses: watch::Sender::new(Vec::new()),
            random: StdRng::seed_from_u64(seed),
            seed,
        };
        for number in 0..args.servers {
            let (server, address) = run.serve(number).await?;
            run.servers.push(server);
            run.addresses.send_modify(|addresses| addresses.push(address));
        }
        for _ in 0..args.workers {
            let worker = run.work()?;
            run.workers.push(worker);
        }
        Ok(run)
    }

    /// Lets clients work while faults strike, for so long; then waits for all jobs and checks.
    async fn play(mut self, length: Duration) -> Result<Findings> {
        let (phase, over) = watch::channel(Phase::Load);
        let load = Load {
            servers: self.addresses.subscribe(),
            history: self.history.clone(),
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
        let completed = self.drain(&sent).await?;
        let limited = sent.iter().filter(|job| job.behaviour == Behaviour::Limited);
        let limited = limited.map(|job| job.id.to_string()).collect();
        Ok(check(&history::read(&history_file(&self.folder))?, &completed, &limited, self.stage.keeper()))
    }

    /// Makes one fault, and mends it.
    async fn strike(&mut self) -> Result<()> {
        match self.random.random_range(0..100) {
            0..45 => self.kill_a_worker().await,
            45..65 => self.stop_a_worker().await,
            65..80 => self.kill_a_server().await,
            80..90 => self.stop_a_server().await,
            90..95 => {
                if self.stage.cut() {
                    self.note(Fault::ConnectionsCut, 0);
                }
                Ok(())
            }
            _ => self.kill_the_store().await,
        }
    }

    async fn kill_a_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.workers.len());
        let pid = self.workers[number].pid();
        self.workers[number].kill().await?;
        self.note(Fault::WorkerKilled, pid);
        self.workers[number] = self.work()?;
        Ok(())
    }

    /// For longer than its lease, so that it comes back as a zombie.
    async fn stop_a_worker(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.workers.len());
        let pid = self.workers[number].pid();
        self.workers[number].stop().await?;
        self.note(Fault::WorkerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.args.lease * 1_000 + 1_500)).await;
        self.workers[number].go_on().await?;
        self.note(Fault::WorkerContinued, pid);
        Ok(())
    }

    async fn kill_a_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.servers.len());
        let pid = self.servers[number].pid();
        self.servers[number].kill().await?;
        self.note(Fault::ServerKilled, pid);
        let (server, address) = self.serve(number).await?;
        self.servers[number] = server;
        self.addresses.send_modify(|addresses| addresses[number] = address);
        Ok(())
    }

    async fn stop_a_server(&mut self) -> Result<()> {
        let number = self.random.random_range(0..self.servers.len());
        let pid = self.servers[number].pid();
        self.servers[number].stop().await?;
        self.note(Fault::ServerStopped, pid);
        tokio::time::sleep(Duration::from_millis(self.random.random_range(100..2_000))).await;
        self.servers[number].go_on().await?;
        self.note(Fault::ServerContinued, pid);
        Ok(())
    }

    async fn kill_the_store(&mut self) -> Result<()> {
        if !self.stage.has_server() {
            return Ok(());
        }
        self.note(Fault::StoreKilled, 0);
        self.stage.restart(Duration::from_millis(self.random.random_range(0..3_000))).await?;
        self.note(Fault::StoreBack, 0);
        Ok(())
    }

    /// Waits until every job that was sent has ended, and answers those that completed.
    async fn drain(&self, sent: &[Sent]) -> Result<BTreeSet<String>> {
        let longhaul = Longhaul::over(stage::open(&self.stage.direct).await?);
        let draining = Stopwatch::start();
        let mut completed = BTreeSet::new();
        for job in sent {
            let left = DRAIN.saturating_sub(draining.elapsed());
            let found = longhaul.wait(&job.id, left).await?.found();
            if found.is_some_and(|job| job.state == State::Completed) {
                completed.insert(job.id.to_string());
            }
        }
        Ok(completed)
    }

    async fn serve(&self, number: usize) -> Result<(Actor, String)> {
        let mut command = Command::new(&self.args.longhaul);
        // A folder for each: nothing but the store is shared.
        command.arg("serve").args(["--no-worker", "--accept-unknown-kinds"]);
        command.args(["--listen", "127.0.0.1:0", "--store", &self.stage.url]);
        command.arg("--data").arg(self.folder.path().join(format!("server-{number}")));
        command.env("LONGHAUL_LOG", "off");
        Actor::start_talking(&mut command).await
    }

    fn work(&self) -> Result<Actor> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--store", &self.stage.url, "--slots", &self.args.slots.to_string()]);
        command.args(["--lease", &(self.args.lease * 1_000).to_string()]);
        command.arg("--history").arg(history_file(&self.folder));
        // Some job is bound to be under a dying worker more often than five times.
        command.env("LONGHAUL_MAX_CRASHES", "1000");
        Actor::start(&mut command)
    }

    fn note(&self, fault: Fault, pid: u32) {
        self.history.note(vec![What::Fault { fault, pid }]);
    }
}

fn history_file(folder: &TempDir) -> PathBuf {
    Path::join(folder.path(), "history")
}

fn report(findings: &Findings, longest_rescue: Duration) {
    let none = |jobs: &[String]| match jobs {
        [] => "0".to_owned(),
        jobs => format!("{} (must be 0): {}", jobs.len(), jobs[..jobs.len().min(5)].join(", ")),
    };
    let faults: Vec<String> =
        findings.faults.iter().map(|(fault, count)| format!("{count} {fault:?}")).collect();
    println!("  faults               {}", faults.join(", "));
    println!("  acknowledged         {}", findings.acknowledged);
    println!("  completed            {}", findings.completed);
    println!("  lost                 {}", none(&findings.lost));
    println!("  finished twice       {}", none(&findings.finished_twice));
    println!("  limits exceeded      {}", none(&findings.limits_exceeded));
    println!("  executed twice       {} (allowed)", findings.executed_twice);
    println!("  late finishes        {} refused", findings.refused);
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
