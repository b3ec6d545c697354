//! Postgres servers for tests: on free ports, in folders of their own, and gone when the test process is, however it
//! ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use longhaul_postgres::PostgresOptions;

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server {
    port: u16,
    folder: PathBuf,
    shell: Child,
}

/// Makes a cluster in a folder.
/// The server refuses to be run by root, who becomes somebody with no rights at all here.
const INIT: &str = r#"
    bin=$1; folder=$2
    as=; if [ "$(id -u)" = 0 ]; then chown nobody "$folder"; as="setpriv --reuid nobody --regid nogroup --clear-groups"; fi
    cd "$folder" && $as "$bin/initdb" -D "$folder/data" -U longhaul -A trust -E UTF8 --locale=C --no-sync >/dev/null
"#;

/// Starts the server and waits: for a word, or for the end of its standard input, which comes when whoever started it is
/// no more. Then it ends the server by its process id, and without a word removes its folder.
const GUARD: &str = r#"
    bin=$1; folder=$2; shift 2
    as=; if [ "$(id -u)" = 0 ]; then as="setpriv --reuid nobody --regid nogroup --clear-groups"; fi
    cd "$folder"
    $as "$bin/postgres" -D "$folder/data" -k "$folder" "$@" 2>&1 & server=$!
    read -r word; heard=$?
    # One that was stopped must go on to hear of its end.
    kill -CONT $server $(cat /proc/$server/task/$server/children) 2>/dev/null
    kill -QUIT $server; wait $server 2>/dev/null
    [ $heard = 0 ] || rm -rf "$folder"
"#;

impl Server {
    /// Starts a server.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let bin = programs();
        // The shell that guards the server removes it, for a test process that is killed cannot.
        let folder = tempfile::Builder::new().prefix("longhaul-postgres-").tempdir().unwrap().keep();
        let mut init = Command::new("sh");
        assert!(init.args(["-c", INIT, "sh"]).arg(&bin).arg(&folder).status().unwrap().success());
        // Another process may take the port between this look and the server's.
        for _ in 0..10 {
            let port = free_port();
            if let Some(shell) = spawn(&folder, port, settings) {
                return Self { port, folder, shell };
            }
        }
        panic!("no postgres could be started")
    }

    /// Ends the server as a crash would, and keeps its folder.
    pub(crate) fn kill(&mut self) {
        self.shell.stdin.take().unwrap().write_all(b"keep the folder\n").unwrap();
        self.shell.wait().unwrap();
    }

    /// Starts another server in the folder and on the port of one that was killed.
    pub(crate) fn restart(&mut self, settings: &[&str]) {
        self.shell = spawn(&self.folder, self.port, settings).expect("the port is still free");
    }

    /// Sends a signal to the server and all its connections: after `STOP` it says nothing until `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let lines = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let server = lines.lines().next().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        // Not judged by its end: a connection may have ended since we looked.
        let mut kill = Command::new("kill");
        kill.args(["-s", name, server]).args(children.split_whitespace()).stderr(Stdio::null());
        kill.status().unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://longhaul@127.0.0.1:{}/postgres", self.port)
    }

    /// Options of a store with a schema of its own.
    pub(crate) fn options(&self) -> PostgresOptions {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let schema = format!("test_{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let options = PostgresOptions::new(&self.url()).unwrap();
        PostgresOptions { connect_timeout: std::time::Duration::from_secs(30), ..options.schema(schema) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The newest version's folder.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    folders.max().expect("no Postgres under /usr/lib/postgresql: run scripts/install-tools")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// `None` where the server ended at once.
fn spawn(folder: &Path, port: u16, settings: &[&str]) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "sh"]).arg(programs()).arg(folder);
    command.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=500"]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let is_ready =
        lines.by_ref().map_while(Result::ok).any(|line| line.contains("ready to accept connections"));
    if !is_ready {
        let _ = shell.stdin.take().unwrap().write_all(b"keep the folder\n");
        let _ = shell.wait();
        return None;
    }
    // A server whose words nobody reads would stop when the pipe is full.
    std::thread::spawn(move || lines.for_each(drop));
    Some(shell)
}

/// The server that most tests share. What it has is of no use to anybody afterwards.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&["fsync=off", "full_page_writes=off", "shared_buffers=32MB"]))
}
