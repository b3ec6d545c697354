use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::lifecycle::unique::{Hold, Holder};
use crate::lifecycle::{self, Next, Run, Steps, Times, Token};
use crate::model::{
    CancelReason, Entry, Event, EventBody, JobRecord, Json, Lease, LeaseStatus, Outcome, State, StepRecord,
    WaitsFor,
};
use crate::store::{KEPT_ERRORS, KEPT_EVENT_BYTES, KEPT_EVENTS};

/// A job: its record, and its stored fields that are not part of the record.
#[derive(Debug)]
pub(super) struct Row {
    /// Its number in the order of enqueueing, which the oldest have lowest.
    pub(super) seq: u64,
    /// Its record; `position` is always empty here.
    pub(super) record: JobRecord,
    /// The token of the present run, or of the run whose finish ended the job; 0 otherwise.
    pub(super) token: u64,
    /// Its unique key, and how long it holds the key unless another job takes it.
    pub(super) unique: Option<(String, Hold)>,
    /// The number of the job that counts it among its children.
    pub(super) batch: Option<u64>,
    /// The number of children that it was imported with as unfinished and that have not been imported yet.
    pub(super) expected_children: u64,
    /// The jobs that it depends, or depended, on, by their numbers.
    pub(super) dependencies: Vec<u64>,
    /// The number of dependencies that have not ended, while it is blocked by them.
    pub(super) dependencies_left: usize,
    /// The end of the time in which retention skips it, because other jobs depended on it when it was due.
    pub(super) passed_over_until: Option<Timestamp>,
    /// The end of its lease; valid only while it is running.
    pub(super) lease_until: Timestamp,
    /// The time at which it loses its lease after a request to stop; only while it is running.
    pub(super) cancel_by: Option<Timestamp>,
    /// The event number at which it entered its present state.
    pub(super) state_event: u64,
    /// The event number of the state that its last failure led to (0: none).
    pub(super) failure_event: u64,
    /// The time at which it entered its present state.
    pub(super) state_at: Timestamp,
    pub(super) log: VecDeque<Event>,
    /// The bytes of the log's entries, as JSON.
    pub(super) log_bytes: usize,
    /// The number of the newest entry that has left the log.
    pub(super) gap: u64,
    /// The steps that are done, in the order of their completion.
    pub(super) steps: Vec<StepRecord>,
}

impl Row {
    /// Its place among the available jobs of its queue: lower goes first.
    pub(super) fn rank(&self) -> (i64, u64) {
        (lifecycle::rank(self.record.run_at, self.record.priority), self.seq)
    }

    /// From when on its retention counts: its end, or that of the period for which its key outlives it, or for which retention passes
    /// over it.
    pub(super) fn kept_from(&self) -> Timestamp {
        let ended = self.record.finished_at.unwrap_or_default();
        let kept_from =
            self.unique.as_ref().map_or(ended, |(_, hold)| hold.kept_from(self.record.state, ended));
        self.passed_over_until.map_or(kept_from, |until| kept_from.max(until))
    }

    /// The job as the holder of its unique key.
    pub(super) fn as_holder(&self) -> Holder<'_> {
        Holder {
            kind: &self.record.kind,
            state: self.record.state,
            run_at: self.record.run_at,
            created_at: self.record.created_at,
            started_at: self.record.started_at,
            held_until: self.unique.as_ref().and_then(|(_, hold)| hold.until),
        }
    }

    pub(super) fn times(&self) -> Times {
        Times { expires_at: self.record.expires_at, deadline: self.record.deadline }
    }

    /// Cancels it where it waits.
    pub(super) fn cancel(&mut self, reason: CancelReason, now: Timestamp) {
        self.enter(State::Cancelled, now);
        self.record.cancel_reason = Some(reason);
    }

    /// Asks it to stop where it runs. Answers false where it was asked to stop as soon already.
    pub(super) fn ask_to_stop(&mut self, grace: Duration, reason: CancelReason, now: Timestamp) -> bool {
        let Some(by) = lifecycle::cancel_by(self.cancel_by, grace, now) else { return false };
        self.record.cancel_requested = true;
        self.record.cancel_reason = Some(reason);
        self.cancel_by = Some(by);
        self.renew_state_event(now);
        true
    }

    /// Moves it to another state. Whatever belongs to a run that this ends is void from here on.
    pub(super) fn enter(&mut self, state: State, now: Timestamp) {
        self.record.last_event += lifecycle::events_of(state);
        self.state_event = self.record.last_event;
        self.state_at = now;
        self.record.state = state;
        self.passed_over_until = None;
        self.record.cancel_requested = false;
        self.record.cancel_reason = None;
        self.cancel_by = None;
        if state != State::Blocked {
            self.record.waits_for = None;
            self.record.wakes_at = None;
        }
        if state.is_finished() {
            self.record.finished_at = Some(now);
        }
    }

    /// Makes it wait for `run_at`, which may be now or past.
    pub(super) fn wait_until(&mut self, run_at: Timestamp, now: Timestamp) {
        let (state, run_at) = lifecycle::wait_until(run_at, now);
        self.record.run_at = run_at;
        self.enter(state, now);
    }

    /// The job's run, as the rules look at it.
    pub(super) fn run(&self) -> Run {
        Run {
            attempt: self.record.attempt,
            crashes: self.record.crashes,
            max_crashes: self.record.max_crashes,
            interruptions: self.record.interruptions,
            cancel_requested: self.record.cancel_requested,
            cancel_reason: self.record.cancel_reason,
            run_at: self.record.run_at,
        }
    }

    /// Ends the run as the rules say.
    pub(super) fn go_on(&mut self, next: Next, now: Timestamp) {
        let has_failed = next.error.is_some() && next.state != State::Cancelled;
        if let Some(error) = next.error {
            let errors = &mut self.record.errors;
            if errors.len() >= KEPT_ERRORS {
                errors.drain(..=errors.len() - KEPT_ERRORS);
            }
            errors.push(error);
        }
        self.record.attempt = next.attempt;
        self.record.crashes = next.crashes;
        self.record.interruptions = next.interruptions;
        self.record.run_at = next.run_at;
        if next.token == Token::Cleared {
            self.token = 0;
        }
        if next.steps == Steps::Forgotten {
            // The times stay, to be looked at.
            self.steps.iter_mut().for_each(|step| step.output = None);
        }
        self.enter(next.state, now);
        self.record.cancel_reason = next.cancel_reason;
        self.record.waits_for = next.waits_for;
        self.record.wakes_at = next.wakes_at;
        if has_failed {
            self.failure_event = self.state_event;
        }
    }

    /// The message of the failure that led to its present state.
    pub(super) fn failure(&self) -> Option<&str> {
        let has_failed = self.failure_event == self.state_event;
        self.record.errors.last().filter(|_| has_failed).map(|error| error.message.as_str())
    }

    /// True where a finish with this lease ended the job.
    pub(super) fn was_ended_by(&self, lease: &Lease) -> bool {
        self.record.state.is_finished() && self.token == lease.token && self.token != 0
    }

    /// The outcome of its run, where what it would wait for has come: it goes on at once.
    pub(super) fn awaits(&self, outcome: Outcome) -> Outcome {
        let Outcome::Waits { on, .. } = &outcome else { return outcome };
        let has_come = match on {
            WaitsFor::Signal(_) => on.signal_step().is_some_and(|step| self.has_step(&step)),
            WaitsFor::Children => self.record.children.is_none_or(|children| children.unfinished() == 0),
            WaitsFor::Dependencies | WaitsFor::Person => false,
        };
        if has_come { Outcome::Snoozed { delay: Duration::ZERO } } else { outcome }
    }

    pub(super) fn has_step(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.name == name)
    }

    /// True while it is blocked for that.
    pub(super) fn waits_for(&self, what: &WaitsFor) -> bool {
        self.record.state == State::Blocked && self.record.waits_for.as_ref() == Some(what)
    }

    /// Goes on from a wait that is over.
    pub(super) fn proceed(&mut self, now: Timestamp) {
        self.wait_until(now, now);
    }

    /// Counts a dependency that has ended. The last one frees the job.
    pub(super) fn count_dependency(&mut self, now: Timestamp) {
        self.dependencies_left -= 1;
        if self.dependencies_left > 0 {
            return;
        }
        let (state, run_at) = lifecycle::undepend(self.record.run_at, self.record.children.as_ref(), now);
        self.record.run_at = run_at;
        self.record.waits_for = Some(WaitsFor::Children);
        self.enter(state, now);
    }

    /// Gives its present state a new event number, because data that is shown with the state has changed.
    pub(super) fn renew_state_event(&mut self, now: Timestamp) {
        self.record.last_event += lifecycle::events_of(self.record.state);
        self.state_event = self.record.last_event;
        self.state_at = now;
    }

    /// Counts a child that joins.
    pub(super) fn count_child(&mut self, now: Timestamp) {
        self.record.children.get_or_insert_default().total += 1;
        self.renew_state_event(now);
    }

    /// Counts a child that has ended. The last one frees the job, if it waits for its children.
    pub(super) fn count_end(&mut self, outcome: State, now: Timestamp) {
        let Some(children) = self.record.children.as_mut() else { return };
        lifecycle::count_end(children, outcome);
        if children.unfinished() == 0 && self.waits_for(&WaitsFor::Children) {
            self.proceed(now);
        } else {
            self.renew_state_event(now);
        }
    }

    /// Counts a child as unfinished again that had ended with `outcome` and is run again.
    pub(super) fn uncount_end(&mut self, outcome: State, now: Timestamp) {
        let Some(children) = self.record.children.as_mut() else { return };
        lifecycle::uncount_end(children, outcome);
        self.renew_state_event(now);
    }

    /// Adds the entries of a run.
    pub(super) fn add_entries(&mut self, entries: Vec<Entry>, now: Timestamp) {
        for entry in entries {
            match entry {
                Entry::Progress(progress) => {
                    self.record.progress = Some(progress.clone());
                    self.log(EventBody::Progress(progress), now);
                }
                Entry::Log { level, message } => self.log(EventBody::Log { level, message }, now),
                Entry::Chunk { data } => self.log(EventBody::Chunk { data }, now),
                // The first output stays: a second one is of an attempt that has not seen the first.
                Entry::Step { name, output, took } => self.add_step(name, output, took, now),
            }
        }
    }

    pub(super) fn add_step(&mut self, name: String, output: Json, took: Duration, now: Timestamp) {
        if self.has_step(&name) {
            return;
        }
        self.steps.push(StepRecord {
            name,
            attempt: self.record.attempt,
            started_at: Some(now.minus(took)),
            finished_at: Some(now),
            output: Some(output),
        });
    }

    /// Adds an event by which readers drop what earlier attempts wrote, if they wrote anything since the last such
    /// event.
    pub(super) fn reset_log(&mut self, now: Timestamp) {
        if self.log.back().is_some_and(|last| last.body != EventBody::Reset) {
            self.log(EventBody::Reset, now);
        }
    }

    fn log(&mut self, body: EventBody, now: Timestamp) {
        self.record.last_event += 1;
        self.log_bytes += bytes(&body);
        self.log.push_back(Event {
            seq: self.record.last_event,
            at: now,
            attempt: self.record.attempt,
            body,
        });
        while self.log.len() > KEPT_EVENTS || self.log_bytes > KEPT_EVENT_BYTES {
            let Some(oldest) = self.log.pop_front() else { return };
            self.log_bytes -= bytes(&oldest.body);
            self.gap = oldest.seq;
        }
    }

    /// The answer about its current lease.
    pub(super) fn lease_status(&self) -> LeaseStatus {
        if self.record.cancel_requested { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
    }
}

/// The bytes of an entry as JSON.
pub(super) fn bytes(body: &EventBody) -> usize {
    Json::new(body).map_or(0, |json| json.as_str().len())
}
