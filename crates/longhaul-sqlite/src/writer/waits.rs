use longhaul::lifecycle;
use longhaul::{Change, Cost, JobId, Json, Outcome, Result, Signalled, State, Timestamp, WaitsFor};
use rusqlite::{OptionalExtension, params};

use super::act::Target;
use super::ends::Found;
use super::groups::Keyed;
use super::write_tx::WriteTx;
use crate::error::fault;
use crate::limit_key::stored_rank;
use crate::row::Columns;

/// A job that may be blocked, as far as the end of its wait must know it.
pub(super) struct Blocked {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) kind: String,
    pub(super) queue: String,
    pub(super) priority: i32,
    pub(super) attempt: u32,
    pub(super) run_at: Timestamp,
    pub(super) limit_key: Option<String>,
    pub(super) version: u32,
    pub(super) cost: Cost,
}

impl From<Found> for Blocked {
    fn from(found: Found) -> Self {
        let Target { seq, queue, priority, kind, attempt, run_at, limit_key, version, cost, .. } =
            found.target;
        Self { seq, id: found.id, kind, queue, priority, attempt, run_at, limit_key, version, cost }
    }
}

/// Waits of blocked jobs: their begin and their end.
impl WriteTx<'_> {
    /// Notes the event that a newly blocked job waits for.
    pub(super) fn begin_wait(
        &mut self,
        seq: i64,
        waits_for: &WaitsFor,
        wakes_at: Option<Timestamp>,
        dependencies_left: Option<usize>,
    ) -> rusqlite::Result<()> {
        self.connection.prepare_cached(include_str!("../sql/begin_wait.sql"))?.execute(params![
            seq,
            waits_for.to_string(),
            wakes_at.map(|at| at.0),
            dependencies_left.map(|left| left as i64),
        ])?;
        // It may be the next that falls due.
        self.notes.scheduled |= wakes_at.is_some();
        self.has_wakes |= wakes_at.is_some();
        Ok(())
    }

    /// Forgets what a job waited for.
    pub(super) fn end_wait(&self, seq: i64) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM waits WHERE job = ?1")?.execute([seq])?;
        Ok(())
    }

    /// Lets a blocked job go on, or wait for its children.
    pub(super) fn unblock(&mut self, job: &Blocked, state: State, run_at: Timestamp) -> rusqlite::Result<()> {
        self.end_wait(job.seq)?;
        let rank = lifecycle::rank(run_at, job.priority);
        self.connection.prepare_cached(include_str!("../sql/unblock_job.sql"))?.execute(params![
            job.seq,
            self.now.0,
            state.as_str(),
            run_at.0,
            stored_rank(state, job.limit_key.as_deref(), rank),
        ])?;
        if state != State::Blocked {
            let (seq, version, cost) = (job.seq, job.version, job.cost);
            let keyed = job.limit_key.as_deref();
            let keyed = keyed.map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
            let change = self.change(&job.id, &job.kind, &job.queue, job.attempt);
            let change = Change { from: Some(State::Blocked), to: Some(state), ..change };
            self.moved(seq, &change, keyed.as_ref())?;
        }
        self.notes.changed.push(job.id.clone());
        Ok(())
    }

    /// Lets jobs go on whose wait is over; at most `limit`. Answers how many.
    pub(super) fn wake_due(&mut self, limit: i64) -> rusqlite::Result<u64> {
        if !self.has_wakes {
            return Ok(0);
        }
        let due: Vec<i64> = self
            .connection
            .prepare_cached(include_str!("../sql/waits_that_end.sql"))?
            .query_map(params![self.now.0, limit], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut woken = 0;
        for seq in due {
            match self.job(seq)? {
                Some(found) if found.target.state == State::Blocked => {
                    let job = Blocked::from(found);
                    // Its position counts from the timeout of the wait, not from its discovery.
                    self.unblock(&job, State::Available, job.run_at)?;
                    woken += 1;
                }
                // A process of an earlier release has ended it.
                _ => self.end_wait(seq)?,
            }
        }
        Ok(woken)
    }

    /// The outcome of a run that wants to wait: where what it would wait for has come, it goes on at once.
    pub(super) fn awaits(&self, seq: i64, outcome: &Outcome) -> rusqlite::Result<Option<Outcome>> {
        let Outcome::Waits { on, .. } = outcome else { return Ok(None) };
        let has_come = match on {
            WaitsFor::Signal(_) => match on.signal_step() {
                Some(step) => self.has_step(seq, &step)?,
                None => false,
            },
            WaitsFor::Children => self.children(seq)?.is_none_or(|children| children.unfinished() == 0),
            WaitsFor::Dependencies | WaitsFor::Person => false,
        };
        Ok(has_come.then_some(Outcome::Snoozed { delay: std::time::Duration::ZERO }))
    }

    pub(super) fn has_step(&self, seq: i64, name: &str) -> rusqlite::Result<bool> {
        let find = "SELECT 1 FROM steps WHERE job = ?1 AND name = ?2";
        self.connection.prepare_cached(find)?.exists(params![seq, name])
    }

    /// Gives a job a signal. The first of a name stays, and lets a job go on that waits for it.
    pub(crate) fn signal(&mut self, id: &JobId, name: &str, output: &Json) -> Result<Signalled> {
        self.signal_job(id, WaitsFor::Signal(name.to_owned()), output).map_err(fault("send a signal"))
    }

    fn signal_job(&mut self, id: &JobId, awaited: WaitsFor, output: &Json) -> rusqlite::Result<Signalled> {
        let found = self
            .connection
            .prepare_cached(include_str!("../sql/job_for_signal.sql"))?
            .query_row([id.as_str()], |row| {
                let mut columns = Columns::new(row);
                let (seq, state): (i64, _) = (columns.next(), columns.state());
                let (attempt, steps): (u32, i64) = (columns.next(), columns.next());
                Ok((seq, state, attempt, steps, columns.word::<WaitsFor>()))
            })
            .optional()?;
        let (Some((seq, state, attempt, steps, waits_for)), Some(step)) = (found, awaited.signal_step())
        else {
            return Ok(Signalled::Unknown);
        };
        if state.is_finished() {
            return Ok(Signalled::Ended);
        }
        let (now, took) = (self.now.0, 0);
        let added = self
            .connection
            .prepare_cached(include_str!("../sql/insert_step.sql"))?
            .execute(params![seq, step, output.as_str(), attempt, now, took, steps + 1])?;
        if added == 0 {
            return Ok(Signalled::Sent);
        }
        self.connection.prepare_cached("UPDATE jobs SET steps = steps + 1 WHERE seq = ?1")?.execute([seq])?;
        if state == State::Blocked
            && waits_for == Some(awaited)
            && let Some(found) = self.job(seq)?
        {
            self.unblock(&found.into(), State::Available, self.now)?;
        }
        Ok(Signalled::Accepted)
    }
}
