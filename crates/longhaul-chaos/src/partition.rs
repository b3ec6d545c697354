//! A network that breaks between a worker and its store, made of two network namespaces.
//!
//! The store and a second worker are on one side, the first worker with a long job on the other. The link goes down:
//! the first worker cannot tell the store that it lives, so it must have stopped its job before the second one is
//! given it. Then the link comes back, and the first worker must go on by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{JobId, Longhaul, NewJob};
use longhaul_testservers::Redis;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Result;
use crate::history::{self, History, Line, What};
use crate::process::Process;
use crate::target;
use crate::worker::Watch;

/// The flags of a partition.
#[derive(Args, Clone, Debug)]
pub(crate) struct PartitionArgs {
    /// The length of a worker's lease, in seconds
    #[arg(long, default_value_t = 3)]
    lease: u64,
    /// The namespaces' names begin with this; given by the process outside of them
    #[arg(long, hide = true)]
    inside: Option<String>,
}

/// The two ends of the link: a network of the namespaces' own, which nothing else can reach.
const NEAR: &str = "10.203.0.1";
const FAR: &str = "10.203.0.2";
/// The bound on what must come: workers that work are far below it on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the namespaces, and goes on inside of the first.
pub(crate) async fn run(args: PartitionArgs) -> Result<()> {
    if let Some(names) = &args.inside {
        return run_inside(names, &args).await;
    }
    let names = format!("longhaul-{}", std::process::id());
    let namespaces = Namespaces { names: names.clone() };
    namespaces.make().await?;
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &format!("{names}-a")]).arg(std::env::current_exe()?);
    inside.args(["partition", "--inside", &names, "--lease", &args.lease.to_string()]);
    let ended = inside.kill_on_drop(true).status().await?;
    if ended.success() { Ok(()) } else { Err("the partition's promise was broken".into()) }
}

/// Two namespaces and the link between them, gone when dropped.
struct Namespaces {
    names: String,
}

impl Namespaces {
    async fn make(&self) -> Result<()> {
        let n = &self.names;
        let script = format!(
            "set -e
            ip netns add {n}-a
            ip netns add {n}-b
            ip -n {n}-a link add near type veth peer name far netns {n}-b
            ip -n {n}-a addr add {NEAR}/30 dev near
            ip -n {n}-b addr add {FAR}/30 dev far
            for end in '{n}-a near' '{n}-b far'; do
                set -- $end
                ip -n $1 link set lo up
                ip -n $1 link set $2 up
            done"
        );
        shell(&script)
            .await
            .map_err(|e| format!("failed to make network namespaces (that needs root): {e}").into())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for end in ["a", "b"] {
            let name = format!("{}-{end}", self.names);
            // Whatever has not been made cannot be removed.
            let _ = std::process::Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

async fn run_inside(names: &str, args: &PartitionArgs) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("history");
    let history = History::open(&file)?;
    let server = Redis::start(&["--bind", NEAR, "--protected-mode", "no"]);
    let url = format!("redis://{NEAR}:{}/0", server.port());
    let longhaul = Longhaul::over(target::open(&url).await?);
    let workers = Workers { names, url: &url, file: &file, lease: args.lease };

    let first = workers.far_worker()?;
    let job = longhaul.enqueue(Watch { millis: 600_000 }).await?.id;
    wait_for(&file, "the first worker to be given the job", |line| ticks(line, &job, first.pid())).await?;
    let second = workers.near_worker()?;
    shell("ip link set near down").await?;
    let cut = history.now();
    let is_second = |line: &Line| matches!(&line.what, What::Claimed { pid, .. } if *pid == second.pid());
    wait_for(&file, "the second worker to be given it", is_second).await?;
    let lines = history::read(&file)?;
    let stopped = lines.iter().rev().find(|line| ticks(line, &job, first.pid())).ok_or("no tick")?.at;
    let rescued = lines.iter().find(|line| is_second(line)).ok_or("no rescue")?.at;
    // The job must have been still by then, and must stay so.
    println!("  the link went down at        0.00 s");
    println!("  the first worker's last sign {:.2} s", stopped.since(cut).as_secs_f64());
    println!(
        "  the second was given the job {:.2} s (lease {} s)",
        rescued.since(cut).as_secs_f64(),
        args.lease
    );
    if stopped >= rescued {
        return Err("a job ran on two workers at once".into());
    }

    shell("ip link set near up").await?;
    drop(second);
    let healed = history.now();
    let id = JobId::new("after-the-partition")?;
    let next = NewJob { id: Some(id.clone()), ..NewJob::of(&Watch { millis: 1 })? };
    longhaul.enqueue_one(next).await?;
    wait_for(&file, "the first worker to go on", |line| ticks(line, &id, first.pid())).await?;
    println!(
        "  the first worker went on     {:.2} s after the link was back",
        history.now().since(healed).as_secs_f64()
    );
    Ok(())
}

/// The workers on both sides.
struct Workers<'a> {
    names: &'a str,
    url: &'a str,
    file: &'a Path,
    lease: u64,
}

impl Workers<'_> {
    fn near_worker(&self) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        Process::start(self.flags(&mut command))
    }

    /// `ip netns exec` becomes the worker, so the process id is the worker's.
    fn far_worker(&self) -> Result<Process> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}-b", self.names)]).arg(std::env::current_exe()?);
        Process::start(self.flags(&mut command))
    }

    fn flags<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.args(["worker", "--slots", "4", "--store", self.url]);
        command.args(["--lease", &(self.lease * 1_000).to_string()]);
        command.arg("--history").arg(PathBuf::from(self.file))
    }
}

/// True where a line is a sign that `worker` is running `job`.
fn ticks(line: &Line, job: &JobId, worker: u32) -> bool {
    matches!(&line.what, What::Ticked { job: ticked, pid } if ticked == job.as_str() && *pid == worker)
}

/// Polls the history until it has the line: there is no notification of a growing file.
async fn wait_for(file: &Path, what: &str, is_it: impl Fn(&Line) -> bool) -> Result<()> {
    let waiting = Stopwatch::start();
    while !history::read(file)?.iter().any(&is_it) {
        if waiting.elapsed() > PATIENCE {
            return Err(format!("waited in vain for {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn shell(script: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", script]).output().await?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
}
