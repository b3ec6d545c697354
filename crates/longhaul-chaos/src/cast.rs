//! The processes of a run.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Result;

/// A process that can be killed, stopped and continued. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Actor {
    child: Child,
}

/// How long a process may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

impl Actor {
    /// Starts a process that says nothing.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
        Ok(Self { child })
    }

    /// Starts a process and waits for the first line that it prints.
    ///
    /// # Errors
    /// Where it cannot be started, or says nothing in time.
    pub(crate) async fn start_talking(command: &mut Command) -> Result<(Self, String)> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let out = child.stdout.take().ok_or("a process without standard output")?;
        let line = tokio::time::timeout(PATIENCE, BufReader::new(out).lines().next_line()).await??;
        Ok((Self { child }, line.ok_or("a process ended instead of coming up")?))
    }

    /// Its process id; 0 once it has ended.
    #[must_use]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Seconds of CPU time that it has used.
    pub(crate) fn cpu(&self) -> Option<f64> {
        cpu_of(self.pid()).map(|(_, _, cpu)| cpu)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// Where it had ended already.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// SIGSTOP: it is there and does nothing.
    ///
    /// # Errors
    /// Where it has ended.
    pub(crate) async fn stop(&self) -> Result<()> {
        signal("STOP", self.pid()).await
    }

    /// SIGCONT: it goes on as if no time had passed.
    ///
    /// # Errors
    /// Where it has ended.
    pub(crate) async fn go_on(&self) -> Result<()> {
        signal("CONT", self.pid()).await
    }
}

/// Sends a signal. The shell's own `kill`: a bare machine has no other.
///
/// # Errors
/// Where there is no such process.
pub(crate) async fn signal(name: &str, pid: u32) -> Result<()> {
    if pid == 0 {
        return Err("the process has ended".into());
    }
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await?;
    if status.success() { Ok(()) } else { Err(format!("failed to send SIG{name} to {pid}").into()) }
}

/// What Linux has counted of a process: its id, its parent's, and its user and system time in seconds, which it counts
/// in hundredths.
pub(crate) fn cpu_of(pid: u32) -> Option<(u32, u32, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces, and ends at the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    Some((pid, fields.get(1)?.parse().ok()?, (ticks(11)? + ticks(12)?) / 100.0))
}
