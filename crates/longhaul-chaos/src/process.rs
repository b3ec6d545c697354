//! Processes that can be killed, stopped and continued.

use std::process::Stdio;
use std::time::Duration;

use longhaul_testservers::{cpu_seconds, memory_bytes};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Result;

/// A process of the cluster. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// The bound on a process's start, and on its end.
const PATIENCE: Duration = Duration::from_secs(120);

impl Process {
    /// Starts a process whose output is discarded.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(Self { child })
    }

    /// Starts a process and waits for its first line of output.
    pub(crate) async fn start_and_read_line(command: &mut Command) -> Result<(Self, String)> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("failed to open a process's standard output")?;
        let line = tokio::time::timeout(PATIENCE, BufReader::new(out).lines().next_line()).await??;
        Ok((Self { child }, line.ok_or("a process ended before its first line of output")?))
    }

    /// Its process id; 0 once it has ended.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Seconds of CPU time that it has used.
    pub(crate) fn cpu(&self) -> Option<f64> {
        cpu_seconds(self.pid())
    }

    /// Bytes of memory that it has, its share of what it has in common with others included.
    pub(crate) fn memory(&self) -> Option<u64> {
        memory_bytes(self.pid())
    }

    /// Sends SIGKILL and waits for its end.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn end(&mut self) -> Result<()> {
        signal("TERM", self.pid()).await?;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| "a process did not end at SIGTERM")??;
        Ok(())
    }

    /// Sends SIGSTOP.
    pub(crate) async fn stop(&self) -> Result<()> {
        signal("STOP", self.pid()).await
    }

    /// Sends SIGCONT: the process goes on as if no time had passed.
    pub(crate) async fn resume(&self) -> Result<()> {
        signal("CONT", self.pid()).await
    }
}

/// Sends a signal by the shell's own `kill`, because a bare machine has no other.
async fn signal(name: &str, pid: u32) -> Result<()> {
    if pid == 0 {
        return Err("the process has ended".into());
    }
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await?;
    if status.success() { Ok(()) } else { Err(format!("failed to send SIG{name} to {pid}").into()) }
}
