use std::collections::BTreeMap;

use longhaul::lifecycle::unique::{Hold, Holder};
use longhaul::{CancelReason, Change, JobId, NewJob, Result, State, Timestamp, WaitsFor, lifecycle};
use tokio_postgres::Row;

use crate::row::{hold, priority, small, state, waits_for};
use crate::write_tx::WriteTx;

/// A job that something is done to from outside a run, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) id: JobId,
    pub(crate) seq: i64,
    pub(crate) queue: String,
    pub(crate) state: State,
    pub(crate) priority: i32,
    pub(crate) unique_key: Option<String>,
    pub(crate) batch: Option<i64>,
    cancel_by: Option<i64>,
    pub(crate) kind: String,
    pub(crate) attempt: u32,
    pub(crate) run_at: Timestamp,
    pub(crate) state_event: i64,
    /// Joined.
    pub(crate) limit_key: Option<String>,
    pub(crate) hold: Hold,
    created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    /// Read where an action is to be applied.
    pub(crate) waits_for: Option<WaitsFor>,
    /// The same: true where others depend on it.
    pub(crate) is_awaited: bool,
}

impl Target {
    /// Reads the first seventeen columns of a row, which the statements that are about such jobs have in common.
    pub(crate) fn read(row: &Row) -> Self {
        Self {
            id: JobId::from_store(row.get(0)),
            seq: row.get(1),
            queue: row.get(2),
            state: state(row, 3),
            priority: priority(row, 4),
            unique_key: row.get(5),
            batch: row.get(6),
            cancel_by: row.get(7),
            kind: row.get(8),
            attempt: small(row.get(9)),
            run_at: Timestamp(row.get(10)),
            state_event: row.get(11),
            limit_key: row.get(12),
            hold: hold(row, [13, 14]),
            created_at: Timestamp(row.get(15)),
            started_at: row.get::<_, Option<i64>>(16).map(Timestamp),
            waits_for: None,
            is_awaited: false,
        }
    }

    /// Reads also what it waits for and whether it is waited for, in the columns after those.
    pub(crate) fn read_with_wait(row: &Row) -> Self {
        let is_awaited = row.get::<_, Option<bool>>(18).is_some();
        Self { waits_for: waits_for(row, 3, 17), is_awaited, ..Self::read(row) }
    }

    /// A change of its state.
    pub(crate) fn change(&self, to: Option<State>, at: Timestamp) -> Change<'_> {
        Change {
            id: &self.id,
            kind: &self.kind,
            queue: &self.queue,
            from: Some(self.state),
            to,
            attempt: self.attempt,
            at,
            since: None,
            error: None,
        }
    }

    /// The job as the rules for unique keys look at it.
    pub(crate) fn as_holder(&self) -> Holder<'_> {
        Holder {
            kind: &self.kind,
            state: self.state,
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: self.started_at,
            held_until: self.hold.until,
        }
    }
}

/// Actions on jobs whose rows this transaction has locked.
impl WriteTx<'_> {
    /// Cancels a job that waits.
    pub(crate) async fn cancel_waiting(&mut self, target: &Target, reason: CancelReason) -> Result<()> {
        self.cancel_all(std::slice::from_ref(target), reason).await
    }

    /// Cancels jobs that wait.
    pub(crate) async fn cancel_all(&mut self, targets: &[Target], reason: CancelReason) -> Result<()> {
        let seqs: Vec<i64> = targets.iter().map(|target| target.seq).collect();
        let kept_from = |target: &Target| target.hold.kept_from(State::Cancelled, self.now).0;
        let kept_from: Vec<i64> = targets.iter().map(kept_from).collect();
        let sql = include_str!("sql/cancel_jobs.sql");
        let rows = self.rows("cancel", sql, &[&seqs, &kept_from, &self.now.0, &reason.as_str()]).await?;
        self.note_awaited(&rows);
        for target in targets {
            if let Some(key) = &target.unique_key {
                self.let_go(key, target.seq, &target.hold, State::Cancelled).await?;
            }
            if target.state == State::Available {
                // It may have kept back those behind it that take fewer slots, or all others of a queue with limits.
                self.effects.available.insert(target.queue.clone());
            }
            self.moved(target.change(Some(State::Cancelled), self.now));
            self.effects.changed.push(target.id.clone());
            self.child_ended(target.batch, State::Cancelled);
        }
        self.left_fair_queues(targets).await
    }

    /// Asks a job that runs to stop. Answers false where it was asked to stop as soon already.
    pub(crate) async fn ask_to_stop(
        &mut self,
        target: &Target,
        grace: std::time::Duration,
        reason: CancelReason,
    ) -> Result<bool> {
        let earlier = target.cancel_by.map(Timestamp);
        let Some(by) = lifecycle::cancel_by(earlier, grace, self.time.latest) else { return Ok(false) };
        let sql = include_str!("sql/ask_to_stop.sql");
        self.rows("cancel", sql, &[&target.seq, &by.0, &reason.as_str(), &self.now.0]).await?;
        self.effects.changed.push(target.id.clone());
        Ok(true)
    }

    /// Has a job that waits run with what a newer one of its unique key would have run with.
    pub(crate) async fn replace(
        &mut self,
        target: &mut Target,
        job: &NewJob,
        state: State,
        run_at: Timestamp,
    ) -> Result<()> {
        let (version, rank) = (i64::from(job.version), lifecycle::rank(run_at, target.priority));
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&target.seq, &self.now.0, &job.args.as_str(), &version, &state.as_str(), &run_at.0, &rank];
        self.rows("replace a job", include_str!("sql/replace_job.sql"), &values).await?;
        if state != target.state {
            self.left_fair_queues(std::slice::from_ref(target)).await?;
            self.moved(target.change(Some(state), self.now));
        } else if state == State::Available {
            // Workers that did not know its version may know this one.
            self.effects.available.insert(target.queue.clone());
        }
        self.effects.changed.push(target.id.clone());
        (target.state, target.run_at) = (state, run_at);
        Ok(())
    }

    /// Has the turns of fair queues know of the last jobs without limit keys that have gone.
    async fn left_fair_queues(&self, targets: &[Target]) -> Result<()> {
        let plain =
            targets.iter().filter(|target| target.state == State::Available && target.limit_key.is_none());
        let left: BTreeMap<&str, &str> =
            plain.map(|target| (target.queue.as_str(), target.kind.as_str())).collect();
        let sql = include_str!("sql/note_emptied.sql");
        for (queue, kind) in left {
            self.rows("cancel", sql, &[&queue, &kind]).await?;
        }
        Ok(())
    }
}
