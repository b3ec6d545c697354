//! The scripts: one file an operation, each after the files whose functions it uses.

use std::sync::LazyLock;

/// A script as the server runs it.
#[derive(Debug)]
pub(crate) struct Script {
    /// What it does, as an error says it.
    pub(crate) operation: &'static str,
    pub(crate) source: String,
    /// By which the server knows it.
    pub(crate) hash: String,
}

/// What the server is told of a script.
#[derive(Clone, Copy)]
enum Flags {
    /// Adds data: refused by a server whose memory is full, before it has written anything.
    Adds,
    /// Goes on with what is there, or makes room: runs also where memory is full.
    GoesOn,
    /// Writes nothing.
    Reads,
}

impl Script {
    fn new(operation: &'static str, flags: Flags, parts: &[&str]) -> Self {
        let flags = match flags {
            Flags::Adds => "",
            Flags::GoesOn => "allow-oom",
            Flags::Reads => "no-writes",
        };
        let mut source = format!("#!lua flags={flags}\n");
        for part in [include_str!("lua/store.lua")].iter().chain(parts) {
            source.push_str(part);
            source.push('\n');
        }
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self { operation, source, hash }
    }
}

type Lazy = LazyLock<Script>;

const CREATING: &str = include_str!("lua/creating.lua");
const CLAIMING: &str = include_str!("lua/claiming.lua");
const FINISHING: &str = include_str!("lua/finishing.lua");
const READING: &str = include_str!("lua/reading.lua");

pub(crate) static ENQUEUE: Lazy =
    LazyLock::new(|| Script::new("enqueue", Flags::Adds, &[CREATING, include_str!("lua/enqueue.lua")]));
pub(crate) static CLAIM: Lazy =
    LazyLock::new(|| Script::new("claim", Flags::GoesOn, &[CLAIMING, include_str!("lua/claim.lua")]));
pub(crate) static UNCLAIM: Lazy =
    LazyLock::new(|| Script::new("take a claim back", Flags::GoesOn, &[include_str!("lua/unclaim.lua")]));
pub(crate) static FINISH: Lazy = LazyLock::new(|| {
    Script::new("finish", Flags::GoesOn, &[CREATING, FINISHING, include_str!("lua/finish.lua")])
});
pub(crate) static TURN: Lazy = LazyLock::new(|| {
    Script::new(
        "finish and claim",
        Flags::GoesOn,
        &[CREATING, FINISHING, CLAIMING, include_str!("lua/turn.lua")],
    )
});
pub(crate) static RECORD: Lazy =
    LazyLock::new(|| Script::new("record", Flags::Adds, &[FINISHING, include_str!("lua/record.lua")]));
pub(crate) static HEARTBEAT: Lazy =
    LazyLock::new(|| Script::new("heartbeat", Flags::GoesOn, &[include_str!("lua/heartbeat.lua")]));
pub(crate) static SWEEP: Lazy =
    LazyLock::new(|| Script::new("sweep", Flags::GoesOn, &[include_str!("lua/sweep.lua")]));
pub(crate) static PRUNE: Lazy =
    LazyLock::new(|| Script::new("prune", Flags::GoesOn, &[include_str!("lua/prune.lua")]));
pub(crate) static ACT: Lazy =
    LazyLock::new(|| Script::new("act on jobs", Flags::GoesOn, &[include_str!("lua/act.lua")]));
pub(crate) static GET: Lazy =
    LazyLock::new(|| Script::new("look jobs up", Flags::Reads, &[READING, include_str!("lua/get.lua")]));
pub(crate) static LIST: Lazy =
    LazyLock::new(|| Script::new("list jobs", Flags::Reads, &[READING, include_str!("lua/list.lua")]));
pub(crate) static EVENTS: Lazy =
    LazyLock::new(|| Script::new("read events", Flags::GoesOn, &[include_str!("lua/events.lua")]));
pub(crate) static QUEUES: Lazy =
    LazyLock::new(|| Script::new("read queues", Flags::Reads, &[include_str!("lua/queues.lua")]));
pub(crate) static SET_QUEUE: Lazy =
    LazyLock::new(|| Script::new("configure a queue", Flags::GoesOn, &[include_str!("lua/set_queue.lua")]));
pub(crate) static WORKERS: Lazy =
    LazyLock::new(|| Script::new("read workers", Flags::Reads, &[include_str!("lua/workers.lua")]));
pub(crate) static MIGRATE: Lazy =
    LazyLock::new(|| Script::new("migrate", Flags::GoesOn, &[include_str!("lua/migrate.lua")]));
