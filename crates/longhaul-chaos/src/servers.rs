//! The stores' own servers, as Debian has them: on a port of their own, in a temporary folder, ended by process id.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::Result;
use crate::cast::Actor;

/// A store's server, which can be killed and started again on what it had written.
#[derive(Debug)]
pub(crate) struct StoreServer {
    folder: PathBuf,
    address: SocketAddr,
    actor: Option<Actor>,
}

/// How long a server may take to come up: it may have to read its log first.
const PATIENCE: Duration = Duration::from_secs(60);

impl StoreServer {
    /// Redis with a log that it syncs before it answers.
    pub(crate) async fn redis(folder: &Path) -> Result<Self> {
        Self::redis_at(folder, "127.0.0.1").await
    }

    /// The same on an address of a namespace of our own.
    pub(crate) async fn redis_at(folder: &Path, host: &str) -> Result<Self> {
        let mut server = Self { folder: folder.to_owned(), address: free_address(host)?, actor: None };
        server.start().await?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The store's URL by way of `port`.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("redis://{}:{port}/0", self.address.ip())
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let mut command = Command::new("redis-server");
        command.current_dir(&self.folder).args(["--port", &self.address.port().to_string()]);
        command.args([
            "--bind",
            &self.address.ip().to_string(),
            "--protected-mode",
            "no",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]);
        self.actor = Some(Actor::start(&mut command)?);
        let waiting = Stopwatch::start();
        // A closed port tells nobody when it opens, so this asks again and again.
        while TcpStream::connect(self.address).await.is_err() {
            if waiting.elapsed() > PATIENCE {
                return Err("the store's server does not come up".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Seconds of CPU time that it and its children have used.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let pid = self.actor.as_ref()?.pid();
        cpu_of(pid)
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match &mut self.actor {
            Some(actor) => actor.kill().await,
            None => Ok(()),
        }
    }
}

/// A port that nobody had a moment ago. A restarted server must have its old one, so the system cannot choose it each
/// time.
fn free_address(host: &str) -> Result<SocketAddr> {
    Ok(TcpListener::bind((host, 0))?.local_addr()?)
}

/// What Linux has counted of a process: its user and system time, in ticks of a hundredth of a second.
fn cpu_of(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces, and ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}
