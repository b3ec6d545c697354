//! Reports changes of state, on the driver's thread, so that a change is reported also if its caller has gone away
//! before the answer.
//!
//! Most changes are derived from calls and their answers: jobs that were enqueued or claimed here, and the run that a
//! completion ends. Scripts note the other changes, if there is an observer.

use std::collections::HashMap;
use std::sync::Arc;

use longhaul::{AttemptError, Change, Changes, Finish, JobId, Lease, NewJob, Outcome, State, Timestamp};
use parking_lot::Mutex;
use redis::Value;

use crate::answer::{bytes, int, text};
use crate::claim::{BEFORE_JOBS, lease};
use crate::fields::Fields;
use crate::finish::ended;

/// Called with an answer before its caller gets it: with all values of a script that several callers share, else with
/// the one answer.
pub(crate) type OnAnswer = Box<dyn FnOnce(&[Value]) + Send>;

/// The observers of changes, and the claimed runs from which completions are derived.
#[derive(Debug, Default)]
pub(crate) struct ChangeReporter {
    pub(crate) changes: Changes,
    runs: Mutex<Runs>,
}

/// The changes that a script has to note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    Wanted,
    /// All but the completion in the script's arguments.
    Beside,
    Unwanted,
}

impl Notes {
    /// The argument for the script.
    pub(crate) fn argument(self) -> Vec<u8> {
        match self {
            Notes::Wanted | Notes::Beside => b"1".to_vec(),
            Notes::Unwanted => b"0".to_vec(),
        }
    }
}

/// A job that is being created.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) id: JobId,
    /// True if its id was generated here.
    pub(crate) is_ours: bool,
    pub(crate) job: NewJob,
}

impl New {
    pub(crate) fn of(mut job: NewJob) -> Self {
        let given = job.id.take();
        Self { is_ours: given.is_none(), id: given.unwrap_or_else(JobId::random), job }
    }
}

/// The end of a run that is being sent; with the run, if the change is derived from that and the script need not note it.
#[derive(Debug)]
pub(crate) struct Ending {
    lease: Lease,
    run: Option<Run>,
}

impl Ending {
    pub(crate) fn notes(&self, reporter: &ChangeReporter) -> Notes {
        match reporter.notes() {
            // Its dependants, if it has any, are changed by its end.
            Notes::Wanted if self.run.is_some() => Notes::Beside,
            notes => notes,
        }
    }
}

impl ChangeReporter {
    /// Scripts note changes only if there is an observer.
    pub(crate) fn notes(&self) -> Notes {
        if self.changes.is_observed() { Notes::Wanted } else { Notes::Unwanted }
    }

    /// Reports the changes that a script has noted, in the last value of its answer.
    pub(crate) fn on_noted(self: &Arc<Self>) -> Option<OnAnswer> {
        self.on_answer(|reporter, answers| {
            if let [Value::Array(answer)] = answers
                && let Some(noted) = answer.last()
            {
                reporter.report_noted(noted);
            }
        })
    }

    /// Reports the creation of new jobs, if it can be derived from the answers.
    pub(crate) fn on_created(self: &Arc<Self>, jobs: &[New]) -> Option<OnAnswer> {
        if !self.changes.is_observed() {
            return None;
        }
        let named = |new: &New| (new.id.clone(), new.job.kind.clone(), new.job.queue.clone());
        let jobs: Vec<_> = jobs.iter().map(named).collect();
        self.on_answer(move |reporter, answers| {
            let created = jobs.iter().zip(answers).filter_map(|((id, kind, queue), answer)| {
                let (at, state) = created(answer)?;
                Some(Change {
                    id,
                    kind,
                    queue,
                    from: None,
                    to: Some(state),
                    attempt: 0,
                    at,
                    since: None,
                    error: None,
                })
            });
            reporter.changes.tell(created);
        })
    }

    /// Reports the changes by new jobs, which are noted in the answer for the last job of a call.
    pub(crate) fn on_enqueued(self: &Arc<Self>) -> Option<OnAnswer> {
        self.on_answer(|reporter, answers| {
            if let Some(Value::Array(parts)) = answers.last()
                && let [_, _, noted] = parts.as_slice()
            {
                reporter.report_noted(noted);
            }
        })
    }

    /// Reports the claimed jobs of an answer.
    pub(crate) fn on_claimed(self: &Arc<Self>) -> Option<OnAnswer> {
        self.on_answer(|reporter, answers| {
            if let [Value::Array(answer)] = answers {
                reporter.report_claimed(answer);
            }
        })
    }

    /// Reports the ends of runs.
    pub(crate) fn on_ended(self: &Arc<Self>, endings: Vec<Ending>) -> Option<OnAnswer> {
        self.on_answer(move |reporter, answers| reporter.report_ended(&endings, answers))
    }

    /// Reports the ends of runs and the claimed jobs of an answer.
    pub(crate) fn on_finish_and_claim(self: &Arc<Self>, endings: Vec<Ending>) -> Option<OnAnswer> {
        self.on_answer(move |reporter, answers| {
            if let [Value::Array(parts)] = answers
                && let [Value::Array(ends), Value::Array(claim)] = parts.as_slice()
            {
                reporter.report_ended(&endings, ends);
                reporter.report_claimed(claim);
            }
        })
    }

    fn on_answer(
        self: &Arc<Self>,
        on_answer: impl FnOnce(&Self, &[Value]) + Send + 'static,
    ) -> Option<OnAnswer> {
        let reporter = Arc::clone(self);
        let on_answer = move |answers: &[Value]| on_answer(&reporter, answers);
        self.changes.is_observed().then(|| Box::new(on_answer) as OnAnswer)
    }

    /// The ends of runs that are about to be sent. The change by a completion is derived here if the run was claimed
    /// here and no batch counts the job.
    pub(crate) fn endings(&self, finishes: &[Finish]) -> Vec<Ending> {
        if !self.changes.is_observed() {
            return Vec::new();
        }
        let mut runs = self.runs.lock();
        let ending = |finish: &Finish| {
            let run = runs.take(finish.lease.token);
            let is_plain =
                matches!(finish.outcome, Outcome::Completed { .. }) && finish.follow_ups.is_empty();
            Ending { lease: finish.lease.clone(), run: run.filter(|_| is_plain) }
        };
        finishes.iter().map(ending).collect()
    }

    fn report_ended(&self, endings: &[Ending], answers: &[Value]) {
        let known = endings.iter().zip(answers).filter_map(|(ending, answer)| {
            let run = ending.run.as_ref()?;
            let at = ended(answer)?.1?;
            Some(Change {
                id: &ending.lease.id,
                kind: &run.kind,
                queue: &run.queue,
                from: Some(State::Running),
                to: Some(State::Completed),
                attempt: run.attempt,
                at,
                since: run.started_at,
                error: None,
            })
        });
        self.changes.tell(known);
        for answer in answers {
            if let Value::Array(parts) = answer
                && let Some(noted) = parts.get(1)
            {
                self.report_noted(noted);
            }
        }
    }

    fn report_claimed(&self, answer: &[Value]) {
        if let Some(noted) = answer.get(BEFORE_JOBS - 1) {
            self.report_noted(noted);
        }
        let (Some(now), Some(jobs)) = (answer.first().and_then(int), answer.get(BEFORE_JOBS..)) else {
            return;
        };
        let claimed =
            jobs.chunks_exact(4).filter_map(|job| Some((lease(job)?, Fields::unpack(bytes(&job[1])?)?)));
        let claimed: Vec<_> = claimed.collect();
        self.changes.tell(claimed.iter().map(|(lease, fields)| Change {
            id: &lease.id,
            kind: fields.kind,
            queue: fields.queue,
            from: Some(State::Available),
            to: Some(State::Running),
            attempt: fields.attempt,
            at: Timestamp(now),
            since: Some(fields.run_at),
            error: None,
        }));
        let mut runs = self.runs.lock();
        for (lease, fields) in claimed.iter().filter(|(_, fields)| !fields.is_counted) {
            let run = Run {
                kind: fields.kind.into(),
                queue: fields.queue.into(),
                attempt: fields.attempt,
                started_at: fields.started_at,
            };
            runs.note(lease.token, run);
        }
    }

    /// Reports the changes that a script has noted, if it has.
    fn report_noted(&self, noted: &Value) {
        let Value::Array(noted) = noted else { return };
        let Some((now, changes)) = noted.split_first() else { return };
        let Some(now) = int(now).map(Timestamp) else { return };
        let changes: Vec<Noted<'_>> = changes.iter().filter_map(Noted::read).collect();
        self.changes.tell(changes.iter().map(|change| change.at(now)));
    }
}

/// The time and the state of a job's creation, from the answer of `created_in` in `new.lua`.
pub(crate) fn created(answer: &Value) -> Option<(Timestamp, State)> {
    let (at, state) = with_time(answer)?;
    Some((at, *State::ALL.get(state)?))
}

/// The time, and the small number that is packed with it.
pub(crate) fn with_time(answer: &Value) -> Option<(Timestamp, usize)> {
    let packed = int(answer).filter(|packed| *packed < 0)?;
    let packed = -(packed + 1);
    Some((Timestamp(packed / 4), usize::try_from(packed % 4).ok()?))
}

/// A change that a script has noted.
struct Noted<'a> {
    id: JobId,
    kind: &'a str,
    queue: &'a str,
    from: Option<State>,
    to: Option<State>,
    attempt: u32,
    since: Option<Timestamp>,
    error: Option<AttemptError>,
}

impl<'a> Noted<'a> {
    fn read(change: &'a Value) -> Option<Self> {
        let Value::Array(parts) = change else { return None };
        let [id, kind, queue, from, to, attempt, since, error] = parts.as_slice() else { return None };
        let state = |value: &Value| State::ALL.get(usize::try_from(int(value)?).ok()?).copied();
        // Without the attempt and the time, which stand at its beginning.
        let error = text(error).and_then(|rest| serde_json::from_str(&format!("{{{rest}")).ok());
        Some(Self {
            id: JobId::from_store(text(id)?.to_owned()),
            kind: text(kind)?,
            queue: text(queue)?,
            from: state(from),
            to: state(to),
            attempt: u32::try_from(int(attempt)?).ok()?,
            since: int(since).filter(|since| *since != 0).map(Timestamp),
            error,
        })
    }

    fn at(&self, at: Timestamp) -> Change<'_> {
        Change {
            id: &self.id,
            kind: self.kind,
            queue: self.queue,
            from: self.from,
            to: self.to,
            attempt: self.attempt,
            at,
            since: self.since,
            error: self.error.as_ref().map(|error| error.message.as_str()),
        }
    }
}

/// A run that this process has claimed.
#[derive(Debug)]
struct Run {
    kind: Box<str>,
    queue: Box<str>,
    attempt: u32,
    started_at: Option<Timestamp>,
}

/// Runs that this process has claimed, by their tokens. Of those that never end here the oldest are forgotten: a script notes
/// the end of a run that is not known.
#[derive(Debug, Default)]
struct Runs {
    new: HashMap<u64, Run>,
    old: HashMap<u64, Run>,
}

/// There are at most twice as many.
const RUNS: usize = 16_384;

impl Runs {
    fn note(&mut self, token: u64, run: Run) {
        if self.new.len() == RUNS {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(token, run);
    }

    fn take(&mut self, token: u64) -> Option<Run> {
        self.new.remove(&token).or_else(|| self.old.remove(&token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_never_end_are_forgotten_once_many_are_newer() {
        let mut runs = Runs::default();
        let run = || Run { kind: "k".into(), queue: "q".into(), attempt: 1, started_at: None };
        for token in 0..3 * RUNS as u64 {
            runs.note(token, run());
        }
        assert!(runs.take(0).is_none());
        assert!(runs.take(3 * RUNS as u64 - 1).is_some());
        assert!(runs.take(3 * RUNS as u64 - 1).is_none(), "a run ends once");
        assert!(runs.new.len() + runs.old.len() <= 2 * RUNS);
    }
}
