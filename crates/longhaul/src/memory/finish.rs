use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::model::{AttemptError, Entry, ErrorKind, Finish, Lease, LeaseStatus, Outcome, Record, State};

impl Table {
    pub(super) fn finish(&mut self, finishes: Vec<Finish>, now: Timestamp) -> Vec<LeaseStatus> {
        finishes.into_iter().map(|f| self.finish_one(f, now).unwrap_or(LeaseStatus::Lost)).collect()
    }

    fn finish_one(&mut self, finish: Finish, now: Timestamp) -> Option<LeaseStatus> {
        let seq = self.leased(&finish.lease)?;
        let outcome = self.pause(seq, finish.outcome, now);
        let status = self.change(seq, now, |row| {
            let status = row.lease_status();
            row.add_entries(finish.entries, now);
            row.end_run(outcome, now);
            status
        });
        // The unique key is settled by now, so that a job may be followed by one of its own key.
        if self.rows.get(&seq).is_some_and(|row| row.record.state == State::Completed) {
            self.follow_up(finish.follow_ups, now);
        }
        self.settle(now);
        status
    }

    /// Pauses the limit key of a run that came to its limit; for the run itself this is a snooze until the pause ends,
    /// which another run may have set further off.
    fn pause(&mut self, seq: u64, outcome: Outcome, now: Timestamp) -> Outcome {
        let Outcome::RateLimited { delay } = outcome else { return outcome };
        let key = self.rows.get(&seq).and_then(|row| row.record.limit_key.clone());
        let Some(key) = key else { return Outcome::Snoozed { delay } };
        let until = self.pauses.entry(key).or_default();
        *until = now.plus(delay).max(*until);
        Outcome::Snoozed { delay: until.since(now) }
    }

    pub(super) fn record(&mut self, records: Vec<Record>, now: Timestamp) -> Vec<LeaseStatus> {
        let mut record = |lease: &Lease, entries: Vec<Entry>| {
            let seq = self.leased(lease)?;
            self.change(seq, now, |row| {
                row.add_entries(entries, now);
                row.lease_status()
            })
        };
        records.into_iter().map(|r| record(&r.lease, r.entries).unwrap_or(LeaseStatus::Lost)).collect()
    }
}

impl Row {
    /// Applies the outcome of a run. Whoever was asked to stop and would run again is cancelled instead.
    fn end_run(&mut self, outcome: Outcome, now: Timestamp) {
        let is_to_stop = self.record.cancel_requested;
        match outcome {
            Outcome::Completed { output } => {
                self.record.output = Some(output);
                // A completed job that is retried by hand begins from nothing.
                self.steps.clear();
                self.enter(State::Completed, now);
            }
            Outcome::Failed { error } => {
                self.keep_error(error, now);
                self.enter(State::Failed, now);
            }
            Outcome::Cancelled { reason } => {
                self.cancel(AttemptError::new(ErrorKind::Cancelled, reason), now)
            }
            Outcome::Retry { error, delay } => {
                self.keep_error(error, now);
                if is_to_stop {
                    self.enter(State::Cancelled, now);
                } else {
                    self.wait_until(now.plus(delay), now);
                }
            }
            Outcome::Snoozed { .. } | Outcome::RateLimited { .. } | Outcome::Released if is_to_stop => {
                self.cancel(AttemptError::cancelled(), now);
            }
            Outcome::Snoozed { delay } | Outcome::RateLimited { delay } => {
                self.give_attempt_back();
                self.wait_until(now.plus(delay), now);
            }
            Outcome::Released => {
                self.give_attempt_back();
                self.record.interruptions += 1;
                // It keeps its `run_at`, and with it its place: what was begun goes before what was not.
                self.enter(State::Available, now);
            }
        }
    }
}
