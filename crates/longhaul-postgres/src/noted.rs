use longhaul::{Change, JobId, State, Timestamp};

/// A change of state that is told once it is durable, where somebody wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Noted {
    id: JobId,
    kind: String,
    queue: String,
    from: Option<State>,
    to: Option<State>,
    attempt: u32,
    at: Timestamp,
    since: Option<Timestamp>,
    error: Option<String>,
}

impl Noted {
    pub(crate) fn of(change: Change<'_>) -> Self {
        Self {
            id: change.id.clone(),
            kind: change.kind.to_owned(),
            queue: change.queue.to_owned(),
            from: change.from,
            to: change.to,
            attempt: change.attempt,
            at: change.at,
            since: change.since,
            error: change.error.map(str::to_owned),
        }
    }

    pub(crate) fn change(&self) -> Change<'_> {
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
