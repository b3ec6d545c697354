//! Sessions of clients and remote workers: programs of their own, which are given a server.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use super::PATIENCE;
use crate::Result;

/// A client's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    command: String,
}

impl Session {
    /// A session that a command of the shell runs.
    pub(crate) fn new(command: &str) -> Self {
        Self { command: command.to_owned() }
    }

    /// Runs it at a server.
    ///
    /// # Errors
    /// It ends with another code than 0; its words are the error's.
    pub(crate) async fn run(&self, server: &str) -> Result<()> {
        let command = format!("{} {server}", self.command);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::null()).kill_on_drop(true);
        let ended =
            timeout(PATIENCE, shell.output()).await.map_err(|_| format!("{command} does not end"))??;
        if ended.status.success() {
            return Ok(());
        }
        let words = [ended.stdout, ended.stderr].concat();
        Err(format!("{command} ends with {}: {}", ended.status, String::from_utf8_lossy(&words)).into())
    }
}
