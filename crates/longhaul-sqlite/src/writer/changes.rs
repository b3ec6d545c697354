use std::collections::HashSet;
use std::sync::Arc;

use longhaul::{Change, KeptChange};

/// The names of kinds, queues and limit keys, each in memory once: jobs share a few of them.
#[derive(Default)]
pub(super) struct Names {
    kinds: Shared,
    queues: Shared,
    keys: Shared,
}

#[derive(Default)]
struct Shared {
    /// Most jobs are like the one before.
    last: Option<Arc<str>>,
    known: HashSet<Arc<str>>,
}

/// Beyond this many, all are forgotten.
const REMEMBERED_NAMES: usize = 4_096;

impl Names {
    pub(super) fn keep(&mut self, change: &Change<'_>) -> KeptChange {
        KeptChange::named(change, self.kind(change.kind), self.queue(change.queue))
    }

    pub(super) fn kind(&mut self, kind: &str) -> Arc<str> {
        self.kinds.get(kind)
    }

    pub(super) fn queue(&mut self, queue: &str) -> Arc<str> {
        self.queues.get(queue)
    }

    pub(super) fn keys(&mut self, keys: &str) -> Arc<str> {
        self.keys.get(keys)
    }
}

impl Shared {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == *name) {
            return Arc::clone(last);
        }
        let found = self.known.get(name).cloned().unwrap_or_else(|| {
            if self.known.len() >= REMEMBERED_NAMES {
                self.known.clear();
            }
            let name: Arc<str> = name.into();
            self.known.insert(Arc::clone(&name));
            name
        });
        self.last = Some(Arc::clone(&found));
        found
    }
}
