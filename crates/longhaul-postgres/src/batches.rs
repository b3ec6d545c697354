use std::collections::{BTreeSet, HashMap};

use longhaul::lifecycle;
use longhaul::{Change, Children, JobId, NewJob, Result, State, Timestamp};

use crate::row::{children, priority, signed, small};
use crate::write_tx::WriteTx;

/// A closing job that waits for its children.
struct Closing {
    seq: i64,
    id: JobId,
    queue: String,
    priority: i32,
    run_at: Timestamp,
    children: Children,
    kind: String,
    attempt: u32,
}

/// Closing jobs and their children. The counts are kept on the closing job's row, which is locked while they are
/// changed, and stand still once it is free.
impl WriteTx<'_> {
    /// The batches that new jobs join, where their parents are closing jobs that still wait, by the parents' ids.
    pub(crate) async fn open_batches(&self, jobs: &[NewJob]) -> Result<HashMap<String, i64>> {
        let parents: BTreeSet<&str> =
            jobs.iter().filter_map(|job| Some(job.parent.as_ref()?.as_str())).collect();
        if parents.is_empty() {
            return Ok(HashMap::new());
        }
        let parents: Vec<&str> = parents.into_iter().collect();
        let sql = include_str!("sql/open_batches_by_id.sql");
        let rows = self.rows("look a batch up", sql, &[&parents]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Counts children that join.
    pub(crate) async fn count_children(&mut self, batch: i64, joined: u64) -> Result<()> {
        let Some(mut closing) = self.closing(batch).await? else { return Ok(()) };
        closing.children.total += joined;
        self.write_closing(&closing, Then::Wait, joined).await
    }

    /// Notes that a child has ended, to be counted by [`settle`](Self::settle).
    pub(crate) fn child_ended(&mut self, batch: Option<i64>, outcome: State) {
        self.ended_children.extend(batch.map(|batch| (batch, outcome)));
    }

    /// Lets batches count the children that have ended since, which may free their closing jobs. Called at the end of
    /// every operation, after a finish's follow-ups: a child may be followed by another of its batch.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        for (batch, outcome) in std::mem::take(&mut self.ended_children) {
            self.recount(batch, |children| *counter(children, outcome) += 1, Then::FreeIfDone).await?;
        }
        Ok(())
    }

    /// Waits again for a child that had ended with `outcome` and is to run anew.
    pub(crate) async fn uncount_end(&mut self, batch: Option<i64>, outcome: State) -> Result<()> {
        let Some(batch) = batch else { return Ok(()) };
        let less = |children: &mut Children| {
            let counter = counter(children, outcome);
            *counter = counter.saturating_sub(1);
        };
        self.recount(batch, less, Then::Wait).await
    }

    /// New jobs that wait for children, and were given none, need not wait.
    pub(crate) async fn free_childless(&mut self) -> Result<()> {
        for batch in std::mem::take(&mut self.new_batches) {
            let closing = self.closing(batch).await?;
            if let Some(closing) = closing.filter(|closing| closing.children.unfinished() == 0) {
                self.write_closing(&closing, Then::FreeIfDone, 1).await?;
            }
        }
        Ok(())
    }

    async fn recount(&mut self, batch: i64, change: impl FnOnce(&mut Children), then: Then) -> Result<()> {
        let Some(mut closing) = self.closing(batch).await? else { return Ok(()) };
        change(&mut closing.children);
        self.write_closing(&closing, then, 1).await
    }

    /// `None` where the job is not there any more or waits no more.
    async fn closing(&self, seq: i64) -> Result<Option<Closing>> {
        let rows = self.rows("look a batch up", include_str!("sql/open_batch.sql"), &[&seq]).await?;
        Ok(rows.first().map(|row| Closing {
            seq,
            id: JobId::from_store(row.get(0)),
            queue: row.get(1),
            priority: priority(row, 2),
            run_at: Timestamp(row.get(3)),
            children: children(row, 5, row.get(4)),
            kind: row.get(8),
            attempt: small(row.get(9)),
        }))
    }

    /// Writes the counts, after so many changes of them: each is a change of state that readers are told of.
    async fn write_closing(&mut self, closing: &Closing, then: Then, changes: u64) -> Result<()> {
        let is_free = then == Then::FreeIfDone && lifecycle::freed(&closing.children) == State::Available;
        let (state, run_at) =
            if is_free { (State::Available, self.now) } else { (State::Blocked, closing.run_at) };
        self.rows(
            "count a child",
            include_str!("sql/count_children.sql"),
            &[
                &closing.seq,
                &self.now.0,
                &state.as_str(),
                &run_at.0,
                &lifecycle::rank(run_at, closing.priority),
                &signed(closing.children.total),
                &signed(closing.children.completed),
                &signed(closing.children.failed),
                &signed(closing.children.cancelled),
                &signed(changes),
            ],
        )
        .await?;
        if is_free {
            self.moved(Change {
                id: &closing.id,
                kind: &closing.kind,
                queue: &closing.queue,
                from: Some(State::Blocked),
                to: Some(State::Available),
                attempt: closing.attempt,
                at: self.now,
                since: None,
                error: None,
            });
            self.freed.insert(closing.seq);
        }
        self.effects.changed.push(closing.id.clone());
        Ok(())
    }
}

/// The consequence of a change of its counts for a closing job.
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
