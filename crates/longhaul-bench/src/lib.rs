//! The workloads of `longhaul bench`: the engine's speed on this machine, beside what its disk allows at all.
//!
//! The workloads, their counts and the form of the lines are those of a harness that measures other job systems, so
//! that one table can hold them all. `docs/benchmarks.md` says what each figure means.

mod child;
mod client;
mod engine;
mod history;
mod http;
mod idle;
mod limit;
mod load;
mod machine;
mod probe;
mod report;
mod sizes;
mod target;
mod upload;

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use futures::future::BoxFuture;
use longhaul::stats::Recorder;
use longhaul_sqlite::Durability;
use tokio_util::sync::CancellationToken;

use crate::machine::Quiet;
use crate::report::{Contender, Line, Run, Sample};
use crate::sizes::Sizes;
use crate::target::{Fresh, StoreUrl};
use crate::upload::Pace;

/// The outcome of a measurement, or a message that a person can act on.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Serves routes on a free port of the loopback address, as `longhaul serve` does, until the token is cancelled.
pub type Serve = fn(Router, CancellationToken) -> BoxFuture<'static, Result<SocketAddr>>;

/// Measure how fast the engine is on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The workloads to measure; enqueue1 enqueue64 bulk drain pickup http if none is named
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// `sqlite:FOLDER` makes each run a new database in a new folder inside FOLDER (the system's temporary
    /// folder if left out); `postgres://…` and `redis://…` give each run a schema or a prefix of its own; `memory:` shows what the engine costs without a database
    #[arg(long, env = "LONGHAUL_BENCH_STORE", value_name = "URL", default_value = "sqlite:")]
    store: StoreUrl,
    /// Also measures a bare append-only log with the same group commit, on the same disk, run by run in turn
    #[arg(long)]
    limit: bool,
    /// Also measures with what every server adds: statistics are counted and the live feed is kept, run by run in turn
    #[arg(long)]
    recorded: bool,
    /// Also measures an SQLite store that answers before it syncs, and syncs within this time (50ms), run by run in turn
    #[arg(long, value_name = "TIME")]
    durability: Option<Durability>,
    /// The number of runs of each workload; the line holds the median
    #[arg(long, env = "PEERS_REPS", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
    #[command(flatten)]
    sizes: Sizes,
}

const EXAMPLES: &str = "\
Examples:
  longhaul bench                            the six workloads, each the median of 5 runs
  longhaul bench --limit drain              the worker beside the bare log on the same disk
  longhaul bench --jobs 200000 drain        a longer run, for a fast disk
  longhaul bench --store sqlite:. enqueue64 on the disk that this folder is on
  longhaul bench claim-history idle         what history costs, and what doing nothing costs
  longhaul bench upload                     what an upload costs while OCR takes every core

One line of JSON per workload goes to standard output, progress to standard error.
An idle machine gives the truest figures: disk_syncs_per_s tells how the disk was
right before each run.";

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// One client, each job awaited before the next
    Enqueue1,
    /// 64 enqueues in flight
    Enqueue64,
    /// 1,000 jobs a call
    Bulk,
    /// A full queue and one worker: from its first job to its last
    Drain,
    /// An idle worker, one job each 25 ms: from the enqueue call to the handler
    Pickup,
    /// POST /api/jobs over loopback, 64 in flight
    Http,
    /// 16 callers, 160 uploads of 1 MB a second, to a server that is busy with OCR: how long each takes
    Upload,
    /// The same as fast as they are answered
    UploadFlood,
    /// Drain and claims with a million finished jobs in the table, beside none
    ClaimHistory,
    /// Memory and CPU time of a server that has nothing to do
    Idle,
}

impl Workload {
    const USUAL: [Self; 6] =
        [Self::Enqueue1, Self::Enqueue64, Self::Bulk, Self::Drain, Self::Pickup, Self::Http];

    fn name(self) -> &'static str {
        match self {
            Self::Enqueue1 => "enqueue1",
            Self::Enqueue64 => "enqueue64",
            Self::Bulk => "bulk",
            Self::Drain => "drain",
            Self::Pickup => "pickup",
            Self::Http => "http",
            Self::Upload => "upload",
            Self::UploadFlood => "upload-flood",
            Self::ClaimHistory => "claim-history",
            Self::Idle => "idle",
        }
    }
}

/// Measures what `args` ask for, and prints each line as soon as it is known.
///
/// # Errors
/// Any fault ends the whole run: a figure that was measured around a fault is worth nothing.
pub async fn run(args: Args, serve: Serve) -> Result<()> {
    let mut bench = Bench { quiet: Quiet::new(args.sizes.quiet()), args, serve };
    let named = std::mem::take(&mut bench.args.workloads);
    let workloads = if named.is_empty() { Workload::USUAL.to_vec() } else { named };
    for workload in workloads {
        match workload {
            Workload::ClaimHistory => print(&bench.claim_history().await?)?,
            Workload::Idle => print(&idle::measure().await?)?,
            _ => bench.compare(workload).await?,
        }
    }
    Ok(())
}

struct Bench {
    args: Args,
    quiet: Quiet,
    serve: Serve,
}

impl Bench {
    /// Runs a workload for every contender in turn, so that a neighbour who comes and goes disturbs all alike.
    async fn compare(&mut self, workload: Workload) -> Result<()> {
        let mut contenders = vec![(Contender::longhaul(&self.args.store), Vec::new())];
        if self.args.recorded {
            contenders.push((Contender::recorded(&self.args.store), Vec::new()));
        }
        if let Some(durability) = self.args.durability {
            let StoreUrl::Sqlite(_) = &self.args.store else {
                return Err("--durability is for --store sqlite:FOLDER".into());
            };
            contenders.push((Contender::relaxed(&self.args.store, durability), Vec::new()));
        }
        if self.args.limit {
            contenders.push((Contender::limit(), Vec::new()));
        }
        for rep in 1..=self.args.reps {
            for (contender, samples) in &mut contenders {
                let disk_syncs_per_s = self.probe_machine().await?;
                let run = self.measure(contender, workload).await?;
                tell(format_args!("{} {} run {rep}: {run}", contender.peer, workload.name()));
                samples.push(Sample { run, disk_syncs_per_s });
            }
        }
        for (contender, samples) in &contenders {
            print(&Line::median(contender, workload.name(), samples))?;
        }
        Ok(())
    }

    async fn measure(&self, contender: &Contender, workload: Workload) -> Result<Run> {
        let (store, sizes) = (&self.args.store, &self.args.sizes);
        match (workload, contender.peer) {
            (Workload::Upload | Workload::UploadFlood, report::LIMIT) => {
                return upload::measure_limit().await;
            }
            (Workload::Upload, _) => return upload::measure(Pace::Steady).await,
            (Workload::UploadFlood, _) => return upload::measure(Pace::Flood).await,
            _ => {}
        }
        if contender.peer == report::LIMIT {
            return limit::measure(workload, store, sizes, self.serve).await;
        }
        let durability =
            self.args.durability.filter(|_| contender.peer == report::RELAXED).unwrap_or_default();
        let fresh = Fresh::open_durable(store, durability).await?;
        let _recorder =
            (contender.peer == report::RECORDED).then(|| Recorder::start(Arc::clone(fresh.longhaul.store())));
        engine::measure(workload, &fresh.longhaul, sizes, self.serve).await
    }

    async fn claim_history(&mut self) -> Result<Line> {
        let mut history = history::History::fill(&self.args.store, &self.args.sizes).await?;
        let mut samples = Vec::new();
        for rep in 1..=self.args.reps {
            let disk_syncs_per_s = self.probe_machine().await?;
            let run = history.measure(&self.args.store, &self.args.sizes).await?;
            tell(format_args!("longhaul claim-history run {rep}: {run}"));
            samples.push(Sample { run, disk_syncs_per_s });
        }
        let mut line = Line::median(&Contender::longhaul(&self.args.store), "claim-history", &samples);
        history.describe(&mut line);
        Ok(line)
    }

    /// Waits for the machine's other users, then takes the disk's measure.
    async fn probe_machine(&mut self) -> Result<u64> {
        self.quiet.wait().await?;
        let folder = self.args.store.folder();
        let syncs = tokio::task::spawn_blocking(move || machine::disk_syncs_per_s(&folder)).await?;
        Ok(syncs.map_err(|e| format!("failed to measure the disk: {e}"))?)
    }
}

/// Prints a line without failing: `eprintln!` would panic on a closed pipe.
fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "bench: {line}");
}

fn print(line: &Line) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
