//! The programs of a release, and those of them that run.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use crate::Result;
use crate::cluster::{serve, work};
use crate::history::{self, History, Line};
use crate::process::Process;
use crate::target::{StoreKind, Target};

/// A release's programs.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// The name in what is told.
    pub(crate) name: &'static str,
    /// The server.
    pub(crate) longhaul: PathBuf,
    /// This program, for its workers.
    pub(crate) chaos: PathBuf,
}

/// A release's processes.
pub(crate) struct Running {
    /// The name of the release.
    pub(crate) release: &'static str,
    /// The server's HTTP API.
    pub(crate) api: Api,
    /// The server.
    pub(crate) server: Process,
    /// The worker, which opens the store itself.
    pub(crate) worker: Process,
}

/// The store that all processes share, and what they leave behind.
pub(crate) struct Place {
    /// The store.
    pub(crate) target: Target,
    /// The history that workers write.
    pub(crate) history: History,
    folder: TempDir,
    servers: AtomicUsize,
}

const HISTORY: &str = "history";
/// Jobs that a worker runs at once.
const SLOTS: usize = 8;
/// The length of its lease: so long that none ends on a busy machine but that of a worker that was taken away.
const LEASE: Duration = Duration::from_secs(60);

impl Place {
    /// Makes an empty store, whose tables the first process makes.
    pub(crate) async fn start(kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        let history = History::open(&folder.path().join(HISTORY))?;
        Ok(Self { target: Target::start(kind).await?, history, folder, servers: AtomicUsize::new(0) })
    }

    /// Starts a server of a release, and then a worker.
    pub(crate) async fn run(&self, release: &Release) -> Result<Running> {
        let (folder, number) = (self.folder.path(), self.servers.fetch_add(1, Ordering::Relaxed));
        let mut command = serve(&release.longhaul, &self.target.url, folder, number);
        let log = folder.join(format!("{}-{number}.log", release.name));
        command.env("LONGHAUL_LOG", "info").env("LONGHAUL_LOG_FORMAT", "json").stderr(File::create(&log)?);
        let (server, url) = Process::start_and_read_line(&mut command).await.map_err(|error| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            format!("failed to start a server of the {} release: {error}; its log: {log}", release.name)
        })?;
        let history = folder.join(HISTORY);
        let mut command = work(&release.chaos, &self.target.url, &history, SLOTS, LEASE);
        Ok(Running {
            release: release.name,
            api: Api::new(release.name, url)?,
            server,
            worker: Process::start(&mut command)?,
        })
    }

    /// The history so far.
    pub(crate) fn read_history(&self) -> Result<Vec<Line>> {
        Ok(history::read(&self.folder.path().join(HISTORY))?)
    }

    /// The lines of level `ERROR` that servers have logged, each with its server before it.
    pub(crate) fn logged_errors(&self) -> Result<Vec<String>> {
        let mut errors = Vec::new();
        for entry in std::fs::read_dir(self.folder.path())? {
            let path = entry?.path();
            let Some(server) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log")) else {
                continue;
            };
            let log = std::fs::read_to_string(&path)?;
            // A panic is no line of JSON.
            let is_error = |line: &&str| {
                serde_json::from_str::<Value>(line).map_or(true, |line| line["level"] == "ERROR")
            };
            errors.extend(log.lines().filter(is_error).map(|line| format!("{server}: {line}")));
        }
        Ok(errors)
    }
}
