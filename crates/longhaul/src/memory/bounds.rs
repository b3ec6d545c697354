use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::waiting::{self, Admission, Bound};
use crate::model::{CancelReason, Full, NewJob};

/// Bounds on waiting jobs.
impl Table {
    /// Decides on a new job that is to wait; with the owners of its bounds, in the order of the bounds.
    pub(super) fn admission(&self, job: &NewJob) -> (Admission, Vec<Full>) {
        let (of, bounds): (Vec<Full>, Vec<Bound>) = self.bounds(job).unzip();
        (waiting::admission(&bounds), of)
    }

    /// Cancels the oldest waiting job of each bound of a new job that is full.
    pub(super) fn drop_oldest(&mut self, job: &NewJob, now: Timestamp) {
        let bounds: Vec<Full> = self.bounds(job).map(|(of, _)| of).collect();
        for of in bounds {
            let is_full = self.bounds(job).any(|(other, bound)| other == of && bound.is_full());
            let oldest = match &of {
                Full::Queue(queue) => self.rows.values().find(|row| row.waits_in(queue)).map(|row| row.seq),
                Full::Key(key) => self.index.backlog_of_key(key).first().copied(),
            };
            if let Some(oldest) = oldest.filter(|_| is_full) {
                self.change(oldest, now, |row| row.cancel(CancelReason::Dropped, now));
            }
        }
    }

    /// The bounds that hold for a job: of its queue and of its limit keys.
    fn bounds(&self, job: &NewJob) -> impl Iterator<Item = (Full, Bound)> {
        let keys = job.limit_keys.iter().cloned().map(Full::Key);
        let of = std::iter::once(Full::Queue(job.queue.to_string())).chain(keys);
        of.filter_map(|of| {
            let (max_waiting, on_full, waiting) = match &of {
                Full::Queue(queue) => {
                    let config = self.configs.get(queue)?;
                    (config.max_waiting?, config.on_full, self.index.backlog_of(queue))
                }
                Full::Key(key) => {
                    let config = self.limits.config(key);
                    (config.max_waiting?, config.on_full, self.index.backlog_of_key(key).len() as u64)
                }
            };
            Some((of, Bound { waiting, max_waiting, on_full }))
        })
    }
}

impl Row {
    /// True where it is one of the jobs that a queue's bound counts.
    fn waits_in(&self, queue: &str) -> bool {
        waiting::counts(self.record.state) && self.record.queue == queue
    }
}
