//! Redis servers and clusters, with options for stores on them, and a way to speak to them directly.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longhaul_redis::redis::{self, Client, Cmd, FromRedisValue, RedisResult};
use longhaul_redis::{RedisOptions, Topology};
use longhaul_testservers::{Redis, free_port};

/// A running server. It is killed, as by a power cut, when this is dropped.
pub(crate) struct Server(Redis);

impl Server {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self(Redis::start(settings))
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
            let meet = ["MEET".into(), "127.0.0.1".into(), node.port().to_string(), bus.to_string()];
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
        let nodes = self.nodes.iter().map(|node| node.url()).collect();
        RedisOptions { nodes, topology: Topology::Cluster, ..options }
    }
}

fn is_whole(node: &Server) -> bool {
    let info: String = node.tell(redis::cmd("CLUSTER").arg("INFO")).unwrap();
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:3")
        && info.contains("cluster_slots_ok:16384")
}
