use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cpu::{children, cpu_seconds};
use crate::size::{disk_bytes, memory_bytes};

/// A server under the eyes of a shell, which ends it when the test process is no more.
#[derive(Debug)]
pub(crate) struct Guarded {
    program: Program,
    folder: PathBuf,
    port: u16,
    shell: Child,
}

/// The start of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// The signal at which it ends as a crash would end it.
    pub(crate) crash: &'static str,
    /// The command for a folder, a port and settings.
    pub(crate) command: fn(&Path, u16, &[String]) -> Vec<String>,
}

/// Starts the server and waits for a line on its standard input, or for the end of it, which comes when its parent is
/// gone. Then it ends the server by its process id, and without a line removes its folder.
const GUARD: &str = r#"
    crash=$1; folder=$2; shift 2
    cd "$folder"
    "$@" 2>&1 & server=$!
    read -r word; heard=$?
    # One that was stopped must go on to hear of its end.
    kill -CONT $server $(cat /proc/$server/task/$server/children) 2>/dev/null
    kill -$crash $server; wait $server 2>/dev/null
    [ $heard = 0 ] || rm -rf "$folder"
"#;

impl Guarded {
    /// Starts a server in a new folder, which `prepare` may fill.
    /// It may be tried several times, for each of which `settings` are asked for.
    pub(crate) fn start(
        name: &str,
        program: Program,
        mut settings: impl FnMut() -> Vec<String>,
        prepare: impl Fn(&Path),
    ) -> Self {
        // The shell that guards the server removes it, for a test process that is killed cannot.
        let folder = tempfile::Builder::new().prefix(&format!("longhaul-{name}-")).tempdir();
        let folder = folder.expect("a folder").keep();
        prepare(&folder);
        // Another process may take the port between this look and the server's.
        for _ in 0..10 {
            let port = free_port();
            if let Some(shell) = spawn(program, &folder, port, &settings()) {
                return Self { program, folder, port, shell };
            }
        }
        panic!("no {name} could be started: is it installed? (scripts/install-tools)")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn kill(&mut self) {
        self.shell.stdin.take().expect("it runs").write_all(b"keep the folder\n").expect("the shell reads");
        self.shell.wait().expect("it is ours");
    }

    pub(crate) fn restart(&mut self, settings: &[&str]) {
        let settings = owned(settings);
        // A Postgres that finds its dead predecessor's memory in use ends, and a port that was given up may be the end of
        // another process's connection for a while: it is started again, for a minute at least.
        let mut tries = (0..1_200).map(|number| {
            if number > 0 {
                std::thread::sleep(Duration::from_millis(50));
            }
            spawn(self.program, &self.folder, self.port, &settings)
        });
        self.shell = tries.find_map(|shell| shell).expect("the port is free again");
    }

    /// Seconds of CPU time that the server and its processes have used.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        children(self.shell.id()).into_iter().map(cpu_seconds).sum()
    }

    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        children(self.shell.id()).into_iter().map(memory_bytes).sum()
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.folder)
    }

    pub(crate) fn signal(&self, name: &str) {
        let servers = children(self.shell.id());
        let theirs = servers.iter().flat_map(|server| children(*server));
        let all = servers.iter().copied().chain(theirs).map(|process| process.to_string());
        // Not judged by its end: one of them may have ended since we looked.
        let mut kill = Command::new("kill");
        kill.args(["-s", name]).args(all).stderr(Stdio::null()).status().expect("kill runs");
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Settings that each try to start gets.
pub(crate) fn owned(settings: &[&str]) -> Vec<String> {
    settings.iter().copied().map(String::from).collect()
}

/// A port that was free a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// `None` where the server ended at once.
fn spawn(program: Program, folder: &Path, port: u16, settings: &[String]) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "sh", program.crash]).arg(folder);
    command.args((program.command)(folder, port, settings));
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh runs");
    let mut lines = BufReader::new(shell.stdout.take().expect("it is piped")).lines();
    let is_ready =
        lines.by_ref().map_while(Result::ok).any(|line| line.contains("eady to accept connections"));
    if !is_ready {
        let _ = shell.stdin.take().expect("it is piped").write_all(b"keep the folder\n");
        let _ = shell.wait();
        return None;
    }
    // A server whose output is not read would stop when the pipe is full.
    std::thread::spawn(move || lines.for_each(drop));
    Some(shell)
}
