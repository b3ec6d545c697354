//! Jobs that depend on others.
//!
//! The end of a job that others depend on is noted by a trigger, in `ended_dependencies`, whichever release's statement it is. The
//! transaction that ends it lets its dependants count it, up to a bound. What is left is worked off by the transactions of this
//! process after that, one portion in each, and by sweeps, whichever process has left it.

use std::collections::BTreeMap;

use longhaul::lifecycle::{self, End};
use longhaul::{CancelReason, Result, State};
use tokio_postgres::Row;

use crate::row::{children, rows_at_most, state};
use crate::target::Target;
use crate::waits::Unblocked;
use crate::write_tx::WriteTx;

/// The dependants that a portion counts for at least: a long chain ends by one dependant after the other, and each is some statements.
const LEAST: usize = 20;

/// The ends of jobs that one portion looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Those that no other transaction has locked.
    Free,
    /// All of them, after waiting for other transactions.
    All,
}

/// The effect of ends of jobs on one dependant.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    ends: i64,
    is_cancelled: bool,
}

impl WriteTx<'_> {
    /// Lets parents and dependants count the jobs that have ended since, which may free them, or cancel a dependant and so go
    /// on. Called at the end of every operation, after a finish's follow-ups: a child may be followed by another of its batch.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        self.settle_ends(Ends::Free).await
    }

    /// The same, for a sweep, with what any process has left.
    pub(crate) async fn settle_all(&mut self) -> Result<()> {
        self.has_ended_dependencies = true;
        self.settle_ends(Ends::All).await
    }

    /// Notes whether others depend on one of the jobs that a statement has ended.
    pub(crate) fn note_awaited(&mut self, ended: &[Row]) {
        self.has_ended_dependencies |= ended.iter().any(|row| row.get(0));
    }

    async fn settle_ends(&mut self, ends: Ends) -> Result<()> {
        loop {
            self.count_ended_children().await?;
            if !self.has_ended_dependencies {
                return Ok(());
            }
            if self.settle_left == 0 {
                self.effects.unsettled = true;
                return Ok(());
            }
            self.settle_portion(ends).await?;
        }
    }

    /// Lets dependants count the next ends of jobs, as far as the transaction's bound goes.
    async fn settle_portion(&mut self, ends: Ends) -> Result<()> {
        let limit = rows_at_most(self.settle_left);
        let sql = match ends {
            Ends::Free => include_str!("sql/next_ended_dependencies.sql"),
            Ends::All => include_str!("sql/all_ended_dependencies.sql"),
        };
        let next = self.rows("settle dependants", sql, &[&limit]).await?;
        if next.is_empty() {
            self.has_ended_dependencies = false;
            return Ok(());
        }
        let numbers: Vec<i64> = next.iter().map(|row| row.get(0)).collect();
        let jobs: Vec<i64> = next.iter().map(|row| row.get(1)).collect();
        let outcomes: BTreeMap<i64, State> = next.iter().map(|row| (row.get(1), state(row, 2))).collect();
        let sql = include_str!("sql/settle_dependencies.sql");
        let edges = self.rows("settle dependants", sql, &[&numbers, &jobs, &limit]).await?;
        self.settle_left = self.settle_left.saturating_sub(edges.len().max(LEAST));
        let sql = include_str!("sql/forget_ended_dependencies.sql");
        self.rows("settle dependants", sql, &[&numbers]).await?;
        let mut counted: BTreeMap<i64, Counted> = BTreeMap::new();
        for row in &edges {
            let outcome = outcomes.get(&row.get(0)).copied().unwrap_or(State::Cancelled);
            let on_failure = row.get::<_, &str>(2).parse().unwrap_or_default();
            let counted = counted.entry(row.get(1)).or_default();
            match lifecycle::dependency_ends(outcome, on_failure) {
                End::Counts => counted.ends += 1,
                End::Cancels => counted.is_cancelled = true,
            }
        }
        self.count_dependencies(&counted).await
    }

    /// Frees or cancels dependants. Those that wait for their dependencies no more were retried by hand, or cancelled: it means
    /// nothing to them.
    async fn count_dependencies(&mut self, counted: &BTreeMap<i64, Counted>) -> Result<()> {
        if counted.is_empty() {
            return Ok(());
        }
        let seqs: Vec<i64> = counted.keys().copied().collect();
        let sql = include_str!("sql/dependants_that_wait.sql");
        let rows = self.rows("look dependants up", sql, &[&seqs]).await?;
        let (mut waiting, mut lefts) = (Vec::new(), Vec::new());
        let (mut freed, mut cancelled) = (Vec::new(), Vec::new());
        for row in &rows {
            let target = Target::read(row);
            let Some(Counted { ends, is_cancelled }) = counted.get(&target.seq).copied() else { continue };
            let left = row.get::<_, Option<i64>>(17).unwrap_or(0) - ends;
            if is_cancelled {
                cancelled.push(target);
            } else if left > 0 {
                waiting.push(target.seq);
                lefts.push(left);
            } else {
                let children = row.get::<_, Option<i64>>(18).map(|total| children(row, 19, total));
                let (state, run_at) = lifecycle::undepend(target.run_at, children.as_ref(), self.now);
                freed.push(Unblocked { target, state, run_at });
            }
        }
        if !waiting.is_empty() {
            let sql = include_str!("sql/count_dependencies.sql");
            self.rows("count dependencies", sql, &[&waiting, &lefts]).await?;
        }
        self.unblock(&freed).await?;
        if !cancelled.is_empty() {
            self.cancel_all(&cancelled, CancelReason::Dependency).await?;
            self.touched.extend(cancelled.iter().map(|target| target.seq));
        }
        Ok(())
    }
}
