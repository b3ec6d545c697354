use longhaul::lifecycle::{self, Next, Token};
use longhaul::{
    AttemptError, CancelReason, Change, Cost, JobId, Json, KEPT_ERRORS, Lease, LeaseStatus, Result, State,
    Timestamp,
};
use rusqlite::{OptionalExtension, Row, params};

use super::groups::{Keyed, cost_of};
use super::keys::UniqueKey;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::limit_key::stored_rank;
use crate::row::{Columns, signed};

/// The row of a running job whose lease was found to be current.
pub(super) struct RunRow {
    pub(super) seq: i64,
    pub(super) queue: String,
    /// The fields that the rules of a job's life look at.
    pub(super) run: lifecycle::Run,
    pub(super) last_event: i64,
    /// The number of the newest entry of this run's log (0: none).
    pub(super) log_event: i64,
    pub(super) log_entries: i64,
    pub(super) log_bytes: i64,
    priority: i32,
    errors: Vec<AttemptError>,
    pub(super) limit_key: Option<String>,
    batch: Option<i64>,
    kind: String,
    started_at: Option<Timestamp>,
    pub(super) steps: i64,
    version: u32,
    cost: Cost,
    held: Option<i64>,
    ends_at: Option<Timestamp>,
    unique: Option<UniqueKey>,
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let mut columns = Columns::new(row);
    let row = RunRow {
        seq: columns.next(),
        queue: columns.next(),
        run: lifecycle::Run {
            attempt: columns.next(),
            crashes: columns.next(),
            max_crashes: columns.next(),
            interruptions: columns.next(),
            cancel_requested: columns.next::<Option<i64>>().is_some(),
            cancel_reason: None,
            run_at: columns.time(),
        },
        last_event: columns.next(),
        log_event: columns.next(),
        log_entries: columns.next(),
        log_bytes: columns.next(),
        priority: columns.next(),
        errors: columns.parsed().unwrap_or_default(),
        limit_key: columns.next(),
        batch: columns.next(),
        kind: columns.next(),
        started_at: columns.next::<Option<i64>>().map(Timestamp),
        steps: columns.next(),
        version: columns.next(),
        cost: cost_of(columns.parsed()),
        held: columns.next(),
        ends_at: None,
        unique: None,
    };
    let run = lifecycle::Run { cancel_reason: columns.word(), ..row.run };
    Ok(RunRow { run, ends_at: columns.optional_time(), unique: UniqueKey::read(&mut columns), ..row })
}

impl RunRow {
    /// The status of a lease that was the current one.
    pub(super) fn status(&self) -> LeaseStatus {
        held(self.run.cancel_requested.then_some(0))
    }
}

/// The status of a lease that was the current one.
pub(super) fn held(cancel_by: Option<i64>) -> LeaseStatus {
    if cancel_by.is_some() { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
}

impl WriteTx<'_> {
    /// The run of a lease; `None` where the lease is lost.
    pub(super) fn find_lease(&self, lease: &Lease) -> Result<Option<RunRow>> {
        self.connection
            .prepare_cached(include_str!("../sql/find_lease.sql"))
            .and_then(|mut find| {
                find.query_row(params![lease.id.as_str(), signed(lease.token)], read_run).optional()
            })
            .map_err(fault("look a lease up"))
    }

    /// The status of a lease under which no job runs: a finish that is sent again, because its answer was lost, gets
    /// the answer of the first one.
    pub(super) fn status_without_run(&self, lease: &Lease) -> Result<LeaseStatus> {
        let was_ended_by_it = lease.token != 0
            && self
                .connection
                .prepare_cached(include_str!("../sql/ended_by_token.sql"))
                .and_then(|mut find| find.exists(params![lease.id.as_str(), signed(lease.token)]))
                .map_err(fault("look a finished job up"))?;
        Ok(if was_ended_by_it { LeaseStatus::Held } else { LeaseStatus::Lost })
    }

    /// Ends a run other than by completion: by its worker's word, a rescue, or the end of a cancel's grace.
    pub(super) fn end_run(&mut self, id: &JobId, row: RunRow, next: Next) -> Result<()> {
        self.leave(State::Running, id, row, next)
    }

    /// Fails an available job whose row cannot be read, so that no claim meets it again.
    pub(super) fn fail_unreadable(&mut self, seq: i64, id: &JobId, reason: &str) -> Result<()> {
        let row = self
            .connection
            .prepare_cached(include_str!("../sql/find_available.sql"))
            .and_then(|mut find| find.query_row([seq], read_run).optional())
            .map_err(fault("look a job up"))?;
        let Some(row) = row else { return Ok(()) };
        tracing::warn!(job = %id, "failed to read a job, which ends as failed: {reason}");
        let next = lifecycle::unreadable(&row.run, reason, self.now);
        self.leave(State::Available, id, row, next)?;
        self.settle()
    }

    fn leave(&mut self, from: State, id: &JobId, row: RunRow, next: Next) -> Result<()> {
        let fault = fault("end a run");
        let is_finished = next.state.is_finished();
        let mut kept_from = None;
        if is_finished {
            kept_from = Some(self.key_ended(row.unique.as_ref(), row.seq, next.state).map_err(&fault)?);
            if row.ends_at.is_some() {
                self.note_end(row.seq, None).map_err(&fault)?;
            }
        }
        let error = next.error.as_ref().filter(|_| next.state != State::Cancelled);
        let error = error.map(|error| error.message.clone()).filter(|_| self.is_observed());
        let rank = lifecycle::rank(next.run_at, row.priority);
        let mut errors = row.errors;
        errors.extend(next.error);
        errors.drain(..errors.len().saturating_sub(KEPT_ERRORS));
        let errors = if errors.is_empty() { None } else { Some(Json::new(&errors)?) };
        self.connection
            .prepare_cached(include_str!("../sql/end_run.sql"))
            .and_then(|mut update| {
                update.execute(params![
                    row.seq,
                    next.state.as_str(),
                    self.now.0,
                    stored_rank(next.state, row.limit_key.as_deref(), rank),
                    next.run_at.0,
                    next.attempt,
                    next.interruptions,
                    next.crashes,
                    errors.as_ref().map(Json::as_str),
                    is_finished.then_some(self.now.0),
                    row.last_event + 1,
                    next.token == Token::Kept,
                    kept_from.map(|at| at.0),
                    next.cancel_reason.map(CancelReason::as_str),
                ])
            })
            .map_err(&fault)?;
        if let Some(waits_for) = &next.waits_for {
            self.begin_wait(row.seq, waits_for, next.wakes_at, None).map_err(&fault)?;
        }
        let (seq, version, cost, held) = (row.seq, row.version, row.cost, row.held);
        let keys = row.limit_key.as_deref().or(held.map(|_| ""));
        let keyed = keys.map(|keys| Keyed { keys, seq, version, rank, cost, held });
        let change = Change {
            from: Some(from),
            to: Some(next.state),
            since: row.started_at.filter(|_| from == State::Running),
            error: error.as_deref(),
            ..self.change(id, &row.kind, &row.queue, next.attempt)
        };
        self.moved(seq, &change, keyed.as_ref()).map_err(fault)?;
        if is_finished {
            self.ended(row.seq, row.batch, next.state);
        }
        self.notes.changed.push(id.clone());
        Ok(())
    }
}
