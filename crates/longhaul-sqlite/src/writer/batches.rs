use longhaul::{Change, Children, Cost, JobId, Result, State, Timestamp, lifecycle};
use rusqlite::{OptionalExtension, params};

use super::groups::{Keyed, cost_of};
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::limit_key::stored_rank;
use crate::row::{Columns, signed};

/// A closing job that waits for its children.
struct Closing {
    seq: i64,
    id: JobId,
    kind: String,
    queue: String,
    priority: i32,
    attempt: u32,
    run_at: Timestamp,
    children: Children,
    limit_key: Option<String>,
    version: u32,
    cost: Cost,
}

/// Closing jobs and their children. The counts are kept on the closing job's row, and stand still once it is free.
impl WriteTx<'_> {
    /// The batch that a new job joins, where its parent is a closing job that still waits.
    pub(super) fn open_batch(&self, parent: Option<&JobId>) -> rusqlite::Result<Option<i64>> {
        let Some(parent) = parent else { return Ok(None) };
        self.connection
            .prepare_cached(include_str!("../sql/open_batch_by_id.sql"))?
            .query_row([parent.as_str()], |row| row.get(0))
            .optional()
    }

    /// Counts a child that joins.
    pub(super) fn count_child(&mut self, batch: i64) -> rusqlite::Result<()> {
        self.recount(batch, |children| children.total += 1, Then::Wait)
    }

    /// Notes that a child has ended, to be counted by [`settle`](Self::settle).
    pub(super) fn child_ended(&mut self, batch: Option<i64>, outcome: State) {
        self.notes.ended_children.extend(batch.map(|batch| (batch, outcome)));
    }

    /// Lets batches count the children that have ended since, which may free their closing jobs. Called at the end of
    /// every operation, after a finish's follow-ups: a child may be followed by another of its batch.
    pub(super) fn settle(&mut self) -> Result<()> {
        for (batch, outcome) in std::mem::take(&mut self.notes.ended_children) {
            self.recount(batch, |children| *counter(children, outcome) += 1, Then::FreeIfDone)
                .map_err(fault("count a child"))?;
        }
        Ok(())
    }

    /// Waits again for a child that had ended with `outcome` and is to run anew.
    pub(super) fn uncount_end(&mut self, batch: Option<i64>, outcome: State) -> rusqlite::Result<()> {
        match batch {
            None => Ok(()),
            Some(batch) => self.recount(batch, |children| *counter(children, outcome) -= 1, Then::Wait),
        }
    }

    /// New jobs that wait for children, and were given none, need not wait.
    pub(super) fn free_childless(&mut self) -> Result<()> {
        for batch in std::mem::take(&mut self.notes.new_batches) {
            let closing = self.closing(batch).map_err(fault("look a batch up"))?;
            if let Some(closing) = closing.filter(|closing| closing.children.unfinished() == 0) {
                self.write_closing(&closing, Then::FreeIfDone).map_err(fault("free a closing job"))?;
            }
        }
        Ok(())
    }

    fn recount(
        &mut self,
        batch: i64,
        change: impl FnOnce(&mut Children),
        then: Then,
    ) -> rusqlite::Result<()> {
        let Some(mut closing) = self.closing(batch)? else { return Ok(()) };
        change(&mut closing.children);
        self.write_closing(&closing, then)
    }

    /// `None` where the job is not there any more or waits no more.
    fn closing(&self, seq: i64) -> rusqlite::Result<Option<Closing>> {
        self.connection
            .prepare_cached(include_str!("../sql/open_batch.sql"))?
            .query_row([seq], |row| {
                let mut columns = Columns::new(row);
                Ok(Closing {
                    seq,
                    id: columns.id(),
                    kind: columns.next(),
                    queue: columns.next(),
                    priority: columns.next(),
                    attempt: columns.next(),
                    run_at: columns.time(),
                    children: columns.children().unwrap_or_default(),
                    limit_key: columns.next(),
                    version: columns.next(),
                    cost: cost_of(columns.parsed()),
                })
            })
            .optional()
    }

    fn write_closing(&mut self, closing: &Closing, then: Then) -> rusqlite::Result<()> {
        let is_free = then == Then::FreeIfDone && closing.children.unfinished() == 0;
        let (state, run_at) =
            if is_free { (State::Available, self.now) } else { (State::Blocked, closing.run_at) };
        let rank = lifecycle::rank(run_at, closing.priority);
        self.connection.prepare_cached(include_str!("../sql/count_children.sql"))?.execute(params![
            closing.seq,
            self.now.0,
            state.as_str(),
            run_at.0,
            stored_rank(state, closing.limit_key.as_deref(), rank),
            signed(closing.children.total),
            signed(closing.children.completed),
            signed(closing.children.failed),
            signed(closing.children.cancelled),
        ])?;
        if is_free {
            let change = self.change(&closing.id, &closing.kind, &closing.queue, closing.attempt);
            let (seq, version, cost) = (closing.seq, closing.version, closing.cost);
            let keys = closing.limit_key.as_deref();
            let keyed = keys.map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
            let change = Change { from: Some(State::Blocked), to: Some(State::Available), ..change };
            self.moved(closing.seq, &change, keyed.as_ref())?;
        }
        self.notes.changed.push(closing.id.clone());
        Ok(())
    }
}

/// The effect of a change of its counts on a closing job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Nothing: it waits on.
    Wait,
    /// It is free where no child is unfinished.
    FreeIfDone,
}

fn counter(children: &mut Children, outcome: State) -> &mut u64 {
    match outcome {
        State::Completed => &mut children.completed,
        State::Failed => &mut children.failed,
        _ => &mut children.cancelled,
    }
}
