use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::dependencies::Edges;
use super::index::Index;
use super::keys::Keys;
use super::limits::Limits;
use super::queue_limits::QueueLimits;
use super::row::Row;
use super::samples::Samples;
use crate::clock::Timestamp;
use crate::lifecycle;
use crate::model::{Change, JobId, Lease, QueueConfig, State, WorkerInfo};
use crate::store::{Changes, Signals};

/// The data of the store. Its methods are synchronous and atomic: under its lock, each takes effect as a whole or not
/// at all.
#[derive(Debug)]
pub(super) struct Table {
    /// The jobs, by the order in which they were enqueued.
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) ids: HashMap<JobId, u64>,
    pub(super) index: Index,
    pub(super) keys: Keys,
    pub(super) configs: BTreeMap<String, QueueConfig>,
    pub(super) paused_queues: BTreeSet<String>,
    pub(super) samples: Samples,
    pub(super) workers: BTreeMap<String, WorkerInfo>,
    pub(super) limits: Limits,
    pub(super) queue_limits: QueueLimits,
    pub(super) edges: Edges,
    /// Jobs that have ended and are not yet counted by their parents and dependants, with how they ended.
    ended: VecDeque<(u64, State)>,
    last_seq: u64,
    last_token: u64,
    pub(super) signals: Arc<Signals>,
    changes: Arc<Changes>,
}

impl Table {
    pub(super) fn new(signals: Arc<Signals>, changes: Arc<Changes>) -> Self {
        Self {
            rows: BTreeMap::new(),
            ids: HashMap::new(),
            index: Index::default(),
            keys: Keys::default(),
            configs: BTreeMap::new(),
            paused_queues: BTreeSet::new(),
            samples: Samples::default(),
            workers: BTreeMap::new(),
            limits: Limits::default(),
            queue_limits: QueueLimits::default(),
            edges: Edges::default(),
            ended: VecDeque::new(),
            last_seq: 0,
            last_token: 0,
            signals,
            changes,
        }
    }

    /// Changes a job: the one way to do so, which keeps the indexes, the unique key and those who wait in
    /// step with it. `None` where there is no such job.
    pub(super) fn change<T>(
        &mut self,
        seq: u64,
        now: Timestamp,
        change: impl FnOnce(&mut Row) -> T,
    ) -> Option<T> {
        let row = self.rows.get_mut(&seq)?;
        let (state, last_event) = (row.record.state, row.record.last_event);
        self.index.remove(row);
        let answer = change(row);
        self.index.insert(row);
        let has_ended = row.record.state.is_finished() && !state.is_finished();
        if has_ended {
            self.ended.push_back((seq, row.record.state));
        }
        if row.record.last_event != last_event {
            announce(&self.signals, row);
        }
        // A job that waits no more may have kept back those behind it that take fewer slots.
        let makes_way =
            state == State::Available && !matches!(row.record.state, State::Available | State::Running);
        // Of those that prefer the same, only the first comes into question.
        if makes_way
            && (!row.record.limit_keys.is_empty()
                || row.record.prefer.is_some()
                || self.configs.get(&row.record.queue).is_some_and(QueueConfig::is_limited))
        {
            self.signals.send(&row.record.queue);
        }
        if row.record.state != state {
            self.changes.tell([changed(row, Some(state), now)]);
            self.limit(seq, Some(state), now);
        }
        if has_ended {
            self.let_go(seq, now);
        }
        Some(answer)
    }

    /// Takes its unique key from a job that has ended: for the job that it follows, where that one has not.
    fn let_go(&mut self, seq: u64, now: Timestamp) {
        let Some(row) = self.rows.get(&seq) else { return };
        let behind = row.unique.as_ref().and_then(|(_, hold)| hold.behind.as_ref());
        let followed = behind.and_then(|id| self.rows.get(self.ids.get(id)?));
        // One made anew under the old id may have another key.
        let key = |row: &Row| row.unique.as_ref().map(|(key, _)| key.clone());
        let followed = followed.filter(|other| !other.record.state.is_finished() && key(other) == key(row));
        self.keys.let_go(row, followed, now);
    }

    /// Lets parents and dependants count the jobs that have ended since, which may free them, or cancel a dependant and so go on.
    /// Called at the end of every operation, after a finish's follow-ups: a child may be followed by another of its batch.
    pub(super) fn settle(&mut self, now: Timestamp) {
        while let Some((seq, outcome)) = self.ended.pop_front() {
            if let Some(batch) = self.rows.get(&seq).and_then(|row| row.batch) {
                self.change(batch, now, |row| row.count_end(outcome, now));
            }
            self.settle_dependants(seq, outcome, now);
        }
    }

    /// The job that counts a new one among its children, where its parent does so.
    pub(super) fn batch_of(&self, parent: Option<&JobId>) -> Option<u64> {
        let row = self.find(parent?)?;
        let record = &row.record;
        lifecycle::counts_child(record.state, record.started_at, record.children.as_ref()).then_some(row.seq)
    }

    /// Adds a job whose id and unique key are free, and answers its number.
    pub(super) fn insert(&mut self, make: impl FnOnce(u64) -> Row) -> u64 {
        self.last_seq += 1;
        let row = make(self.last_seq);
        // A job that was dropped as the newest never holds its key.
        if !row.record.state.is_finished() {
            self.keys.hold(&row);
        }
        self.changes.tell([changed(&row, None, row.record.created_at)]);
        let (seq, now) = (row.seq, row.record.created_at);
        if row.record.state.is_finished() {
            self.ended.push_back((row.seq, row.record.state));
        }
        self.place(row, now);
        seq
    }

    /// Adds a job of another store and returns its number. Its changes were reported by that store, and are not again.
    pub(super) fn insert_imported(&mut self, make: impl FnOnce(u64) -> Row, now: Timestamp) -> u64 {
        self.last_seq += 1;
        self.place(make(self.last_seq), now);
        self.last_seq
    }

    fn place(&mut self, row: Row, now: Timestamp) {
        self.keys.forget_gone(&row.record.id);
        self.index.insert(&row);
        announce(&self.signals, &row);
        let seq = row.seq;
        self.ids.insert(row.record.id.clone(), seq);
        self.rows.insert(seq, row);
        self.limit(seq, None, now);
    }

    /// Has the dependants of a job that has ended already count its end, unless they have.
    pub(super) fn settle_again(&mut self, seq: u64, now: Timestamp) {
        if let Some(row) = self.rows.get(&seq).filter(|row| row.record.state.is_finished()) {
            self.settle_dependants(seq, row.record.state, now);
            self.settle(now);
        }
    }

    /// Removes a job with its log, its steps and its unique key, and remembers its id as gone for a while.
    pub(super) fn remove(&mut self, seq: u64, now: Timestamp) {
        let Some(row) = self.rows.remove(&seq) else { return };
        self.index.remove(&row);
        self.ids.remove(&row.record.id);
        self.keys.free(&row);
        self.edges.remove(&row);
        let removed = changed(&row, Some(row.record.state), now);
        self.changes.tell([Change { to: None, error: None, since: None, ..removed }]);
        // Tasks that wait for the job must learn that it is gone.
        self.signals.send(row.record.id.as_str());
        self.keys.remember_gone(row.record.id, now);
    }

    /// A new token for a claim. Tokens are unique in the store, so that a job that is created under the id of a removed
    /// one does not accept that one's leases.
    pub(super) fn draw_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    pub(super) fn find(&self, id: &JobId) -> Option<&Row> {
        self.rows.get(self.ids.get(id)?)
    }

    /// The job that runs under this lease, if the lease is current.
    pub(super) fn leased(&self, lease: &Lease) -> Option<u64> {
        let row = self.find(&lease.id)?;
        (row.record.state == State::Running && row.token == lease.token).then_some(row.seq)
    }
}

/// Wakes the job's readers, and the claims that wait for its queue: a claim that sleeps until the next due job must
/// learn of a job that is due sooner.
fn announce(signals: &Signals, row: &Row) {
    signals.send(row.record.id.as_str());
    if matches!(row.record.state, State::Available | State::Scheduled) || row.record.wakes_at.is_some() {
        signals.send(&row.record.queue);
    }
}

/// The change of a job that was in a state before.
fn changed(row: &Row, from: Option<State>, now: Timestamp) -> Change<'_> {
    let job = &row.record;
    Change {
        id: &job.id,
        kind: &job.kind,
        queue: &job.queue,
        from,
        to: Some(job.state),
        attempt: job.attempt,
        at: now,
        since: match (from, job.state) {
            (_, State::Running) => Some(job.run_at),
            (Some(State::Running), _) => job.started_at,
            _ => None,
        },
        error: row.failure(),
    }
}
