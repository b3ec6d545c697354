use longhaul::lifecycle::{self, Times};
use longhaul::{JobId, Result, STOP_GRACE, State, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::act::{Target, read_target};
use super::claim::MOVED_AT_ONCE;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::extra_fields::ExtraFields;
use crate::row::Columns;

/// A job that something happens to because of another, or because of the time.
pub(super) struct Found {
    pub(super) id: JobId,
    times: Times,
    started_at: Option<Timestamp>,
    pub(super) target: Target,
}

/// The jobs that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Those that wait, and those that an earlier release has ended.
    OfWaiting,
    /// Those that run.
    OfRunning,
}

/// Expiries and deadlines: a sweep checks a job at its `ends_at`.
impl WriteTx<'_> {
    /// A job, wherever it stands.
    pub(super) fn job(&self, seq: i64) -> rusqlite::Result<Option<Found>> {
        self.connection
            .prepare_cached(include_str!("../sql/job_by_seq.sql"))?
            .query_row([seq], |row| {
                let mut columns = Columns::new(row);
                let (id, started_at) = (columns.id(), columns.optional_time());
                let extra: ExtraFields = columns.parsed().unwrap_or_default();
                // A claim that was taken back leaves no start, and no token of its own.
                let started_at = started_at.or(extra.first_token.map(Timestamp));
                Ok(Found { id, times: extra.times(), started_at, target: read_target(&mut columns) })
            })
            .optional()
    }

    /// Notes when to look at a new job because its time may be over.
    pub(super) fn note_end(&self, seq: i64, ends_at: Option<Timestamp>) -> rusqlite::Result<()> {
        let note = "UPDATE jobs SET ends_at = ?2 WHERE seq = ?1";
        self.connection.prepare_cached(note)?.execute(params![seq, ends_at.map(|at| at.0)])?;
        Ok(())
    }

    /// Notes that a job has been started, which does not expire any more. Answers its times.
    pub(super) fn start_times(&self, seq: i64, token: i64) -> rusqlite::Result<Times> {
        let sql = include_str!("../sql/start_times.sql");
        let mut start = self.connection.prepare_cached(sql)?;
        start.query_row(params![seq, token], |row| {
            Ok(Columns::new(row).parsed::<ExtraFields>().unwrap_or_default().times())
        })
    }

    /// Cancels jobs whose time is over, and asks those that run to stop; at most `limit`. Answers how many.
    pub(super) fn end_by_time(&mut self, ends: Ends, limit: i64) -> Result<u64> {
        let values = params![self.now.0, ends == Ends::OfRunning, limit];
        let due: Vec<i64> = self
            .connection
            .prepare_cached(include_str!("../sql/jobs_that_end.sql"))
            .and_then(|mut find| find.query_map(values, |row| row.get(0))?.collect())
            .map_err(fault("look for jobs whose time is over"))?;
        let (mut ended, isolation) = (0, self.isolation);
        for seq in due {
            // A job of which it fails is left for the next sweep, and keeps no other back.
            match self.run_isolated(isolation, |tx| tx.end_if_over(seq))? {
                Ok(is_over) => ended += u64::from(is_over),
                Err(error) => tracing::error!(job = seq, "{error}"),
            }
        }
        // Once all have ended: a closing job whose time is over is not let go by the end of its last child.
        self.settle()?;
        Ok(ended)
    }

    /// Lets groups stand where their next job is, of which the time of the first is over. Those jobs are left to a sweep, but
    /// where they are very many.
    pub(super) fn pass_over_ended(&mut self) -> Result<()> {
        let fault = fault("pass over jobs whose time is over");
        let over: Vec<i64> = self
            .connection
            .prepare_cached(include_str!("../sql/keyed_jobs_that_end.sql"))
            .and_then(|mut find| {
                find.query_map(params![self.now.0, MOVED_AT_ONCE as i64], |row| row.get(0))?.collect()
            })
            .map_err(&fault)?;
        if over.len() == MOVED_AT_ONCE {
            self.notes.stopped_early = true;
            self.end_by_time(Ends::OfWaiting, MOVED_AT_ONCE as i64)?;
            return Ok(());
        }
        for seq in over {
            if let Some(Found { id, target, .. }) = self.job(seq).map_err(&fault)?
                && let Some(job) = target.keyed(lifecycle::rank(target.run_at, target.priority))
            {
                let change = self.change(&id, &target.kind, &target.queue, target.attempt);
                self.pass_over(&change, &job).map_err(&fault)?;
            }
        }
        Ok(())
    }

    /// A job that claims have passed over may be taken after all.
    fn claimable_again(&mut self, id: &JobId, target: &Target) -> rusqlite::Result<()> {
        if target.state != State::Available {
            return Ok(());
        }
        self.notes.make_available(&target.queue);
        match target.keyed(lifecycle::rank(target.run_at, target.priority)) {
            Some(job) => self.arrive(&self.change(id, &target.kind, &target.queue, target.attempt), &job),
            None => Ok(()),
        }
    }

    /// Cancels a job whose time is over, or asks it to stop; where it is not, notes when to look at it again.
    fn end_if_over(&mut self, seq: i64) -> Result<bool> {
        let fault = fault("end a job whose time is over");
        let Some(Found { id, times, started_at, target }) = self.job(seq).map_err(&fault)? else {
            return Ok(false);
        };
        let is_over = match times.over(started_at, self.now).filter(|_| !target.state.is_finished()) {
            None => {
                // A process of an earlier release has started the job, or has ended it.
                let next = times.ends_at(started_at).filter(|_| !target.state.is_finished());
                self.note_end(seq, next).and_then(|()| self.claimable_again(&id, &target)).map_err(&fault)?;
                return Ok(false);
            }
            Some(reason) if target.state == State::Running => {
                self.note_end(seq, None).map_err(&fault)?;
                self.ask_to_stop(&target, STOP_GRACE, reason).map_err(&fault)?
            }
            Some(reason) => {
                self.cancel_waiting(&id, &target, reason).map_err(&fault)?;
                true
            }
        };
        self.notes.changed.push(id);
        Ok(is_over)
    }
}
