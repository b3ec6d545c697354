use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle;
use std::time::Duration;

use crate::model::{
    Entry, Finish, JobId, Json, Lease, LeaseStatus, Outcome, Record, Signalled, State, WaitsFor,
};

impl Table {
    pub(super) fn finish(&mut self, finishes: Vec<Finish>, now: Timestamp) -> Vec<LeaseStatus> {
        finishes.into_iter().map(|f| self.finish_one(f, now).unwrap_or(LeaseStatus::Lost)).collect()
    }

    fn finish_one(&mut self, finish: Finish, now: Timestamp) -> Option<LeaseStatus> {
        if self.find(&finish.lease.id)?.was_ended_by(&finish.lease) {
            return Some(LeaseStatus::Held);
        }
        let seq = self.leased(&finish.lease)?;
        let outcome = self.pause(seq, finish.outcome, now);
        self.settle_cost(seq, finish.cost, now);
        let status = self.change(seq, now, |row| {
            let status = row.lease_status();
            row.add_entries(finish.entries, now);
            let outcome = row.awaits(outcome);
            row.go_on(lifecycle::finish(&row.run(), &outcome, now), now);
            if let Outcome::Completed { output } = outcome {
                row.record.output = Some(output);
            }
            status
        });
        // The unique key is settled by now, so that a job may be followed by one of its own key.
        if self.rows.get(&seq).is_some_and(|row| row.record.state == State::Completed) {
            self.follow_up(finish.follow_ups, now);
        }
        self.settle(now);
        status
    }

    /// Pauses the first limit key of a run that came to its limit; for the run itself this is a snooze until the pause ends,
    /// which another run may have set further off.
    fn pause(&mut self, seq: u64, outcome: Outcome, now: Timestamp) -> Outcome {
        let Outcome::RateLimited { delay } = outcome else { return outcome };
        let key = self.rows.get(&seq).and_then(|row| row.record.limit_keys.first().cloned());
        let Some(key) = key else { return Outcome::Snoozed { delay } };
        let until = self.pause_key(&key, delay, now);
        Outcome::Snoozed { delay: until.since(now) }
    }

    /// Gives a job a signal. The first of a name stays, and lets a job go on that waits for it.
    pub(super) fn signal(&mut self, id: &JobId, name: &str, output: Json, now: Timestamp) -> Signalled {
        let awaited = WaitsFor::Signal(name.to_owned());
        let (Some(row), Some(step)) = (self.find(id), awaited.signal_step()) else {
            return Signalled::Unknown;
        };
        match row {
            row if row.record.state.is_finished() => return Signalled::Ended,
            row if row.has_step(&step) => return Signalled::Sent,
            _ => {}
        }
        self.change(row.seq, now, |row| {
            row.add_step(step, output, Duration::ZERO, now);
            if row.waits_for(&awaited) {
                row.proceed(now);
            }
        });
        Signalled::Accepted
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
