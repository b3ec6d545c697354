//! Redis servers for tests: on free ports, in folders of their own, and gone when the test process is, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul_redis::redis::{self, Client, Cmd, FromRedisValue, RedisResult};
use longhaul_redis::{RedisOptions, Topology};

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server {
    port: u16,
    folder: PathBuf,
    shell: Child,
    /// Its process id, once it was asked for.
    process: OnceLock<String>,
}

/// Starts the server and waits: for a word, or for the end of its standard input, which comes when whoever started it is
/// no more. Then it ends the server by its process id, and without a word removes its folder.
const GUARD: &str = r#"
    folder=$1; shift
    redis-server --dir "$folder" "$@" & server=$!
    read -r word; heard=$?
    kill -9 $server; wait $server 2>/dev/null
    [ $heard = 0 ] || rm -rf "$folder"
"#;

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start(settings: &[&str]) -> Self {
        // The shell that guards the server removes it, for a test process that is killed cannot.
        let folder = tempfile::Builder::new().prefix("longhaul-redis-").tempdir().unwrap().keep();
        // Another process may take the port between this look and the server's.
        for _ in 0..10 {
            let port = free_port();
            if let Some(shell) = spawn(&folder, port, settings) {
                return Self { port, folder, shell, process: OnceLock::new() };
            }
        }
        panic!("no redis-server could be started: is it installed?")
    }

    /// Starts another server in the folder and on the port of one that was killed.
    pub(crate) fn restart(&mut self, settings: &[&str]) {
        self.process = OnceLock::new();
        self.shell = spawn(&self.folder, self.port, settings).expect("the port is still free");
    }

    /// Kills the server, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.shell.stdin.take().unwrap().write_all(b"keep the folder\n").unwrap();
        self.shell.wait().unwrap();
    }

    /// Sends the server's process a signal.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.get_or_init(|| {
            let info: String = self.tell(redis::cmd("INFO").arg("server")).unwrap();
            info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().trim().to_owned()
        });
        assert!(Command::new("kill").args(["-s", name, process]).status().unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Options of a store with a prefix of its own.
    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::new(&self.url()).unwrap().prefix(new_prefix())
    }

    /// Says something to the server directly.
    pub(crate) fn tell<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query(&mut Client::open(self.url())?.get_connection()?)
    }

    /// Says something to the server in words.
    pub(crate) fn say(&self, words: &str) {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        self.tell::<redis::Value>(&command).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn new_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().port()
}

/// `None` where the server ended at once.
fn spawn(folder: &Path, port: u16, settings: &[&str]) -> Option<Child> {
    let mut shell = Command::new("sh")
        .args(["-c", GUARD, "sh"])
        .arg(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let is_ready =
        lines.by_ref().map_while(Result::ok).any(|line| line.contains("eady to accept connections"));
    if !is_ready {
        drop(shell.stdin.take());
        let _ = shell.wait();
        return None;
    }
    // A server whose words nobody reads would stop when the pipe is full.
    std::thread::spawn(move || lines.for_each(drop));
    Some(shell)
}

/// The server that most tests share.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

/// Three masters that share the slots.
pub(crate) struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// The cluster that all tests share.
    pub(crate) fn shared() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::start)
    }

    pub(crate) fn start() -> Self {
        let nodes: Vec<(Server, u16)> = (0..3).map(|_| Self::start_node()).collect();
        let slots = [(0, 5460), (5461, 10922), (10923, 16383)];
        for ((node, _), (first, last)) in nodes.iter().zip(slots) {
            node.tell::<()>(redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last)).unwrap();
        }
        for (node, bus) in &nodes[1..] {
            let meet = ["MEET".into(), "127.0.0.1".into(), node.port.to_string(), bus.to_string()];
            nodes[0].0.tell::<()>(redis::cmd("CLUSTER").arg(&meet)).unwrap();
        }
        let nodes: Vec<Server> = nodes.into_iter().map(|(node, _)| node).collect();
        for node in &nodes {
            // The nodes tell each other in their own time, and nobody else.
            while !is_whole(node) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Self { nodes }
    }

    fn start_node() -> (Server, u16) {
        let bus = free_port();
        let (bus_port, timeout) = (bus.to_string(), "5000");
        let settings =
            ["--cluster-enabled", "yes", "--cluster-port", &bus_port, "--cluster-node-timeout", timeout];
        (Server::start(&settings), bus)
    }

    /// Sends every node's process a signal.
    pub(crate) fn signal(&self, name: &str) {
        self.nodes.iter().for_each(|node| node.signal(name));
    }

    /// Options of a store with a prefix of its own, which is on any of the nodes.
    pub(crate) fn options(&self) -> RedisOptions {
        let options = self.nodes[0].options();
        let nodes = self.nodes.iter().map(Server::url).collect();
        RedisOptions { nodes, topology: Topology::Cluster, ..options }
    }
}

fn is_whole(node: &Server) -> bool {
    let info: String = node.tell(redis::cmd("CLUSTER").arg("INFO")).unwrap();
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:3")
        && info.contains("cluster_slots_ok:16384")
}
