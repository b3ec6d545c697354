use longhaul::lifecycle;
use longhaul::{CancelReason, Change, NewJob, STOP_GRACE, State, Timestamp};
use rusqlite::params;

use super::groups::Keyed;
use super::keys::KeyHolder;
use super::write_tx::WriteTx;
use crate::limit_key::stored_rank;

/// The effects of a new job on the holder of its unique key.
impl WriteTx<'_> {
    /// Gives the waiting holder the args and the version of a new job, and a new state and time.
    pub(super) fn replace(
        &mut self,
        holder: &KeyHolder,
        job: &NewJob,
        state: State,
        run_at: Timestamp,
    ) -> rusqlite::Result<()> {
        let Some(found) = self.job(holder.seq)? else { return Ok(()) };
        let old = found.target;
        self.connection.prepare_cached("DELETE FROM steps WHERE job = ?1")?.execute([old.seq])?;
        let rank = lifecycle::rank(run_at, old.priority);
        self.connection.prepare_cached(include_str!("../sql/replace_job.sql"))?.execute(params![
            old.seq,
            self.now.0,
            state.as_str(),
            run_at.0,
            stored_rank(state, old.limit_key.as_deref(), rank),
            job.version,
            job.args.as_str(),
        ])?;
        let change = self.change(&found.id, &old.kind, &old.queue, old.attempt);
        let change = Change { from: Some(old.state), to: Some(state), ..change };
        let before = old.keyed(lifecycle::rank(old.run_at, old.priority));
        let after = before.map(|before| Keyed { version: job.version, rank, ..before });
        match (old.state, state) {
            (State::Available, State::Available) => {
                if let (Some(before), Some(after)) = (&before, &after) {
                    self.depart(&change, before)?;
                    self.arrive(&change, after)?;
                }
                self.notes.make_available(&old.queue);
            }
            (from, to) if from == to => self.notes.scheduled = true,
            (State::Available, _) => self.moved(old.seq, &change, before.as_ref())?,
            _ => self.moved(old.seq, &change, after.as_ref())?,
        }
        self.notes.changed.push(found.id);
        Ok(())
    }

    /// Lets the holder make way for a new job: one that waits ends, and one that runs is asked to stop.
    pub(super) fn supersede(&mut self, holder: &KeyHolder) -> rusqlite::Result<()> {
        let Some(found) = self.job(holder.seq)? else { return Ok(()) };
        let reason = CancelReason::Superseded;
        match found.target.state {
            State::Running => drop(self.ask_to_stop(&found.target, STOP_GRACE, reason)?),
            _ => self.cancel_waiting(&found.id, &found.target, reason)?,
        }
        self.notes.changed.push(found.id);
        Ok(())
    }
}
