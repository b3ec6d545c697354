//! Waits of blocked jobs: their begin and their end.

use std::time::Duration;

use longhaul::{JobId, Json, Outcome, Result, Signalled, State, Timestamp, WaitsFor, lifecycle};

use crate::record::Run;
use crate::target::Target;
use crate::write_tx::WriteTx;

/// A blocked job that goes on, or waits for its children instead.
pub(crate) struct Unblocked {
    pub(crate) target: Target,
    pub(crate) state: State,
    pub(crate) run_at: Timestamp,
}

impl WriteTx<'_> {
    /// Lets blocked jobs go on.
    pub(crate) async fn unblock(&mut self, jobs: &[Unblocked]) -> Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        let (mut seqs, mut states, mut run_ats, mut ranks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for Unblocked { target, state, run_at } in jobs {
            seqs.push(target.seq);
            states.push(state.as_str());
            run_ats.push(run_at.0);
            ranks.push(lifecycle::rank(*run_at, target.priority));
        }
        let sql = include_str!("sql/unblock_jobs.sql");
        self.rows("end a wait", sql, &[&self.now.0, &seqs, &states, &run_ats, &ranks]).await?;
        for Unblocked { target, state, .. } in jobs {
            if *state != State::Blocked {
                self.moved(target.change(Some(*state), self.now));
            }
            self.effects.changed.push(target.id.clone());
            self.touched.insert(target.seq);
        }
        Ok(())
    }

    /// The outcome of a run that wants to wait: where what it would wait for has come, it goes on at once.
    pub(crate) async fn awaits(&self, run: &Run, outcome: Outcome) -> Result<Outcome> {
        let Outcome::Waits { on, .. } = &outcome else { return Ok(outcome) };
        let has_come = match on {
            WaitsFor::Signal(_) => match on.signal_step() {
                Some(step) => self.has_step(run.seq, &step).await?,
                None => false,
            },
            WaitsFor::Children => {
                self.children_of_run(run.seq).await?.is_none_or(|children| children.unfinished() == 0)
            }
            WaitsFor::Dependencies | WaitsFor::Person => false,
        };
        Ok(if has_come { Outcome::Snoozed { delay: Duration::ZERO } } else { outcome })
    }

    pub(crate) async fn has_step(&self, seq: i64, name: &str) -> Result<bool> {
        let rows = self.rows("look a step up", include_str!("sql/has_step.sql"), &[&seq, &name]).await?;
        Ok(!rows.is_empty())
    }

    /// Gives a job a signal. The first of a name stays, and lets a job go on that waits for it.
    pub(crate) async fn signal(&mut self, id: &JobId, name: &str, output: &Json) -> Result<Signalled> {
        let awaited = WaitsFor::Signal(name.to_owned());
        // Held: a run that begins to wait for the signal meanwhile looks for it afterwards.
        let sql = include_str!("sql/job_for_signal.sql");
        let rows = self.rows("look a job up", sql, &[&id.as_str()]).await?;
        let (Some(row), Some(step)) = (rows.first(), awaited.signal_step()) else {
            return Ok(Signalled::Unknown);
        };
        let target = Target::read_with_wait(row);
        if target.state.is_finished() {
            return Ok(Signalled::Ended);
        }
        let sql = include_str!("sql/add_signal.sql");
        let (attempt, now) = (i64::from(target.attempt), self.now.0);
        let added =
            self.rows("keep a signal", sql, &[&target.seq, &step, &output.as_str(), &attempt, &now]).await?;
        if added.is_empty() {
            return Ok(Signalled::Sent);
        }
        if target.waits_for.as_ref() == Some(&awaited) {
            let go_on = Unblocked { target, state: State::Available, run_at: self.now };
            self.unblock(std::slice::from_ref(&go_on)).await?;
        }
        Ok(Signalled::Accepted)
    }
}
