//! The scripts: one file an operation, each after the files whose functions it uses. What a script does not use is not
//! put before it, because the server makes all functions anew for each call.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A script as the server runs it.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name in errors.
    pub(crate) operation: &'static str,
    pub(crate) source: String,
    /// By which the server knows it.
    pub(crate) hash: String,
    pub(crate) flags: Flags,
}

/// The flags that the server needs for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flags {
    /// Adds data: refused by a server whose memory is full, before it has written anything.
    Adds,
    /// Goes on with what is there, or makes room: runs also where memory is full.
    GoesOn,
    /// Writes nothing.
    Reads,
}

impl Script {
    fn new(operation: &'static str, flags: Flags, parts: &[&str]) -> Self {
        let words = match flags {
            Flags::Adds => "",
            Flags::GoesOn => "allow-oom",
            Flags::Reads => "no-writes",
        };
        let mut source = format!("#!lua flags={words}\n");
        for part in [include_str!("lua/layout.lua")].iter().chain(parts) {
            source.push_str(part);
            source.push('\n');
            if *part == STORE {
                source.push_str(INNER);
            }
        }
        if parts.contains(&STORE) {
            source.push_str(INNER_END);
        }
        let source = with_constants(&source);
        let hash = redis::Script::new(&source).get_hash().to_owned();
        Self { operation, source, hash, flags }
    }
}

type Lazy = LazyLock<Script>;

const GROUPS: &str = concat!(
    include_str!("lua/limits.lua"),
    "\n",
    include_str!("lua/groups.lua"),
    "\nlocal keyed = {}\n",
    include_str!("lua/bounds.lua")
);
const NO_GROUPS: &str = "local groups, made_groups, keyed = false, false, false";
/// The groups stand first, because what is written of them is noted and written with the rest.
const STORE: &str = concat!(
    include_str!("lua/limits.lua"),
    "\n",
    include_str!("lua/groups.lua"),
    "\n",
    include_str!("lua/store.lua"),
    "\n",
    include_str!("lua/bounds.lua")
);
/// The code after the store's is in a function of its own. To create a function, Lua searches all variables of the
/// enclosing one for each that it uses, which took the server a third of the time of creating them all; upvalues of the
/// enclosing function are found at once. Lua allows 60 upvalues.
const INNER: &str = "return (function()\n";
const INNER_END: &str = "end)()\n";
const NEW: &str = include_str!("lua/new.lua");
const KEYS: &str = include_str!("lua/keys.lua");
const BATCHES: &str = concat!(include_str!("lua/batches.lua"), "\n", include_str!("lua/dependants.lua"));
const HELD_ON: &str = include_str!("lua/held_on.lua");
const UNCOUNTED: &str = include_str!("lua/uncounted.lua");
const RUNS: &str = include_str!("lua/runs.lua");
const TAKING_BACK: &str = include_str!("lua/taking_back.lua");
const ENTRIES: &str = include_str!("lua/entries.lua");
const REMOVING: &str = include_str!("lua/removing.lua");
const DELETING: &str = include_str!("lua/deleting.lua");
const CREATING: &str = concat!(
    include_str!("lua/clashing.lua"),
    "\n",
    include_str!("lua/promising.lua"),
    "\n",
    include_str!("lua/depending.lua"),
    "\n",
    include_str!("lua/creating.lua")
);
const CHOOSING: &str =
    concat!(include_str!("lua/choosing.lua"), "\n", include_str!("lua/choosing_simply.lua"));
const CLAIMING: &str = include_str!("lua/claiming.lua");
const FOLLOWING: &str = include_str!("lua/following.lua");
const FINISHING: &str = include_str!("lua/finishing.lua");
const READING: &str = include_str!("lua/reading.lua");
const SEARCHING: &str = concat!(include_str!("lua/matching.lua"), "\n", include_str!("lua/finding.lua"));

pub(crate) static ENQUEUE: Lazy = LazyLock::new(|| {
    Script::new(
        "enqueue",
        Flags::Adds,
        &[STORE, KEYS, BATCHES, NEW, CREATING, include_str!("lua/enqueue.lua")],
    )
});
pub(crate) static ENQUEUE_SIMPLE: Lazy = LazyLock::new(|| {
    Script::new("enqueue", Flags::Adds, &[NO_GROUPS, NEW, include_str!("lua/enqueue_simple.lua")])
});
/// The same where jobs have limit keys, or a queue is fair or anything bounded.
pub(crate) static ENQUEUE_SIMPLE_KEYED: Lazy = LazyLock::new(|| {
    Script::new("enqueue", Flags::Adds, &[GROUPS, NEW, include_str!("lua/enqueue_simple.lua")])
});
pub(crate) static CLAIM: Lazy = LazyLock::new(|| {
    Script::new(
        "claim",
        Flags::GoesOn,
        &[
            include_str!("lua/idle_claim.lua"),
            include_str!("lua/plain_claim.lua"),
            STORE,
            RUNS,
            REMOVING,
            CHOOSING,
            CLAIMING,
            include_str!("lua/claim.lua"),
        ],
    )
});
pub(crate) static UNCLAIM: Lazy = LazyLock::new(|| {
    Script::new(
        "take a claim back",
        Flags::GoesOn,
        &[STORE, KEYS, BATCHES, RUNS, TAKING_BACK, include_str!("lua/unclaim.lua")],
    )
});
pub(crate) static UNCLAIM_LOST: Lazy = LazyLock::new(|| {
    Script::new(
        "take lost claims back",
        Flags::GoesOn,
        &[STORE, KEYS, BATCHES, RUNS, TAKING_BACK, include_str!("lua/unclaim_lost.lua")],
    )
});
pub(crate) static FINISH: Lazy = LazyLock::new(|| {
    let parts = [STORE, KEYS, BATCHES, RUNS, ENTRIES, FINISHING, include_str!("lua/finish.lua")];
    Script::new("finish", Flags::GoesOn, &parts)
});
/// The same where runs have follow-ups.
pub(crate) static FINISH_AND_FOLLOW: Lazy = LazyLock::new(|| {
    let parts = [
        STORE,
        KEYS,
        BATCHES,
        RUNS,
        ENTRIES,
        NEW,
        CREATING,
        FOLLOWING,
        FINISHING,
        include_str!("lua/finish.lua"),
    ];
    Script::new("finish", Flags::GoesOn, &parts)
});
pub(crate) static FINISH_AND_CLAIM: Lazy = LazyLock::new(|| {
    let parts = [
        STORE,
        KEYS,
        BATCHES,
        RUNS,
        ENTRIES,
        REMOVING,
        FINISHING,
        CHOOSING,
        CLAIMING,
        include_str!("lua/finish_and_claim.lua"),
    ];
    Script::new("finish and claim", Flags::GoesOn, &parts)
});
/// The same where runs have follow-ups.
pub(crate) static FINISH_FOLLOW_AND_CLAIM: Lazy = LazyLock::new(|| {
    let parts = [
        STORE,
        KEYS,
        BATCHES,
        RUNS,
        ENTRIES,
        REMOVING,
        NEW,
        CREATING,
        FOLLOWING,
        FINISHING,
        CHOOSING,
        CLAIMING,
        include_str!("lua/finish_and_claim.lua"),
    ];
    Script::new("finish and claim", Flags::GoesOn, &parts)
});
pub(crate) static RECORD: Lazy = LazyLock::new(|| {
    Script::new("record", Flags::Adds, &[STORE, RUNS, ENTRIES, include_str!("lua/record.lua")])
});
pub(crate) static HEARTBEAT: Lazy = LazyLock::new(|| {
    Script::new(
        "heartbeat",
        Flags::GoesOn,
        &[include_str!("lua/idle_heartbeat.lua"), STORE, RUNS, include_str!("lua/heartbeat.lua")],
    )
});
pub(crate) static SWEEP: Lazy = LazyLock::new(|| {
    Script::new(
        "sweep",
        Flags::GoesOn,
        &[
            STORE,
            KEYS,
            BATCHES,
            RUNS,
            REMOVING,
            include_str!("lua/timing.lua"),
            HELD_ON,
            include_str!("lua/sweep.lua"),
        ],
    )
});
pub(crate) static SETTLE: Lazy = LazyLock::new(|| {
    Script::new(
        "settle dependants",
        Flags::GoesOn,
        &[STORE, KEYS, BATCHES, RUNS, include_str!("lua/settle.lua")],
    )
});
pub(crate) static SIGNAL: Lazy = LazyLock::new(|| {
    Script::new("signal", Flags::Adds, &[STORE, RUNS, ENTRIES, include_str!("lua/signal.lua")])
});
pub(crate) static LIST_DEPENDANTS: Lazy = LazyLock::new(|| {
    Script::new("list dependants", Flags::Reads, &[STORE, include_str!("lua/list_dependants.lua")])
});
pub(crate) static PROMOTE: Lazy = LazyLock::new(|| {
    Script::new("promote due jobs", Flags::GoesOn, &[STORE, RUNS, REMOVING, include_str!("lua/promote.lua")])
});
pub(crate) static DUE: Lazy =
    LazyLock::new(|| Script::new("read what may be pruned", Flags::Reads, &[include_str!("lua/due.lua")]));
pub(crate) static SURVEY: Lazy = LazyLock::new(|| {
    Script::new("look for what may be pruned", Flags::GoesOn, &[STORE, include_str!("lua/survey.lua")])
});
pub(crate) static PRUNE: Lazy = LazyLock::new(|| {
    Script::new(
        "prune",
        Flags::GoesOn,
        &[STORE, KEYS, RUNS, REMOVING, DELETING, include_str!("lua/prune.lua")],
    )
});
const ACTING: &[&str] =
    &[STORE, KEYS, BATCHES, RUNS, REMOVING, DELETING, SEARCHING, include_str!("lua/act.lua")];

pub(crate) static ACT: Lazy = LazyLock::new(|| Script::new("act on jobs", Flags::GoesOn, ACTING));
/// The same for actions that bring data.
pub(crate) static ACT_WITH_DATA: Lazy = LazyLock::new(|| Script::new("act on jobs", Flags::Adds, ACTING));
pub(crate) static GET: Lazy = LazyLock::new(|| {
    Script::new("look jobs up", Flags::Reads, &[STORE, KEYS, READING, include_str!("lua/get.lua")])
});
pub(crate) static LIST: Lazy = LazyLock::new(|| {
    Script::new("list jobs", Flags::Reads, &[STORE, READING, SEARCHING, include_str!("lua/list.lua")])
});
pub(crate) static EVENTS: Lazy =
    LazyLock::new(|| Script::new("read events", Flags::GoesOn, &[STORE, include_str!("lua/events.lua")]));
pub(crate) static QUEUES: Lazy =
    LazyLock::new(|| Script::new("read queues", Flags::Reads, &[STORE, include_str!("lua/queues.lua")]));
pub(crate) static SET_QUEUE: Lazy = LazyLock::new(|| {
    Script::new(
        "configure a queue",
        Flags::GoesOn,
        &[STORE, HELD_ON, UNCOUNTED, include_str!("lua/set_queue.lua")],
    )
});
pub(crate) static PAUSE_QUEUE: Lazy =
    LazyLock::new(|| Script::new("pause a queue", Flags::GoesOn, &[include_str!("lua/pause_queue.lua")]));
pub(crate) static RESUME_QUEUE: Lazy = LazyLock::new(|| {
    Script::new("resume a queue", Flags::GoesOn, &[STORE, include_str!("lua/resume_queue.lua")])
});
pub(crate) static LANES: Lazy =
    LazyLock::new(|| Script::new("list lanes", Flags::Reads, &[STORE, include_str!("lua/lanes.lua")]));
pub(crate) static SET_KEY: Lazy = LazyLock::new(|| {
    Script::new(
        "configure a key",
        Flags::GoesOn,
        &[STORE, HELD_ON, UNCOUNTED, include_str!("lua/set_key.lua")],
    )
});
pub(crate) static COUNT_WAITING: Lazy = LazyLock::new(|| {
    Script::new("count what waits", Flags::GoesOn, &[STORE, include_str!("lua/count_waiting.lua")])
});
pub(crate) static PAUSE_KEY: Lazy =
    LazyLock::new(|| Script::new("pause a key", Flags::GoesOn, &[include_str!("lua/pause_key.lua")]));
pub(crate) static RESUME_KEY: Lazy = LazyLock::new(|| {
    Script::new("resume a key", Flags::GoesOn, &[STORE, include_str!("lua/resume_key.lua")])
});
pub(crate) static LIST_KEYS: Lazy = LazyLock::new(|| {
    Script::new("list keys", Flags::Reads, &[STORE, HELD_ON, UNCOUNTED, include_str!("lua/list_keys.lua")])
});
pub(crate) static STEPS: Lazy =
    LazyLock::new(|| Script::new("list steps", Flags::Reads, &[STORE, include_str!("lua/steps.lua")]));
pub(crate) static PUT_SAMPLES: Lazy =
    LazyLock::new(|| Script::new("keep samples", Flags::Adds, &[STORE, include_str!("lua/put_samples.lua")]));
pub(crate) static SAMPLES: Lazy =
    LazyLock::new(|| Script::new("read samples", Flags::Reads, &[include_str!("lua/samples.lua")]));
pub(crate) static WORKERS: Lazy =
    LazyLock::new(|| Script::new("read workers", Flags::Reads, &[STORE, include_str!("lua/workers.lua")]));
pub(crate) static READY: Lazy =
    LazyLock::new(|| Script::new("check writes", Flags::Adds, &[include_str!("lua/ready.lua")]));
pub(crate) static MIGRATE: Lazy =
    LazyLock::new(|| Script::new("migrate", Flags::GoesOn, &[STORE, include_str!("lua/migrate.lua")]));

pub(crate) static EXPORT_JOBS: Lazy = LazyLock::new(|| {
    Script::new("export", Flags::Reads, &[STORE, KEYS, include_str!("lua/moving/export_jobs.lua")])
});
pub(crate) static EXPORT_MEMORIES: Lazy = LazyLock::new(|| {
    Script::new("export", Flags::Reads, &[STORE, include_str!("lua/moving/export_memories.lua")])
});
pub(crate) static STAMP: Lazy =
    LazyLock::new(|| Script::new("export", Flags::Reads, &[include_str!("lua/moving/stamp.lua")]));
pub(crate) static IMPORT_JOBS: Lazy = LazyLock::new(|| {
    let parts = [STORE, KEYS, BATCHES, RUNS, include_str!("lua/moving/import_jobs.lua")];
    Script::new("import", Flags::Adds, &parts)
});
pub(crate) static IMPORT_MEMORIES: Lazy = LazyLock::new(|| {
    Script::new("import", Flags::Adds, &[STORE, include_str!("lua/moving/import_memories.lua")])
});

/// Puts numbers, texts and the server's functions in the place of their names. Lua 5.1 has no constants, only variables, and
/// every function that uses one must first be given it, by a search among all that are in use: with the names in place, the
/// server would spend more on making the functions of a script than on most of its work.
///
/// A constant is defined by a line like `local STATE, RUN_AT = 1, 2`: of whole numbers, of texts, of functions and keys that
/// the server gives.
fn with_constants(source: &str) -> String {
    let mut values: HashMap<&str, &str> = HashMap::new();
    let mut lines = Vec::new();
    for line in source.lines() {
        match definitions(line) {
            Some(defined) => {
                values.extend(defined);
                lines.push(String::new());
            }
            None => lines.push(replaced(line, &values)),
        }
    }
    lines.join("\n")
}

fn definitions(line: &str) -> Option<Vec<(&str, &str)>> {
    let (names, values) = line.strip_prefix("local ")?.split_once(" = ")?;
    let pairs: Vec<_> = names.split(", ").zip(values.split(", ")).collect();
    pairs.iter().all(|(name, value)| is_constant(name, value)).then_some(pairs)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_constant(name: &str, value: &str) -> bool {
    let is_capital = name.bytes().all(|byte| is_word(byte) && !byte.is_ascii_lowercase());
    let text = value.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    let is_text = text.is_some_and(|text| !text.contains(['\'', '\\']));
    let given =
        ["redis.", "string.", "math.", "struct."].iter().find_map(|module| value.strip_prefix(module));
    let is_given = given.is_some_and(|name| name.bytes().all(is_word)) || value == "KEYS[1]";
    is_given || is_capital && (is_text || value.parse::<i64>().is_ok())
}

/// A line with its constants put in; what stands in a comment, between quotes or after a point stays.
fn replaced(line: &str, values: &HashMap<&str, &str>) -> String {
    let mut done = String::with_capacity(line.len());
    let (mut quote, mut rest) = (None, line);
    while let Some(first) = rest.chars().next() {
        if quote.is_none() && rest.starts_with("--") {
            break;
        }
        let length = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        if length > 0 {
            let word = &rest[..length];
            let is_name = quote.is_none() && !done.ends_with('.');
            done.push_str(values.get(word).filter(|_| is_name).unwrap_or(&word));
            rest = &rest[length..];
            continue;
        }
        if matches!(first, '\'' | '"') && quote.is_none_or(|open| open == first) {
            quote = if quote.is_none() { Some(first) } else { None };
        }
        done.push(first);
        rest = &rest[first.len_utf8()..];
    }
    done.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_put_in_place_of_their_names() {
        let source =
            "local STATE, RUN_AT = 1, 2\nlocal name = 'STATE' .. job[STATE] -- a STATE\nRUN_ATE(RUN_AT)";
        assert_eq!(with_constants(source), "\nlocal name = 'STATE' .. job[1]\nRUN_ATE(2)");
        let source =
            "local call, root = redis.call, KEYS[1]\nlocal KEY = 'a|'\nredis.call(root .. KEY, call)";
        assert_eq!(with_constants(source), "\n\nredis.call(KEYS[1] .. 'a|', redis.call)");
        for other in [
            "local a = b",
            "local list = {}",
            "local key = root .. 'a'",
            "local A = 'b' .. 'c'",
            "local n = 0",
        ] {
            assert_eq!(with_constants(other), other);
        }
    }

    #[test]
    fn no_script_has_a_constant_that_is_left() {
        for script in [
            &ENQUEUE,
            &ENQUEUE_SIMPLE,
            &ENQUEUE_SIMPLE_KEYED,
            &CLAIM,
            &UNCLAIM,
            &FINISH,
            &FINISH_AND_FOLLOW,
            &FINISH_AND_CLAIM,
            &FINISH_FOLLOW_AND_CLAIM,
            &RECORD,
            &HEARTBEAT,
            &SWEEP,
            &PRUNE,
        ] {
            assert!(!script.source.contains("STATE_EVENT"), "{}", script.operation);
            assert!(script.source.starts_with("#!lua flags="), "{}", script.operation);
        }
    }
}
