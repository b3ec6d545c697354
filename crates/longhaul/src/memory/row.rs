use std::collections::BTreeMap;

use crate::backoff::Backoff;
use crate::clock::{Timestamp, millis};
use crate::model::{
    AttemptError, Children, Entry, Event, EventBody, JobRecord, Json, LeaseStatus, State, Unique,
};
use crate::store::{KEPT_ERRORS, PRIORITY_STEP};

/// A job: its record, and what the record does not show.
#[derive(Debug)]
pub(super) struct Row {
    /// Its number in the order of enqueueing, which the oldest have lowest.
    pub(super) seq: u64,
    /// Its record; `position` is always empty here.
    pub(super) record: JobRecord,
    /// Rises with each claim, so that only the newest lease is current.
    pub(super) token: u64,
    pub(super) backoff: Option<Backoff>,
    pub(super) unique: Option<Unique>,
    /// The closing job that counts it, by its number.
    pub(super) batch: Option<u64>,
    /// When its lease ends; means something while it is running.
    pub(super) lease_until: Timestamp,
    /// When it is fenced off, where somebody has asked it to stop; only while it is running.
    pub(super) cancel_by: Option<Timestamp>,
    /// The event number at which it entered its present state.
    pub(super) state_event: u64,
    /// And when that was.
    pub(super) state_at: Timestamp,
    pub(super) log: Vec<Event>,
    pub(super) steps: BTreeMap<String, Json>,
}

impl Row {
    /// Where it stands among the available jobs of its queue: lower goes first.
    pub(super) fn rank(&self) -> (i64, u64) {
        let head_start = i64::from(self.record.priority) * millis(PRIORITY_STEP);
        (self.record.run_at.0 - head_start, self.seq)
    }

    /// From when on its retention counts: its end, or that of the period for which its key outlives it.
    pub(super) fn kept_from(&self) -> Timestamp {
        let period = self.unique.as_ref().and_then(|unique| unique.period);
        let period = period.filter(|_| self.record.state == State::Completed).unwrap_or_default();
        self.record.finished_at.unwrap_or_default().plus(period)
    }

    /// Moves it to another state. Whatever belongs to a run that this ends is void from here on.
    pub(super) fn enter(&mut self, state: State, now: Timestamp) {
        self.record.last_event += 1;
        if state == State::Completed {
            // A completion takes two numbers: the output's, then the state's.
            self.record.last_event += 1;
        }
        self.state_event = self.record.last_event;
        self.state_at = now;
        self.record.state = state;
        self.record.cancel_requested = false;
        self.cancel_by = None;
        if state.is_finished() {
            self.record.finished_at = Some(now);
        }
    }

    /// Makes it wait for `run_at`, which may be now or past.
    pub(super) fn wait_until(&mut self, run_at: Timestamp, now: Timestamp) {
        self.record.run_at = run_at.max(now);
        self.enter(if run_at > now { State::Scheduled } else { State::Available }, now);
    }

    /// Tells its present state anew, because something that belongs to it has changed.
    pub(super) fn tell(&mut self, now: Timestamp) {
        self.record.last_event += 1;
        self.state_event = self.record.last_event;
        self.state_at = now;
    }

    /// Counts a child that joins.
    pub(super) fn count_child(&mut self, now: Timestamp) {
        if let Some(children) = &mut self.record.children {
            children.total += 1;
        }
        self.tell(now);
    }

    /// Counts a child that has ended. The last one frees the job; once it is free, its counts stand still.
    pub(super) fn count_end(&mut self, outcome: State, now: Timestamp) {
        let Some(children) = self.record.children.as_mut() else { return };
        if self.record.state != State::Blocked {
            return;
        }
        *counter(children, outcome) += 1;
        if children.unfinished() == 0 {
            self.wait_until(now, now);
        } else {
            self.tell(now);
        }
    }

    /// Waits again for a child that had ended with `outcome` and is to run anew.
    pub(super) fn uncount_end(&mut self, outcome: State, now: Timestamp) {
        let Some(children) = self.record.children.as_mut() else { return };
        if self.record.state == State::Blocked {
            *counter(children, outcome) -= 1;
            self.tell(now);
        }
    }

    /// Makes an attempt that has begun not count.
    pub(super) fn give_attempt_back(&mut self) {
        self.record.attempt = self.record.attempt.saturating_sub(1);
    }

    /// Adds to the history of failures, as of the present attempt.
    pub(super) fn keep_error(&mut self, error: AttemptError, now: Timestamp) {
        let errors = &mut self.record.errors;
        if errors.len() >= KEPT_ERRORS {
            errors.drain(..=errors.len() - KEPT_ERRORS);
        }
        errors.push(AttemptError { attempt: self.record.attempt, at: now, ..error });
    }

    /// Ends it because somebody asked.
    pub(super) fn cancel(&mut self, reason: AttemptError, now: Timestamp) {
        self.keep_error(reason, now);
        self.enter(State::Cancelled, now);
    }

    /// Adds what a run has to say.
    pub(super) fn add_entries(&mut self, entries: Vec<Entry>, now: Timestamp) {
        for entry in entries {
            match entry {
                Entry::Progress(progress) => {
                    self.record.progress = Some(progress.clone());
                    self.log(EventBody::Progress(progress), now);
                }
                Entry::Log { level, message } => self.log(EventBody::Log { level, message }, now),
                Entry::Chunk { data } => self.log(EventBody::Chunk { data }, now),
                // The first output stays: a second run of the step was of an attempt that had not seen it.
                Entry::Step { name, output } => {
                    self.steps.entry(name).or_insert(output);
                }
            }
        }
    }

    /// Tells readers to drop what earlier attempts wrote, where they wrote anything since they were last told.
    pub(super) fn reset_log(&mut self, now: Timestamp) {
        if self.log.last().is_some_and(|last| last.body != EventBody::Reset) {
            self.log(EventBody::Reset, now);
        }
    }

    fn log(&mut self, body: EventBody, now: Timestamp) {
        self.record.last_event += 1;
        self.log.push(Event { seq: self.record.last_event, at: now, attempt: self.record.attempt, body });
    }

    /// What to answer about its current lease.
    pub(super) fn lease_status(&self) -> LeaseStatus {
        if self.record.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
    }
}

fn counter(children: &mut Children, outcome: State) -> &mut u64 {
    match outcome {
        State::Completed => &mut children.completed,
        State::Failed => &mut children.failed,
        _ => &mut children.cancelled,
    }
}
