//! Redis servers and clusters, with options for stores on them, and a way to speak to them directly.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul_redis::redis::{self, Client, Cmd, FromRedisValue, RedisResult};
use longhaul_redis::{RedisOptions, Topology};
use longhaul_testservers::Redis;

/// Longer than a server that lives takes to answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server(Redis);

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self(Redis::start(settings))
    }

    /// Starts a server with a second port, for which settings are asked.
    pub(crate) fn start_with_port(settings: impl Fn(u16) -> Vec<String>) -> (Self, u16) {
        let (server, port) = Redis::start_with_port(settings);
        (Self(server), port)
    }

    /// Options of a store with a prefix of its own, for which a busy machine is no outage.
    pub(crate) fn options(&self) -> RedisOptions {
        let options = RedisOptions::new(&self.url()).unwrap().prefix(new_prefix());
        RedisOptions { connect_timeout: PATIENCE, response_timeout: PATIENCE, ..options }
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

impl Deref for Server {
    type Target = Redis;

    fn deref(&self) -> &Redis {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Redis {
        &mut self.0
    }
}

fn new_prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// The server that most tests share.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(&[]))
}

/// The number of commands of a name, or of any, that the server has run, without those by which connections see that
/// it lives: they come as time passes.
pub(crate) fn calls(server: &Server, name: &str) -> u64 {
    let info: String = server.tell(redis::cmd("INFO").arg("commandstats")).unwrap();
    let lines = info.lines().filter(|line| line.starts_with(&format!("cmdstat_{name}")));
    let lines = lines.filter(|line| !line.starts_with("cmdstat_ping:"));
    lines.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok()).sum()
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
        // The nodes tell each other in their own time, and nobody else.
        let waited = Stopwatch::start();
        while !nodes.iter().all(|(node, _)| is_whole(node)) {
            assert!(waited.elapsed() < PATIENCE, "the cluster never was whole");
            // At the start, and again where a node has not answered for so long that it was forgotten. The others are not met
            // twice: until they have answered to it, they would be counted twice.
            if known_nodes(&nodes[0].0) < nodes.len() {
                for (node, bus) in &nodes[1..] {
                    let meet = ["MEET".into(), "127.0.0.1".into(), node.port().to_string(), bus.to_string()];
                    nodes[0].0.tell::<()>(redis::cmd("CLUSTER").arg(&meet)).unwrap();
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() }
    }

    /// A node, and the port on which it speaks to the others.
    fn start_node() -> (Server, u16) {
        Server::start_with_port(|bus| {
            // Of a busy machine's nodes none fails for being silent for a while.
            let settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "60000"];
            [&settings.map(String::from)[..], &["--cluster-port".into(), bus.to_string()]].concat()
        })
    }

    /// Sends every node's process a signal.
    pub(crate) fn signal(&self, name: &str) {
        self.nodes.iter().for_each(|node| node.signal(name));
    }

    /// Options of a store with a prefix of its own, which is on any of the nodes.
    pub(crate) fn options(&self) -> RedisOptions {
        let options = self.nodes[0].options();
        let nodes = self.nodes.iter().map(|node| node.url()).collect();
        RedisOptions { nodes, topology: Topology::Cluster, ..options }
    }
}

/// What a node knows of its cluster.
fn info(node: &Server) -> String {
    node.tell(redis::cmd("CLUSTER").arg("INFO")).unwrap()
}

/// The nodes that a node knows or is about to, itself among them.
fn known_nodes(node: &Server) -> usize {
    let info = info(node);
    let known = info.lines().find_map(|line| line.strip_prefix("cluster_known_nodes:"));
    known.unwrap().trim().parse().unwrap()
}

fn is_whole(node: &Server) -> bool {
    let info = info(node);
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:3")
        && info.contains("cluster_slots_ok:16384")
}
