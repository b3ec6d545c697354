use longhaul::{
    AttemptError, ErrorKind, Finish, Json, KEPT_ERRORS, Lease, LeaseStatus, NewJob, Outcome, Result, State,
    Timestamp,
};
use rusqlite::{OptionalExtension, params};

use super::Batch;
use super::batch::rank;
use super::record::Run;
use crate::error::fault;
use crate::row::signed;

/// How a run ends other than by completion.
pub(super) struct End {
    pub(super) state: State,
    pub(super) run_at: Timestamp,
    pub(super) attempt: u32,
    pub(super) interruptions: u32,
    pub(super) crashes: u32,
    pub(super) error: Option<AttemptError>,
}

impl Batch<'_> {
    /// Ends runs; each stands alone but for faults.
    pub(crate) fn finish(&mut self, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(finishes.len());
        for finish in finishes {
            statuses.push(self.finish_one(finish)?);
            self.settle()?;
        }
        Ok(statuses)
    }

    fn finish_one(&mut self, finish: Finish) -> Result<LeaseStatus> {
        let Finish { lease, outcome, entries, follow_ups } = finish;
        if let Outcome::Completed { output } = outcome {
            if !entries.is_empty() {
                let Some(mut run) = self.find_lease(&lease)? else { return Ok(LeaseStatus::Lost) };
                self.append(&mut run, &entries).map_err(fault("record"))?;
            }
            return self.complete(lease, &output, follow_ups);
        }
        let Some(mut run) = self.find_lease(&lease)? else { return Ok(LeaseStatus::Lost) };
        if !entries.is_empty() {
            self.append(&mut run, &entries).map_err(fault("record"))?;
        }
        let status = held(run.cancel_by);
        let outcome = self.pause_key(&run, outcome)?;
        let end = end(&run, outcome, self.now);
        self.end_run(&lease, run, end)?;
        Ok(status)
    }

    /// Pauses the limit key of a run that came to its limit; for the run itself this is a snooze until the pause ends.
    fn pause_key(&self, run: &Run, outcome: Outcome) -> Result<Outcome> {
        match (outcome, &run.limit_key) {
            (Outcome::RateLimited { delay }, Some(key)) => {
                let until = self.pause(key, self.now.plus(delay)).map_err(fault("pause a limit key"))?;
                Ok(Outcome::Snoozed { delay: until.since(self.now) })
            }
            (outcome, _) => Ok(outcome),
        }
    }

    fn complete(&mut self, lease: Lease, output: &Json, follow_ups: Vec<NewJob>) -> Result<LeaseStatus> {
        let fault = fault("complete");
        if let Some(leased) = self.recall(signed(lease.token)) {
            let done = self
                .hot
                .complete_leased
                .execute(params![leased.seq, signed(lease.token), self.now.0, output.as_str()])
                .map_err(&fault)?;
            if done > 0 {
                return self.completed(lease, &leased.queue, None, follow_ups, LeaseStatus::Held);
            }
        }
        type Job = (i64, String, Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let job: Option<Job> = self
            .hot
            .completable
            .query_row(params![lease.id.as_str(), signed(lease.token)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })
            .optional()
            .map_err(&fault)?;
        let Some((seq, queue, key, period, cancel_by, batch)) = job else { return Ok(LeaseStatus::Lost) };
        let kept_from = self.now.0.saturating_add(period.unwrap_or(0));
        self.hot.complete.execute(params![seq, self.now.0, output.as_str(), kept_from]).map_err(&fault)?;
        match (key, period) {
            (Some(key), Some(period)) => self.expire_unique_key(&key, seq, period).map_err(&fault)?,
            (Some(key), None) => self.free_unique_key(&key, seq).map_err(&fault)?,
            (None, _) => {}
        }
        self.completed(lease, &queue, batch, follow_ups, held(cancel_by))
    }

    fn completed(
        &mut self,
        lease: Lease,
        queue: &str,
        batch: Option<i64>,
        follow_ups: Vec<NewJob>,
        status: LeaseStatus,
    ) -> Result<LeaseStatus> {
        self.moved(queue, Some(State::Running), Some(State::Completed));
        self.changed.push(lease.id);
        for job in follow_ups {
            // One by one: a follow-up that is there already, or whose key is another's, keeps no other back.
            self.enqueue_without_freeing(vec![job])?;
        }
        self.free_childless()?;
        self.child_ended(batch, State::Completed);
        Ok(status)
    }

    /// Ends a run other than by completion: by its worker's word, a rescue, or the end of a cancel's grace.
    pub(super) fn end_run(&mut self, lease: &Lease, run: Run, end: End) -> Result<()> {
        let fault = fault("end a run");
        let finished = end.state.is_finished();
        if finished && let Some(key) = &run.unique_key {
            self.free_unique_key(key, run.seq).map_err(&fault)?;
        }
        let errors = match end.error {
            Some(error) => Some(with_error(run.errors.as_deref(), error)?),
            None => run.errors,
        };
        self.connection
            .prepare_cached(include_str!("../sql/end_run.sql"))
            .and_then(|mut update| {
                update.execute(params![
                    run.seq,
                    end.state.as_str(),
                    self.now.0,
                    rank(end.run_at, run.priority),
                    end.run_at.0,
                    end.attempt,
                    end.interruptions,
                    end.crashes,
                    errors,
                    finished.then_some(self.now.0),
                    run.last_event + 1,
                ])
            })
            .map_err(fault)?;
        self.moved(&run.queue, Some(State::Running), Some(end.state));
        if finished {
            self.child_ended(run.batch, end.state);
        }
        self.changed.push(lease.id.clone());
        Ok(())
    }
}

/// The status of a lease that was the current one.
pub(super) fn held(cancel_by: Option<i64>) -> LeaseStatus {
    if cancel_by.is_some() { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
}

/// What an outcome means for a run. A job that was asked to stop does not run again.
fn end(run: &Run, outcome: Outcome, now: Timestamp) -> End {
    let stamped = |error: AttemptError| Some(AttemptError { attempt: run.attempt, at: now, ..error });
    let mut end = unchanged(run);
    match outcome {
        // Completion has its own way, which also knows of follow-ups.
        Outcome::Completed { .. } => end.state = State::Completed,
        Outcome::Failed { error } => {
            end.state = State::Failed;
            end.error = stamped(error);
        }
        Outcome::Cancelled { reason } => {
            end.state = State::Cancelled;
            end.error = stamped(AttemptError::new(ErrorKind::Cancelled, reason));
        }
        Outcome::Retry { error, delay } => {
            end.error = stamped(error);
            end.run_at = now.plus(delay);
        }
        Outcome::Snoozed { delay } | Outcome::RateLimited { delay } => {
            end.attempt = run.attempt.saturating_sub(1);
            end.run_at = now.plus(delay);
        }
        Outcome::Released => {
            end.state = State::Available;
            end.attempt = run.attempt.saturating_sub(1);
            end.interruptions += 1;
        }
    }
    if !end.state.is_finished() && run.cancel_by.is_some() {
        let error = end.error.or_else(|| stamped(AttemptError::cancelled()));
        return End { state: State::Cancelled, error, ..unchanged(run) };
    }
    if end.state == State::Scheduled && end.run_at <= now {
        end.state = State::Available;
    }
    end
}

/// The end of a run that changes nothing but that it waits again.
pub(super) fn unchanged(run: &Run) -> End {
    End {
        state: State::Scheduled,
        run_at: Timestamp(run.run_at),
        attempt: run.attempt,
        interruptions: run.interruptions,
        crashes: run.crashes,
        error: None,
    }
}

/// A job's errors and one more, as JSON; the oldest beyond the last twenty are dropped.
fn with_error(errors: Option<&str>, error: AttemptError) -> Result<String> {
    // A column that cannot be read was written by no version of this: better to lose it than the new error.
    let mut errors: Vec<AttemptError> =
        errors.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    errors.push(error);
    let surplus = errors.len().saturating_sub(KEPT_ERRORS);
    errors.drain(..surplus);
    Ok(Json::new(&errors)?.as_str().to_owned())
}
