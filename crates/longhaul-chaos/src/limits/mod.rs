//! Limits under fire: slots that never overlap and are never lost, rates that no window exceeds, and turns that are fair.
//!
//! | file | what |
//! |---|---|
//! | `slots` | keys with slots, while workers are killed and stopped and jobs are cancelled |
//! | `rate` | keys with a rate, which processes share |
//! | `fair` | the turns of a fair queue |
//! | `guarded` | the job of such a run, which takes a lock file for each of its keys |
//! | `verdict` | the check of what was seen against the limits |

mod fair;
mod guarded;
mod rate;
mod slots;
mod verdict;

pub(crate) use fair::{claim, completed};
pub(crate) use guarded::{Guarded, Notes, QUEUE};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use longhaul::Store;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::process::Command;

use crate::figure::{self, Bar, Figure};
use crate::history::{Fault, History, What};
use crate::process::Process;
use crate::target::{self, StoreKind, Target};
use crate::{Judge, Result};

/// The flags of a run of limits.
#[derive(Args, Clone, Debug)]
pub(crate) struct LimitsArgs {
    /// The stores to run on, one after the other [default: all of them]
    #[arg(long, value_delimiter = ',')]
    store: Vec<StoreKind>,
    /// Seconds for which each rate is used
    #[arg(long, default_value_t = Fire::USUAL.seconds)]
    seconds: u64,
    /// Workers that are killed while slots are taken and given back
    #[arg(long, default_value_t = Fire::USUAL.kills)]
    kills: u64,
    /// Jobs that are cancelled meanwhile
    #[arg(long, default_value_t = Fire::USUAL.cancels)]
    cancels: u64,
    /// Worker processes
    #[arg(long, default_value_t = Fire::USUAL.workers)]
    workers: usize,
    /// The length of a worker's lease, in milliseconds
    #[arg(long, default_value_t = Fire::USUAL.lease)]
    lease: u64,
    /// The promises to judge by
    #[arg(long, value_enum, default_value_t = Fire::USUAL.judge)]
    judge: Judge,
    /// Repeats a run's jobs and faults
    #[arg(long)]
    seed: Option<u64>,
}

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fire {
    pub(crate) seconds: u64,
    pub(crate) kills: u64,
    pub(crate) cancels: u64,
    pub(crate) workers: usize,
    pub(crate) lease: u64,
    pub(crate) judge: Judge,
}

impl Fire {
    /// The usual size of a run, which the promises on limits are checked with.
    pub(crate) const USUAL: Self =
        Self { seconds: 20, kills: 500, cancels: 10_000, workers: 3, lease: 2_000, judge: Judge::Times };

    /// The bar of a figure that depends on the load of the machine, if such figures are judged.
    fn in_time(&self, bar: Bar) -> Option<Bar> {
        (self.judge == Judge::Times).then_some(bar)
    }
}

/// Runs on each store, and fails where a limit was exceeded, a slot lost or a turn unfair on one.
///
/// # Errors
/// A promise was broken, or a run could not be made.
pub(crate) async fn run(args: LimitsArgs) -> Result<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: --seed {seed} makes the same jobs and faults again");
    let LimitsArgs { seconds, kills, cancels, workers, lease, judge, .. } = args;
    let fire = Fire { seconds, kills, cancels, workers, lease, judge };
    let mut broken = Vec::new();
    println!("{}", figure::HEAD);
    for store in StoreKind::chosen(&args.store) {
        let mut figures = under_fire(&fire, store, seed).await?;
        figures.extend(fairness(&fire, store).await?);
        figure::print(store, figures, &mut broken);
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(format!("promises were broken: {}", broken.join("; ")).into())
    }
}

/// Slots and rates of keys while workers are killed and stopped and jobs are cancelled.
///
/// # Errors
/// A run could not be made.
pub(crate) async fn under_fire(fire: &Fire, store: StoreKind, seed: u64) -> Result<Vec<Figure>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut figures = slots::run(fire, store, &mut random).await?;
    for faults in [rate::Faults::None, rate::Faults::Kills] {
        figures.extend(rate::run(fire, store, faults, &mut random).await?);
    }
    Ok(figures)
}

/// The turns of keys in a fair queue.
///
/// # Errors
/// A run could not be made.
pub(crate) async fn fairness(fire: &Fire, store: StoreKind) -> Result<Vec<Figure>> {
    fair::run(fire, store).await
}

/// Workers that share an empty store.
struct Crowd<'a> {
    // Before the store's server, so that they end before it does.
    workers: Vec<Process>,
    args: &'a Fire,
    target: Target,
    store: Arc<dyn Store>,
    folder: TempDir,
    history: History,
    slots: usize,
}

impl<'a> Crowd<'a> {
    /// An empty store without workers; each of those that start takes so many jobs at once.
    async fn new(args: &'a Fire, kind: StoreKind, slots: usize) -> Result<Self> {
        let folder = TempDir::new()?;
        let history = History::open(&folder.path().join("history"))?;
        std::fs::create_dir(folder.path().join("locks"))?;
        let target = Target::start(kind).await?;
        let store = target::open(&target.direct).await?;
        Ok(Self { args, target, store, folder, history, slots, workers: Vec::new() })
    }

    fn history_file(&self) -> PathBuf {
        self.folder.path().join("history")
    }

    fn start_all(&mut self) -> Result<()> {
        for _ in 0..self.args.workers {
            let worker = self.start_worker()?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn start_worker(&self) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--store", &self.target.direct, "--slots", &self.slots.to_string()]);
        command.args(["--lease", &self.args.lease.to_string()]).arg("--history").arg(self.history_file());
        command.arg("--locks").arg(self.folder.path().join("locks"));
        Process::start(&mut command)
    }

    /// Kills a worker, stopped or not, and starts another in its place.
    async fn kill_one(&mut self, random: &mut StdRng) -> Result<usize> {
        let number = random.random_range(0..self.workers.len());
        let pid = self.workers[number].pid();
        self.workers[number].kill().await?;
        self.note(Fault::WorkerKilled, pid);
        self.workers[number] = self.start_worker()?;
        Ok(number)
    }

    fn note(&self, fault: Fault, pid: u32) {
        self.history.note(vec![What::Fault { fault, pid }]);
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.args.lease)
    }
}
