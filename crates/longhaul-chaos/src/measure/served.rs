use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Result;
use crate::process::Process;

/// A server of its own on a store, which runs no job by itself, with a client.
pub(super) struct Served {
    pub(super) process: Process,
    pub(super) url: String,
    pub(super) http: reqwest::Client,
    _data: TempDir,
}

impl Served {
    pub(super) async fn start(longhaul: &Path, store: &str) -> Result<Self> {
        let data = TempDir::new()?;
        let mut command = Command::new(longhaul);
        command.args(["serve", "--listen", "127.0.0.1:0", "--no-worker", "--accept-unknown-kinds"]);
        command.args(["--services", "sessions", "--store", store, "--data"]).arg(data.path());
        command.env("LONGHAUL_LOG", "error");
        let (process, url) = Process::start_and_read_line(&mut command).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { process, url, http, _data: data })
    }

    /// Reads an answer to its end.
    pub(super) async fn read(&self, path: &str) -> Result<()> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        answer.error_for_status()?.bytes().await?;
        Ok(())
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.url)).json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
