//! The stores' own servers, as Debian has them: on a port of their own, in a temporary folder, ended by process id.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::Result;
use crate::cast::{Actor, cpu_of, signal};

/// A store's server, which can be killed and started again on what it had written.
#[derive(Debug)]
pub(crate) struct StoreServer {
    program: Program,
    folder: PathBuf,
    address: SocketAddr,
    actor: Option<Actor>,
}

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// With its default settings, which sync every commit.
    Postgres,
    /// With a log that it syncs before it answers.
    Redis,
}

/// How long a server may take to come up: it may have to read its log first.
const PATIENCE: Duration = Duration::from_secs(60);

impl StoreServer {
    /// Starts an empty Postgres.
    pub(crate) async fn postgres(folder: &Path) -> Result<Self> {
        let script = format!(
            "cd \"$1\" && chmod 755 . && mkdir data && {{ [ \"$(id -u)\" != 0 ] || chown nobody data; }} &&
             {AS_NOBODY} \"$2/initdb\" -D \"$1/data\" -U longhaul -A trust -E UTF8 --locale=C --no-sync"
        );
        let mut make = Command::new("sh");
        make.args(["-c", &script, "sh"]).arg(folder).arg(postgres_programs()?);
        let made = make.output().await?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into());
        }
        Self::begin(Program::Postgres, folder, "127.0.0.1").await
    }

    /// Starts an empty Redis.
    pub(crate) async fn redis(folder: &Path) -> Result<Self> {
        Self::begin(Program::Redis, folder, "127.0.0.1").await
    }

    /// The same on an address of a namespace of our own.
    pub(crate) async fn redis_at(folder: &Path, host: &str) -> Result<Self> {
        Self::begin(Program::Redis, folder, host).await
    }

    async fn begin(program: Program, folder: &Path, host: &str) -> Result<Self> {
        let mut server =
            Self { program, folder: folder.to_owned(), address: free_address(host)?, actor: None };
        server.start().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The store's URL by way of `port`.
    pub(crate) fn url(&self, port: u16) -> String {
        let host = self.address.ip();
        match self.program {
            Program::Postgres => format!("postgres://longhaul@{host}:{port}/postgres"),
            Program::Redis => format!("redis://{host}:{port}/0"),
        }
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let waiting = Stopwatch::start();
        loop {
            self.actor = Some(Actor::start(&mut self.command()?)?);
            // A closed port tells nobody when it opens, so this asks again and again; and a Postgres that finds its
            // dead predecessor's memory in use ends, and is started again.
            while self.actor.as_mut().is_some_and(Actor::is_alive) {
                if TcpStream::connect(self.address).await.is_ok() {
                    return Ok(());
                }
                if waiting.elapsed() > PATIENCE {
                    return Err("the store's server does not come up".into());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn command(&self) -> Result<Command> {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        match self.program {
            Program::Redis => {
                let mut command = Command::new("redis-server");
                command.current_dir(&self.folder).args(["--port", &port, "--bind", &host]);
                command.args(["--protected-mode", "no", "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "always"]);
                Ok(command)
            }
            Program::Postgres => {
                // The shell becomes the server, so its process id is the server's.
                let script = format!(
                    "cd \"$1\" && exec {AS_NOBODY} \"$2/postgres\" -D \"$1/data\" -k '' -p $3 2>/dev/null"
                );
                let mut command = Command::new("sh");
                command.args(["-c", &script, "sh"]).arg(&self.folder).arg(postgres_programs()?).arg(port);
                Ok(command)
            }
        }
    }

    /// Seconds of CPU time that it and its children have used.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let server = self.actor.as_ref()?.pid();
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Some(
            pids.filter_map(cpu_of)
                .filter(|(pid, parent, _)| [*pid, *parent].contains(&server))
                .map(|(_, _, cpu)| cpu)
                .sum(),
        )
    }

    /// Ends it as a crash would: Redis by SIGKILL; Postgres, whose processes would outlive the first of them, by the
    /// signal at which all of them end at once and write nothing more.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let Some(actor) = &mut self.actor else { return Ok(()) };
        match self.program {
            Program::Redis => actor.kill().await,
            Program::Postgres => {
                signal("QUIT", actor.pid()).await?;
                actor.ended().await
            }
        }
    }
}

/// Postgres refuses to be run by root, who becomes somebody with no rights at all here.
const AS_NOBODY: &str =
    "$([ \"$(id -u)\" != 0 ] || echo setpriv --reuid nobody --regid nogroup --clear-groups)";

/// The folder of the newest Postgres of this machine.
fn postgres_programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    folders.max().ok_or_else(|| "there is no Postgres: run scripts/install-tools test".into())
}

/// A port that nobody had a moment ago. A restarted server must have its old one, so the system cannot choose it each
/// time.
fn free_address(host: &str) -> Result<SocketAddr> {
    Ok(TcpListener::bind((host, 0))?.local_addr()?)
}
