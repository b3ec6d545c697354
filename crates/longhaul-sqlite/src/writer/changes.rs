use std::collections::HashSet;
use std::sync::Arc;

use longhaul::{Change, JobId, State, Timestamp};

/// A change of a job's state, kept until its transaction has committed.
#[derive(Clone)]
pub(super) struct KeptChange {
    id: JobId,
    kind: Arc<str>,
    queue: Arc<str>,
    from: Option<State>,
    to: Option<State>,
    attempt: u32,
    at: Timestamp,
    since: Option<Timestamp>,
    error: Option<String>,
}

impl KeptChange {
    pub(super) fn new(change: &Change<'_>, names: &mut Names) -> Self {
        Self {
            id: change.id.clone(),
            kind: names.kind(change.kind),
            queue: names.queue(change.queue),
            from: change.from,
            to: change.to,
            attempt: change.attempt,
            at: change.at,
            since: change.since,
            error: change.error.map(str::to_owned),
        }
    }

    pub(super) fn as_change(&self) -> Change<'_> {
        Change {
            id: &self.id,
            kind: &self.kind,
            queue: &self.queue,
            from: self.from,
            to: self.to,
            attempt: self.attempt,
            at: self.at,
            since: self.since,
            error: self.error.as_deref(),
        }
    }
}

/// The names of kinds and queues, each in memory once: jobs share a few of them.
#[derive(Default)]
pub(super) struct Names {
    kinds: Shared,
    queues: Shared,
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
    pub(super) fn kind(&mut self, kind: &str) -> Arc<str> {
        self.kinds.get(kind)
    }

    pub(super) fn queue(&mut self, queue: &str) -> Arc<str> {
        self.queues.get(queue)
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
