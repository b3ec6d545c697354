use super::index::Index;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle;
use crate::model::{CancelReason, Keep, Retention, State, Swept};
use crate::store::{AWAITED_FOR, STOP_GRACE, WORKER_SEEN_FOR};

impl Table {
    pub(super) fn sweep(&mut self, limit: usize, now: Timestamp) -> Swept {
        let expired = self.end_waiting(limit, now);
        let mut swept = Swept { expired, promoted: self.promote(limit, now), ..Swept::default() };
        for seq in Index::due(&self.index.running, now, limit) {
            let rescue = |row: &mut Row| {
                row.go_on(lifecycle::crash(&row.run(), now), now);
                row.record.state
            };
            match self.change(seq, now, rescue) {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                _ => swept.fenced += 1,
            }
        }
        for seq in Index::due(&self.index.deadlines, now, usize::MAX) {
            if swept.expired == expired + limit as u64 {
                break;
            }
            let asked = self.change(seq, now, |row| row.ask_to_stop(STOP_GRACE, CancelReason::Deadline, now));
            swept.expired += u64::from(asked == Some(true));
        }
        for seq in Index::due(&self.index.stopping, now, limit) {
            self.change(seq, now, |row| row.go_on(lifecycle::fence(&row.run(), now), now));
            swept.fenced += 1;
        }
        self.settle(now);
        self.limits.forget(now);
        self.queue_limits.forget(now);
        swept.pruned = self.prune(limit, now);
        self.keys.throw_away(limit, now);
        self.samples.forget(now);
        self.workers.retain(|_, worker| worker.seen_at.plus(WORKER_SEEN_FOR) > now);
        swept
    }

    /// Cancels at most `limit` waiting jobs whose time is over.
    fn end_waiting(&mut self, limit: usize, now: Timestamp) -> u64 {
        let due = Index::due(&self.index.ending, now, limit);
        for seq in &due {
            self.change(*seq, now, |row| {
                let reason = row.times().over(row.record.started_at, now).unwrap_or_default();
                row.cancel(reason, now);
            });
        }
        // The last child to end may free a closing job, which is promoted with the others.
        self.settle(now);
        due.len() as u64
    }

    /// Removes at most `limit` jobs that have ended and are not kept any more, or passes over them for a while.
    fn prune(&mut self, limit: usize, now: Timestamp) -> u64 {
        let mut doomed = Vec::new();
        for ((queue, state), jobs) in &self.index.finished {
            let keep = self.keep(queue, *state);
            // A job whose key is held is the answer that others will be given: it stays, and does not count.
            let free = jobs.range(..=(now, u64::MAX));
            let excess = keep.count.map_or(0, |newest| {
                // The held ones are counted, because they are few and the history is long.
                let held = jobs.range((now, u64::MAX)..).count();
                (jobs.len() - held).saturating_sub(usize::try_from(newest).unwrap_or(usize::MAX))
            });
            let too_old = keep.age.map_or(Timestamp(i64::MIN), |age| now.minus(age));
            let too_many = free.enumerate();
            let too_many = too_many.take_while(|(n, (kept_from, _))| *n < excess || *kept_from <= too_old);
            let free = too_many.map(|(_, (_, seq))| *seq);
            doomed.extend(free.take(limit - doomed.len()));
        }
        let mut pruned = 0;
        for seq in doomed {
            if self.is_awaited(seq) {
                self.change(seq, now, |row| row.passed_over_until = Some(now.plus(AWAITED_FOR)));
            } else {
                self.remove(seq, now);
                pruned += 1;
            }
        }
        pruned
    }

    fn keep(&self, queue: &str, state: State) -> Keep {
        let retention = self.configs.get(queue).map_or_else(Retention::default, |c| c.retention.clone());
        match state {
            State::Completed => retention.completed,
            State::Failed => retention.failed,
            _ => retention.cancelled,
        }
    }
}
