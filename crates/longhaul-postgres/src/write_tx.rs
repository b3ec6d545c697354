use std::collections::{BTreeMap, BTreeSet};

use longhaul::{Change, Changes, DEPENDANTS_AT_ONCE, JobId, KeptChange, Result, State, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::bounds::Bounds;
use crate::connection::Link;
use crate::error::fault;
use crate::limits::Limits;
use crate::server_clock::Now;
use crate::state::Folded;

/// A transaction that writes: the operations of `enqueue.rs`, `claim.rs`, … are methods of it.
pub(crate) struct WriteTx<'a> {
    link: Link<'a>,
    /// The earliest time of this transaction, by which past events are judged.
    pub(crate) now: Timestamp,
    /// The same with the latest time, from which future events are counted.
    pub(crate) time: Now,
    pub(crate) effects: Effects,
    /// Stored with the jobs that it claims, so that a claim whose answer is lost can be reverted.
    pub(crate) claim_number: i64,
    /// Children that have ended and are not counted yet: their parent, and their outcome.
    pub(crate) ended_children: Vec<(i64, State)>,
    /// Closing jobs that were created and may turn out to have no children.
    pub(crate) new_batches: Vec<i64>,
    /// Jobs that ends of others have freed or cancelled in this transaction, so that earlier reads of them are out of
    /// date.
    pub(crate) touched: BTreeSet<i64>,
    /// True if there may be ends of jobs that dependants have not counted.
    pub(crate) has_ended_dependencies: bool,
    /// True once a run has begun a wait of no time, so that it is due for the claims of this transaction.
    pub(crate) falls_due: bool,
    /// The number of dependants that may still be settled.
    pub(crate) settle_left: usize,
    /// Bounds on waiting jobs that may hold for the new ones.
    pub(crate) bounds: Bounds,
    /// The limits of keys, as far as they were looked at.
    pub(crate) limits: Limits,
    counts: BTreeMap<(String, State), i64>,
    /// The observers of changes of state.
    observers: &'a Changes,
}

/// Sends statements within a transaction, while it waits for the answers to others.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    link: Link<'a>,
    pub(crate) now: Timestamp,
}

impl Reader<'_> {
    pub(crate) async fn rows(
        &self,
        operation: &'static str,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.link.rows(sql, values).await.map_err(fault(operation))
    }
}

/// The changes that are reported once the transaction is committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Jobs that changed, whose readers are woken.
    pub(crate) changed: Vec<JobId>,
    /// Queues in which jobs became available: claims that wait for these may find something.
    pub(crate) available: BTreeSet<String>,
    pub(crate) unfinished: Unfinished,
    /// Set where another transaction has the lock of limits, or there is more to fold in: it is to be tried again soon.
    pub(crate) fold_later: bool,
    /// Arrivals that were folded in, where the lock of limits was held.
    pub(crate) folded: Option<Folded>,
    /// Set where ends of jobs are left that not all dependants have counted.
    pub(crate) unsettled: bool,
    /// Changes of state, if there is an observer.
    pub(crate) noted: Vec<KeptChange>,
}

/// Queues in which claims have not looked at all jobs with limit keys.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// They stopped at their bounds: each look gets further.
    pub(crate) stopped_early: BTreeSet<String>,
    /// Another transaction has the lock of limits.
    pub(crate) kept_out: BTreeSet<String>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn new(link: Link<'a>, time: Now, observers: &'a Changes) -> Self {
        Self {
            link,
            now: time.earliest,
            time,
            effects: Effects::default(),
            claim_number: 0,
            ended_children: Vec::new(),
            new_batches: Vec::new(),
            touched: BTreeSet::new(),
            has_ended_dependencies: false,
            falls_due: false,
            settle_left: DEPENDANTS_AT_ONCE,
            bounds: Bounds::default(),
            limits: Limits::default(),
            counts: BTreeMap::new(),
            observers,
        }
    }

    pub(crate) async fn rows(
        &self,
        operation: &'static str,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.reader().rows(operation, sql, values).await
    }

    /// Sends statements beside others of this transaction.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { link: self.link, now: self.now }
    }

    /// The same for a statement that is made for this call alone.
    pub(crate) async fn rows_unprepared(
        &self,
        operation: &'static str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.link.rows_unprepared(sql, values).await.map_err(fault(operation))
    }

    /// Counts and notes that a job went from one state to another; `None` is not being there.
    pub(crate) fn moved(&mut self, change: Change<'_>) {
        self.count(change.queue, change.from, change.to, 1);
        self.note(change);
    }

    /// Notes a change of state that is [counted](Self::count) with others.
    pub(crate) fn note(&mut self, change: Change<'_>) {
        if self.observers.is_observed() {
            self.effects.noted.push(KeptChange::from(&change));
        }
    }

    pub(crate) fn count(&mut self, queue: &str, from: Option<State>, to: Option<State>, jobs: i64) {
        for (state, change) in [(from, -jobs), (to, jobs)] {
            let Some(state) = state else { continue };
            *self.counts.entry((queue.to_owned(), state)).or_default() += change;
        }
        if to == Some(State::Available) && jobs > 0 && !self.effects.available.contains(queue) {
            self.effects.available.insert(queue.to_owned());
        }
    }

    /// The change of a count that is not written yet.
    pub(crate) fn uncounted(&self, queue: &str, state: State) -> i64 {
        self.counts.get(&(queue.to_owned(), state)).copied().unwrap_or(0)
    }

    /// Writes the changes that [`count`](Self::count) has noted so far.
    pub(crate) async fn write_counts(&mut self) -> Result<()> {
        let Some(Counts { queues, states, changes }) = self.take_counts() else { return Ok(()) };
        self.rows("count", ADD_COUNTS, &[&queues, &states, &changes]).await.map(drop)
    }

    /// The changes that [`count`](Self::count) has noted so far, for [`ADD_COUNTS`].
    pub(crate) fn take_counts(&mut self) -> Option<Counts> {
        let mut counts = Counts::default();
        for ((queue, state), change) in std::mem::take(&mut self.counts) {
            if change != 0 {
                counts.queues.push(queue);
                counts.states.push(state.as_str());
                counts.changes.push(change);
            }
        }
        (!counts.queues.is_empty()).then_some(counts)
    }
}

/// Changes of counts, column by column.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) queues: Vec<String>,
    pub(crate) states: Vec<&'static str>,
    pub(crate) changes: Vec<i64>,
}

pub(crate) const ADD_COUNTS: &str = include_str!("sql/add_counts.sql");
