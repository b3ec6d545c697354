use longhaul::Result;

use super::write_tx::WriteTx;
use crate::error::fault;

/// Queues that are paused.
impl WriteTx<'_> {
    /// Keeps a queue's jobs from being claimed.
    pub(crate) fn pause_queue(&mut self, queue: &str) -> Result<()> {
        let pause = "INSERT OR IGNORE INTO paused_queues (queue) VALUES (?1)";
        let paused = self.connection.prepare_cached(pause).and_then(|mut pause| pause.execute([queue]));
        paused.map_err(fault("pause a queue"))?;
        self.has_paused_queues = true;
        Ok(())
    }

    /// Gives a queue's jobs to claims again, and wakes those that wait.
    pub(crate) fn resume_queue(&mut self, queue: &str) -> Result<()> {
        let resume = "DELETE FROM paused_queues WHERE queue = ?1";
        let resumed = self.connection.prepare_cached(resume).and_then(|mut resume| resume.execute([queue]));
        if resumed.map_err(fault("resume a queue"))? > 0 {
            self.notes.make_available(queue);
        }
        Ok(())
    }

    /// True where no claim is given jobs of a queue. Costs nothing where no queue is paused.
    pub(super) fn is_paused(&self, queue: &str) -> Result<bool> {
        if !self.has_paused_queues {
            return Ok(false);
        }
        self.connection
            .prepare_cached(include_str!("../sql/pause_of_queue.sql"))
            .and_then(|mut find| find.exists([queue]))
            .map_err(fault("look for a paused queue"))
    }
}
