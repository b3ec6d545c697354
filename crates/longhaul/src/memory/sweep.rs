use super::index::Index;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::model::{AttemptError, ErrorKind, Keep, Retention, State, Swept};
use crate::store::WORKER_SEEN_FOR;

impl Table {
    pub(super) fn sweep(&mut self, limit: usize, now: Timestamp) -> Swept {
        let mut swept = Swept { promoted: self.promote(limit, now), ..Swept::default() };
        for seq in Index::due(&self.index.running, now, limit) {
            match self.change(seq, now, |row| rescue(row, now)) {
                Some(State::Available) => swept.rescued += 1,
                Some(State::Failed) => swept.poisoned += 1,
                _ => swept.fenced += 1,
            }
        }
        for seq in Index::due(&self.index.stopping, now, limit) {
            self.change(seq, now, |row| {
                row.token += 1;
                row.cancel("did not stop within its grace after it was asked to", now);
            });
            swept.fenced += 1;
        }
        swept.pruned = self.prune(limit, now);
        self.keys.throw_away(limit, now);
        self.workers.retain(|_, worker| worker.seen_at.plus(WORKER_SEEN_FOR) > now);
        swept
    }

    fn prune(&mut self, limit: usize, now: Timestamp) -> u64 {
        let mut doomed = Vec::new();
        for ((queue, state), jobs) in &self.index.finished {
            let keep = self.keep(queue, *state);
            let newest = keep.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
            let excess = jobs.len().saturating_sub(newest);
            let too_old = keep.age.map_or(Timestamp(i64::MIN), |age| now.minus(age));
            let too_many = jobs.iter().enumerate();
            let too_many = too_many.take_while(|(n, (ended_at, _))| *n < excess || *ended_at <= too_old);
            // A job whose key is held is the answer that others will be given, so it stays.
            let free = too_many.map(|(_, (_, seq))| *seq).filter(|seq| !self.holds_key(*seq, now));
            doomed.extend(free.take(limit - doomed.len()));
        }
        for seq in &doomed {
            self.remove(*seq, now);
        }
        doomed.len() as u64
    }

    fn keep(&self, queue: &str, state: State) -> Keep {
        let retention = self.configs.get(queue).map_or_else(Retention::default, |c| c.retention.clone());
        match state {
            State::Completed => retention.completed,
            State::Failed => retention.failed,
            _ => retention.cancelled,
        }
    }

    fn holds_key(&self, seq: u64, now: Timestamp) -> bool {
        self.rows.get(&seq).is_some_and(|row| self.keys.is_held_by(row, now))
    }
}

/// Takes a job from a worker that was not heard of in time, and says what became of it.
fn rescue(row: &mut Row, now: Timestamp) -> State {
    let silence = now.since(row.lease_until);
    let record = &mut row.record;
    record.crashes += 1;
    let is_poison = record.crashes > record.max_crashes;
    let mut message =
        format!("the worker was not heard of; its lease ended {:.1} s ago", silence.as_secs_f64());
    if is_poison {
        message = format!("{message}; failed as poison after {} crashes", record.crashes);
    }
    let is_to_stop = record.cancel_requested;
    row.keep_error(AttemptError::new(ErrorKind::Crash, message), now);
    row.give_attempt_back();
    if is_to_stop {
        row.enter(State::Cancelled, now);
    } else if is_poison {
        row.enter(State::Failed, now);
    } else {
        row.wait_until(now, now);
    }
    row.record.state
}
