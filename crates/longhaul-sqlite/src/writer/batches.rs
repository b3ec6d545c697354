use longhaul::lifecycle::{self, ImportedChild, counts_child};
use longhaul::moving::ExportedJob;
use longhaul::{Children, JobId, Result, State, WaitsFor};
use rusqlite::{OptionalExtension, params};

use super::groups::cost_of;
use super::waits::Blocked;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::row::{Columns, signed};

/// A job that may count children.
struct Parent {
    job: Blocked,
    state: State,
    waits_for: Option<WaitsFor>,
    children: Option<Children>,
}

impl Parent {
    /// True where it goes on once no child is unfinished.
    fn waits_for_children(&self) -> bool {
        self.state == State::Blocked && self.waits_for.as_ref().is_none_or(|what| *what == WaitsFor::Children)
    }
}

/// Parents and their children: closing jobs, and jobs that have had children since they began. The counts are kept on the
/// parent's row.
impl WriteTx<'_> {
    /// The job that counts a new one among its children, where its parent does so.
    pub(super) fn parent_that_counts(&self, parent: Option<&JobId>) -> rusqlite::Result<Option<i64>> {
        let Some(parent) = parent else { return Ok(None) };
        let counts = self
            .connection
            .prepare_cached(include_str!("../sql/parent_of_child.sql"))?
            .query_row([parent.as_str()], |row| {
                let mut columns = Columns::new(row);
                let (seq, state, started_at) = (columns.next(), columns.state(), columns.optional_time());
                let children = columns.children();
                Ok(counts_child(state, started_at, children.as_ref()).then_some(seq))
            })
            .optional()?;
        Ok(counts.flatten())
    }

    /// The job that counts an imported one among its children, where its parent is there and does so.
    pub(super) fn parent_of_imported(&mut self, exported: &ExportedJob) -> rusqlite::Result<Option<i64>> {
        let Some(parent) = exported.job.parent.as_ref().filter(|_| exported.counted) else { return Ok(None) };
        let found = self
            .connection
            .prepare_cached(include_str!("../sql/parent_of_child.sql"))?
            .query_row([parent.as_str()], |row| {
                let mut columns = Columns::new(row);
                let (seq, state, started_at) = (columns.next(), columns.state(), columns.optional_time());
                Ok((seq, state, started_at, columns.children()))
            })
            .optional()?;
        let Some((seq, state, started_at, children)) = found else { return Ok(None) };
        let expected = self.expected_children(seq)?;
        let child = exported.job.state;
        match lifecycle::imported_child(child, state, started_at, children.as_ref(), expected) {
            ImportedChild::Expected => self.expect_children(seq, expected - 1)?,
            ImportedChild::Ended => {}
            ImportedChild::Joins => self.count_child(seq)?,
            ImportedChild::Apart => return Ok(None),
        }
        Ok(Some(seq))
    }

    /// The number of unfinished children of an imported job that are still to be imported.
    fn expected_children(&self, parent: i64) -> rusqlite::Result<u64> {
        let find = "SELECT children FROM expected_children WHERE job = ?1";
        let mut find = self.connection.prepare_cached(find)?;
        let expected = find.query_row([parent], |row| row.get::<_, i64>(0)).optional()?;
        Ok(expected.map_or(0, i64::unsigned_abs))
    }

    /// Notes that number.
    pub(super) fn expect_children(&self, parent: i64, expected: u64) -> rusqlite::Result<()> {
        if expected == 0 {
            return self.forget_expected_children(parent);
        }
        let note = "INSERT OR REPLACE INTO expected_children (job, children) VALUES (?1, ?2)";
        self.connection.prepare_cached(note)?.execute([parent, signed(expected)]).map(drop)
    }

    pub(super) fn forget_expected_children(&self, parent: i64) -> rusqlite::Result<()> {
        let forget = "DELETE FROM expected_children WHERE job = ?1";
        self.connection.prepare_cached(forget)?.execute([parent]).map(drop)
    }

    /// Counts a child that joins.
    pub(super) fn count_child(&mut self, parent: i64) -> rusqlite::Result<()> {
        let Some(mut parent) = self.parent(parent)? else { return Ok(()) };
        parent.children.get_or_insert_default().total += 1;
        self.tell_children(&parent)
    }

    /// Counts a child that has ended. The last one lets the parent go on, where it waits for them.
    pub(super) fn count_end(&mut self, parent: i64, outcome: State) -> rusqlite::Result<()> {
        let Some(mut parent) = self.parent(parent)? else { return Ok(()) };
        let Some(children) = &mut parent.children else { return Ok(()) };
        lifecycle::count_end(children, outcome);
        if children.unfinished() > 0 || !parent.waits_for_children() {
            return self.tell_children(&parent);
        }
        self.write_children(&parent, 0)?;
        self.unblock(&parent.job, State::Available, self.now)
    }

    /// Counts a child as unfinished again that had ended with `outcome` and is to run anew.
    pub(super) fn uncount_end(&mut self, parent: Option<i64>, outcome: State) -> rusqlite::Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let Some(mut parent) = self.parent(parent)? else { return Ok(()) };
        let Some(children) = &mut parent.children else { return Ok(()) };
        lifecycle::uncount_end(children, outcome);
        self.tell_children(&parent)
    }

    /// New jobs that wait for children, and were given none, need not wait.
    pub(super) fn free_childless(&mut self) -> Result<()> {
        for parent in std::mem::take(&mut self.notes.new_batches) {
            let parent = self.parent(parent).map_err(fault("look a batch up"))?;
            let is_childless = |parent: &Parent| {
                parent.waits_for_children()
                    && parent.children.is_none_or(|children| children.unfinished() == 0)
            };
            if let Some(parent) = parent.filter(is_childless) {
                self.unblock(&parent.job, State::Available, self.now).map_err(fault("free a closing job"))?;
            }
        }
        Ok(())
    }

    /// The counts of a job's children.
    pub(super) fn children(&self, seq: i64) -> rusqlite::Result<Option<Children>> {
        Ok(self.parent(seq)?.and_then(|parent| parent.children))
    }

    /// `None` where the job is not there any more.
    fn parent(&self, seq: i64) -> rusqlite::Result<Option<Parent>> {
        self.connection
            .prepare_cached(include_str!("../sql/find_parent.sql"))?
            .query_row([seq], |row| {
                let mut columns = Columns::new(row);
                let job = Blocked {
                    seq,
                    id: columns.id(),
                    kind: columns.next(),
                    queue: columns.next(),
                    priority: columns.next(),
                    attempt: columns.next(),
                    run_at: columns.time(),
                    limit_key: None,
                    version: 0,
                    cost: cost_of(None),
                };
                let (state, waits_for) = (columns.state(), columns.word());
                let children = columns.children();
                let job = Blocked {
                    limit_key: columns.next(),
                    version: columns.next(),
                    cost: cost_of(columns.parsed()),
                    ..job
                };
                Ok(Parent { job, state, waits_for, children })
            })
            .optional()
    }

    /// Gives a parent's state a new event, with the present counts of its children.
    fn tell_children(&mut self, parent: &Parent) -> rusqlite::Result<()> {
        self.write_children(parent, lifecycle::events_of(parent.state))?;
        self.notes.changed.push(parent.job.id.clone());
        Ok(())
    }

    fn write_children(&self, parent: &Parent, events: u64) -> rusqlite::Result<()> {
        let children = parent.children.unwrap_or_default();
        self.connection.prepare_cached(include_str!("../sql/tell_children.sql"))?.execute(params![
            parent.job.seq,
            self.now.0,
            signed(children.total),
            signed(children.completed),
            signed(children.failed),
            signed(children.cancelled),
            signed(events),
        ])?;
        Ok(())
    }
}
