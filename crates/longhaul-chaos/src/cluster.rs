//! The cluster under test: API servers and workers that share one store, and the history that all of them write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, State};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use crate::Result;
use crate::check::{Findings, check};
use crate::history::{self, Fault, History, Line, What};
use crate::load::Sent;
use crate::process::Process;
use crate::target::{self, StoreKind, Target};
use crate::worker::Behaviour;

/// The processes of the cluster under test.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterArgs {
    /// Workers
    #[arg(long, default_value_t = 4)]
    pub(crate) workers: usize,
    /// API servers
    #[arg(long, default_value_t = 2)]
    pub(crate) servers: usize,
    /// Jobs that each worker runs at once
    #[arg(long, default_value_t = 8)]
    slots: usize,
    /// The length of a worker's lease, in seconds
    #[arg(long, default_value_t = 3)]
    pub(crate) lease: u64,
    /// The server under test
    #[arg(long, value_name = "BINARY")]
    longhaul: PathBuf,
    /// Workers note nothing in the history, which would take a gigabyte in hours
    #[arg(skip)]
    pub(crate) plain: bool,
}

/// The bound on the time that all jobs need once no more faults are made. A cluster that works is far below it on a busy
/// machine, too.
const DRAIN: Duration = Duration::from_secs(300);

/// The bound on the starts of a server in place of one that was killed.
const STARTS: u32 = 5;

/// Processes that share a store and nothing else.
pub(crate) struct Cluster<'a> {
    args: &'a ClusterArgs,
    pub(crate) target: Target,
    folder: TempDir,
    pub(crate) history: History,
    pub(crate) workers: Vec<Process>,
    pub(crate) servers: Vec<Process>,
    /// The servers' addresses, which change with each restart.
    pub(crate) addresses: watch::Sender<Vec<String>>,
}

impl<'a> Cluster<'a> {
    /// Starts all processes on an empty store.
    pub(crate) async fn start(args: &'a ClusterArgs, kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        let history = History::open(&folder.path().join(HISTORY))?;
        let target = Target::start(kind).await?;
        // Makes the tables, so that the processes need not race for that.
        target::open(&target.direct).await?;
        let mut cluster = Self {
            args,
            target,
            folder,
            history,
            workers: Vec::new(),
            servers: Vec::new(),
            addresses: watch::Sender::new(Vec::new()),
        };
        for number in 0..args.servers {
            let (server, address) = cluster.start_server(number).await?;
            cluster.servers.push(server);
            cluster.addresses.send_modify(|addresses| addresses.push(address));
        }
        for _ in 0..args.workers {
            let worker = cluster.start_worker()?;
            cluster.workers.push(worker);
        }
        Ok(cluster)
    }

    /// Starts an API server and answers its address.
    pub(crate) async fn start_server(&self, number: usize) -> Result<(Process, String)> {
        let mut command = serve(&self.args.longhaul, &self.target.url, self.folder.path(), number);
        command.env("LONGHAUL_LOG", "off");
        Process::start_and_read_line(&mut command).await
    }

    /// Starts a worker.
    pub(crate) fn start_worker(&self) -> Result<Process> {
        let history = self.folder.path().join(HISTORY);
        let lease = Duration::from_secs(self.args.lease);
        let mut command = work(&std::env::current_exe()?, &self.target.url, &history, self.args.slots, lease);
        if self.args.plain {
            command.arg("--plain");
        }
        Process::start(&mut command)
    }

    /// Kills a worker, and starts another in its place.
    pub(crate) async fn kill_worker(&mut self, number: usize) -> Result<()> {
        let pid = self.workers[number].pid();
        self.workers[number].kill().await?;
        self.note(Fault::WorkerKilled, pid);
        self.workers[number] = self.start_worker()?;
        Ok(())
    }

    /// Kills an API server, and starts another in its place, on a port of its own.
    pub(crate) async fn kill_server(&mut self, number: usize) -> Result<()> {
        let pid = self.servers[number].pid();
        self.servers[number].kill().await?;
        self.note(Fault::ServerKilled, pid);
        let (server, address) = self.restart_server(number).await?;
        self.servers[number] = server;
        self.addresses.send_modify(|addresses| addresses[number] = address);
        Ok(())
    }

    /// Starts an API server as a service manager does: once more where it ends at once, because a store that is busy may not
    /// have answered in time.
    async fn restart_server(&self, number: usize) -> Result<(Process, String)> {
        let mut starts = 1;
        loop {
            match self.start_server(number).await {
                Err(error) if starts < STARTS => {
                    eprintln!("failed to start a server, will start it again: {error}");
                    starts += 1;
                }
                started => return started,
            }
        }
    }

    /// Notes a fault that was made.
    pub(crate) fn note(&self, fault: Fault, pid: u32) {
        self.history.note(vec![What::Fault { fault, pid }]);
    }

    /// Reads the history that the processes have written so far.
    pub(crate) fn read_history(&self) -> Result<Vec<Line>> {
        Ok(history::read(&self.folder.path().join(HISTORY))?)
    }

    /// Waits until every job that was sent has ended, then checks the history.
    pub(crate) async fn verify(&self, sent: &[Sent]) -> Result<Findings> {
        let completed = self.drain(sent).await?;
        let limited = sent.iter().filter(|job| job.behaviour == Behaviour::Limited);
        let limited = limited.map(|job| job.id.to_string()).collect();
        let history = self.read_history()?;
        let findings = check(&history, &completed, &limited, self.target.owner());
        for job in findings.broken_jobs().take(3) {
            println!("  the history of {job}:");
            for line in history.iter().filter(|line| line.what.job() == Some(job)) {
                println!("    {line:?}");
            }
        }
        Ok(findings)
    }

    /// The jobs that completed.
    async fn drain(&self, sent: &[Sent]) -> Result<BTreeSet<String>> {
        let longhaul = Longhaul::over(target::open(&self.target.direct).await?);
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
}

/// The command of an API server that only serves.
pub(crate) fn serve(longhaul: &Path, store: &str, folder: &Path, number: usize) -> Command {
    let mut command = Command::new(longhaul);
    // Each has a folder of its own: nothing but the store is shared, and the place of uploads, because a server refuses
    // to start without the files of its database.
    command.arg("serve").args(["--no-worker", "--accept-unknown-kinds"]);
    command.env("STORAGE_URL", format!("file://{}", folder.join("files").display()));
    command.args(["--listen", "127.0.0.1:0", "--store", store]);
    command.arg("--data").arg(folder.join(format!("server-{number}")));
    if store.starts_with("redis") {
        // Rows have no place in Redis, and jobs of one store belong to the rows of one database.
        command.args(["--database", &format!("sqlite:{}", folder.join("rows.db").display())]);
    }
    command
}

/// The command of a worker under observation. `chaos` is this program, of this release or another.
pub(crate) fn work(chaos: &Path, store: &str, history: &Path, slots: usize, lease: Duration) -> Command {
    let mut command = Command::new(chaos);
    command.args(["worker", "--store", store, "--slots", &slots.to_string()]);
    command.args(["--lease", &lease.as_millis().to_string()]).arg("--history").arg(history);
    // In a long run some job is under a killed worker more often than the default of five times.
    command.env("LONGHAUL_MAX_CRASHES", "1000");
    command
}

/// The history's file in the cluster's folder.
const HISTORY: &str = "history";
