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
            kind: names.shared(change.kind),
            queue: names.shared(change.queue),
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
pub(super) struct Names(HashSet<Arc<str>>);

/// Beyond this many, all are forgotten.
const REMEMBERED_NAMES: usize = 4_096;

impl Names {
    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        if self.0.len() >= REMEMBERED_NAMES {
            self.0.clear();
        }
        let name: Arc<str> = name.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}
