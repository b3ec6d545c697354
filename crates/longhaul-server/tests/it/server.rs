//! A server under test, and the commands beside it.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine. It guards against hanging, and measures nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The binary under test.
pub(crate) const LONGHAUL: &str = env!("CARGO_BIN_EXE_longhaul");

/// A data folder of the test's own, with the log of every server that ran on it. It outlives its servers, so that
/// they can be killed and started again.
pub(crate) struct Place {
    folder: TempDir,
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:{port}`
    pub(crate) url: String,
    log: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A command on this place that knows nothing of the environment that the tests run in.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(LONGHAUL);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LONGHAUL_DATA", self.data()).env("LONGHAUL_LISTEN", "127.0.0.1:0");
        // A busy disk is no outage: an analysis of the GitHub service gets its task, however long the commit takes.
        command.env("GITHUB_STORE_TIMEOUT", "60");
        command.current_dir(self.folder.path()).args(args);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Output {
        output(&mut self.command(args)).await
    }

    /// Runs a command that must succeed, and answers what it printed.
    pub(crate) async fn printed(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert!(output.status.success(), "longhaul {args:?}: {}", stderr(&output));
        stdout(&output)
    }

    /// A token for a user.
    pub(crate) async fn token(&self, user: &str) -> String {
        self.printed(&["token", "--sub", user]).await.trim().to_owned()
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn serve(&self, args: &[&str]) -> Server {
        self.serve_with(args, &[]).await
    }

    /// The same with variables in its environment.
    pub(crate) async fn serve_with(&self, args: &[&str], environment: &[(&str, &str)]) -> Server {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("a log");
        let mut command = self.command(&[&["serve"], args].concat());
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary starts");
        let out = child.stdout.take().expect("its standard output");
        // The address is what a server prints once it listens, so no port is guessed and nothing is polled.
        let line = timeout(PATIENCE, BufReader::new(out).lines().next_line()).await;
        match line.expect("the server listens in time").expect("it can be read") {
            Some(url) => Server { child, url, log: self.log() },
            None => panic!("the server ended instead of listening; its log:\n{}", read(&self.log())),
        }
    }
}

impl Server {
    /// A process beside servers, which listens nowhere.
    pub(crate) fn of(child: Child, log: PathBuf) -> Self {
        Self { child, url: String::new(), log }
    }

    /// An address on this server.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Waits until it is ready. It says that it is not while a write takes its disk more than two seconds.
    pub(crate) async fn ready(&self) {
        let asked = async || client().get(self.at("/ready")).send().await.expect("an answer").status();
        until(asked, |status| *status == 200).await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Asks it to end.
    pub(crate) async fn terminate(&self) {
        // The shell's own `kill`: a bare machine has no other.
        let script = format!("kill -TERM {}", self.pid());
        let status = Command::new("sh").args(["-c", &script]).status().await.expect("sh runs");
        assert!(status.success(), "a running server can be asked to end");
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("the server ends in time").expect("it can be waited for")
    }

    /// Ends it as a crash would: at once, with no word to anybody.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().expect("it runs");
        self.ended().await;
    }

    /// All that it has logged, and those before it in its place.
    pub(crate) fn log(&self) -> String {
        read(&self.log)
    }
}

/// A client of its own for each call: nothing is shared between tests but the TLS library's choice of algorithms,
/// which it asks for even where none is used.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(2 * PATIENCE).build().expect("a client")
}

/// Asks again and again until the answer is as wanted: what a process does beside its answers takes its own time.
pub(crate) async fn until<T: Debug>(ask: impl AsyncFn() -> T, is_wanted: impl Fn(&T) -> bool) -> T {
    let mut last = None;
    let asking = async {
        loop {
            let answer = ask().await;
            if is_wanted(&answer) {
                return answer;
            }
            last = Some(answer);
        }
    };
    let wanted = timeout(PATIENCE, asking).await;
    wanted.unwrap_or_else(|_| panic!("no answer was as wanted, the last one neither: {last:?}"))
}

/// A job once it has ended, by a request for it. An answer is held for less than a minute, so it is asked for as often as
/// the job takes.
pub(crate) async fn ended(asking: RequestBuilder) -> Value {
    let asking = asking.header("prefer", "wait=60");
    let asked = async || {
        let answer = asking.try_clone().expect("it has no body").send().await.expect("the server answers");
        let status = answer.status();
        let job: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "the job is there: {status} {job}");
        job
    };
    until(asked, |job| ["completed", "failed", "cancelled"].map(Value::from).contains(&job["state"])).await
}

/// Waits until nobody listens at `address`. A closed listener tells nobody, so this asks again and again.
pub(crate) async fn refused(address: &str) {
    let asking = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, asking).await.expect("the listener closes in time");
}

pub(crate) async fn output(command: &mut Command) -> Output {
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    timeout(PATIENCE, running).await.expect("the command ends in time").expect("the command runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
