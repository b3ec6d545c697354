//! A server of its own process, for what a server as a whole costs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use longhaul::clock::Stopwatch;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Result;
use crate::client::Connection;

/// This binary, serving with everything on; it ends, and its data with it, when this is dropped.
pub(crate) struct ServerProcess {
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

/// The time within which the server must answer.
const READY_WITHIN: Duration = Duration::from_secs(20);

impl ServerProcess {
    /// Starts it on an empty folder and waits until it answers.
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("longhaul-bench.").tempdir()?;
        // A port that was free a moment ago.
        let address = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", &address.to_string(), "--data"])
            .arg(data(folder.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("failed to start a server: {e}"))?;
        let mut server = Self { address, child, folder };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.id().ok_or("failed to watch the server: it has ended")?)
    }

    /// A token that the server accepts.
    pub(crate) async fn token(&self) -> Result<String> {
        let output = Command::new(std::env::current_exe()?)
            .args(["token", "--sub", "bench", "--data"])
            .arg(data(self.folder.path()))
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("failed to make a token: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("failed to start a server: it ended with {status}").into());
            }
            if self.answers().await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("failed to start a server: no answer within {READY_WITHIN:?}").into())
    }

    async fn answers(&self) -> Result<bool> {
        let mut connection = Connection::open(self.address).await?;
        Ok(connection.get("/ready", None).await? == 200)
    }

    /// Ends it.
    pub(crate) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
