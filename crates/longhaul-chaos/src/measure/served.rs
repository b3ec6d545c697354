use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::Result;
use crate::process::Process;
use crate::target::Target;

/// A server of its own on a store, which runs no job by itself, with a client. All servers of one store share their data folder,
/// because a service refuses the jobs of another database.
pub(super) struct Served {
    pub(super) process: Process,
    pub(super) url: String,
    pub(super) http: reqwest::Client,
}

impl Served {
    pub(super) async fn start(longhaul: &Path, target: &Target) -> Result<Self> {
        let mut command = Command::new(longhaul);
        command.args(["serve", "--listen", "127.0.0.1:0", "--no-worker", "--accept-unknown-kinds"]);
        command.args(["--services", "sessions", "--store", &target.direct, "--data"]).arg(target.data());
        command.env("LONGHAUL_LOG", "error");
        let (process, url) = Process::start_and_read_line(&mut command).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { process, url, http })
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
