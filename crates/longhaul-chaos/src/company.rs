//! The processes of a run, on one stage: API servers, workers, and the history that all of them write.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::{Longhaul, State};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;

use crate::Result;
use crate::cast::Actor;
use crate::check::{Findings, check};
use crate::history::{self, Fault, History, Line, What};
use crate::load::Sent;
use crate::stage::{self, Stage, StoreKind};
use crate::worker::Behaviour;

/// Who is in it.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompanyArgs {
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
}

/// How long jobs may take to be done once no fault strikes any more.
const DRAIN: Duration = Duration::from_secs(120);

/// Processes that share a store and nothing else.
pub(crate) struct Company<'a> {
    args: &'a CompanyArgs,
    pub(crate) stage: Stage,
    folder: TempDir,
    pub(crate) history: History,
    pub(crate) workers: Vec<Actor>,
    pub(crate) servers: Vec<Actor>,
    /// Where the servers listen, as they are now.
    pub(crate) addresses: watch::Sender<Vec<String>>,
}

impl<'a> Company<'a> {
    /// Starts all of them on an empty store.
    pub(crate) async fn begin(args: &'a CompanyArgs, kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        let history = History::open(&folder.path().join(HISTORY))?;
        let stage = Stage::build(kind).await?;
        // Whoever is first makes the tables; here nobody has to race for that.
        stage::open(&stage.direct).await?;
        let mut company = Self {
            args,
            stage,
            folder,
            history,
            workers: Vec::new(),
            servers: Vec::new(),
            addresses: watch::Sender::new(Vec::new()),
        };
        for number in 0..args.servers {
            let (server, address) = company.serve(number).await?;
            company.servers.push(server);
            company.addresses.send_modify(|addresses| addresses.push(address));
        }
        for _ in 0..args.workers {
            let worker = company.work()?;
            company.workers.push(worker);
        }
        Ok(company)
    }

    /// Starts an API server, and answers where it listens.
    pub(crate) async fn serve(&self, number: usize) -> Result<(Actor, String)> {
        let mut command = Command::new(&self.args.longhaul);
        // A folder for each: nothing but the store is shared.
        command.arg("serve").args(["--no-worker", "--accept-unknown-kinds"]);
        command.args(["--listen", "127.0.0.1:0", "--store", &self.stage.url]);
        command.arg("--data").arg(self.folder.path().join(format!("server-{number}")));
        command.env("LONGHAUL_LOG", "off");
        Actor::start_talking(&mut command).await
    }

    /// Starts a worker.
    pub(crate) fn work(&self) -> Result<Actor> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--store", &self.stage.url, "--slots", &self.args.slots.to_string()]);
        command.args(["--lease", &(self.args.lease * 1_000).to_string()]);
        command.arg("--history").arg(self.folder.path().join(HISTORY));
        // Some job is bound to be under a dying worker more often than five times.
        command.env("LONGHAUL_MAX_CRASHES", "1000");
        Actor::start(&mut command)
    }

    /// Notes a fault that was made.
    pub(crate) fn note(&self, fault: Fault, pid: u32) {
        self.history.note(vec![What::Fault { fault, pid }]);
    }

    /// All that the processes have seen so far.
    pub(crate) fn seen(&self) -> Result<Vec<Line>> {
        Ok(history::read(&self.folder.path().join(HISTORY))?)
    }

    /// Waits until every job that was sent has ended, and checks what became of them.
    pub(crate) async fn finale(&self, sent: &[Sent]) -> Result<Findings> {
        let completed = self.drain(sent).await?;
        let limited = sent.iter().filter(|job| job.behaviour == Behaviour::Limited);
        let limited = limited.map(|job| job.id.to_string()).collect();
        Ok(check(&self.seen()?, &completed, &limited, self.stage.keeper()))
    }

    /// The jobs that completed.
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
}

/// The file of the history, in the company's folder.
const HISTORY: &str = "history";
