//! Signals, and what runs again from the middle: retries from a step, and forks.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::handle::{Done, Longhaul};
use crate::model::{
    Action, Enqueued, JobId, JobRecord, Json, Lookup, NewJob, Signalled, State, StepRecord, WaitsFor,
};
use crate::store::Result;

/// The result of a retry, or of a fork, from a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromStep<T> {
    /// It was done.
    Done(T),
    /// The job has done no step of this name; the names of the steps that it has done.
    NoSuchStep(Vec<String>),
    /// The job has completed, and has forgotten the outputs of its steps.
    Forgotten,
    /// The job is not there, is unfinished, or another holds its unique key.
    NotApplicable,
}

impl<T> FromStep<T> {
    /// Calls `next` with the value of [`Done`](Self::Done); every other variant is passed on.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> FromStep<U>) -> FromStep<U> {
        match self {
            FromStep::Done(done) => next(done),
            FromStep::NoSuchStep(names) => FromStep::NoSuchStep(names),
            FromStep::Forgotten => FromStep::Forgotten,
            FromStep::NotApplicable => FromStep::NotApplicable,
        }
    }
}

impl FromStep<Vec<StepRecord>> {
    /// The steps of a job before the one of this name.
    #[must_use]
    pub fn before(record: &JobRecord, mut steps: Vec<StepRecord>, name: &str) -> Self {
        let Some(place) = steps.iter().position(|step| step.name == name) else {
            return FromStep::NoSuchStep(steps.into_iter().map(|step| step.name).collect());
        };
        if record.state == State::Completed {
            return FromStep::Forgotten;
        }
        steps.truncate(place);
        FromStep::Done(steps)
    }
}

impl Longhaul {
    /// Gives a job a signal, which [`Context::wait_for`](crate::Context::wait_for) waits for, or will. The first of a name stays.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the name (505 bytes at most) or the value (64 KiB at most) cannot be kept; a
    /// store's fault.
    pub async fn signal(&self, id: &JobId, name: &str, value: &impl Serialize) -> Result<Signalled> {
        self.store().signal(id, name, &Json::new(value)?).await
    }

    /// Runs a finished job, or one that waits for a person, again from a step on: the outputs of the steps before it stay, that
    /// one and those after it are forgotten. With other args where they are given.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the args break a bound; a store's fault.
    pub async fn retry_from(&self, id: &JobId, step: &str, args: Option<Json>) -> Result<FromStep<()>> {
        let action = Action::RetryFrom { step: step.to_owned(), args };
        if self.act_on(id, action).await? == Done::Yes {
            return Ok(FromStep::Done(()));
        }
        let Some(record) = self.get(id).await?.found() else { return Ok(FromStep::NotApplicable) };
        if !record.state.is_finished() && record.waits_for != Some(WaitsFor::Person) {
            return Ok(FromStep::NotApplicable);
        }
        let steps = self.store().steps(id).await?.unwrap_or_default();
        // Where it has the step, something else kept it from being run again.
        Ok(FromStep::before(&record, steps, step).and_then(|_| FromStep::NotApplicable))
    }

    /// Makes a new job of one that is there, whatever state that is in: of its kind, version and queue, with its limits and labels,
    /// all its attempts, and [`forked_from`](JobRecord::forked_from) it; without its unique key, times, parent and dependencies.
    /// It has done the steps that the other has, with `from_step` those before that one, and with other args and no step none.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) where the args break a bound; a store's fault.
    pub async fn fork(
        &self,
        id: &JobId,
        from_step: Option<&str>,
        args: Option<Json>,
    ) -> Result<FromStep<Enqueued>> {
        let (lookup, steps) = self.with_steps(id).await?;
        let Some(record) = lookup.found() else { return Ok(FromStep::NotApplicable) };
        Ok(match NewJob::fork_of(record, steps, from_step, args) {
            FromStep::Done(fork) => FromStep::Done(self.enqueue_one(fork).await?),
            refused => refused.and_then(|_| FromStep::NotApplicable),
        })
    }

    /// A job and the steps that it has done, as they belong together. Steps are read by a call of their own, and a job that completes or
    /// is retried with other args between two calls forgets them: then both are read again.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn with_steps(&self, id: &JobId) -> Result<(Lookup, Vec<StepRecord>)> {
        let mut before = self.get(id).await?;
        loop {
            let steps = self.store().steps(id).await?.unwrap_or_default();
            let after = self.get(id).await?;
            if steps_owner(&before) == steps_owner(&after) {
                return Ok((after, steps));
            }
            before = after;
        }
    }
}

/// All of a job that changes where it forgets steps that others would be without: its creation, its args, and whether it has completed.
fn steps_owner(lookup: &Lookup) -> Option<(Timestamp, &Json, bool)> {
    match lookup {
        Lookup::Found(record) => Some((record.created_at, &record.args, record.state == State::Completed)),
        Lookup::Gone | Lookup::Unknown => None,
    }
}

impl NewJob {
    /// A job as another was when it was enqueued, but for its identity, its times and its place among others; with other args
    /// where they are given. Of `steps`, those that the other has done, it has done all that have an output, with `from_step` those
    /// before that one, and with other args and no step none.
    #[must_use]
    pub fn fork_of(
        from: JobRecord,
        steps: Vec<StepRecord>,
        from_step: Option<&str>,
        args: Option<Json>,
    ) -> FromStep<Self> {
        let kept = match (from_step, &args) {
            (Some(step), _) => FromStep::before(&from, steps, step),
            (None, None) => FromStep::Done(steps),
            (None, Some(_)) => FromStep::Done(Vec::new()),
        };
        kept.and_then(|steps| {
            FromStep::Done(Self {
                version: from.version,
                queue: from.queue.into(),
                priority: from.priority,
                max_attempts: from.max_attempts,
                max_crashes: from.max_crashes,
                policy: from.policy,
                limit_keys: from.limit_keys,
                prefer: from.prefer,
                labels: from.labels,
                steps: steps.into_iter().filter_map(|step| Some((step.name, step.output?))).collect(),
                forked_from: Some(from.id),
                ..Self::new(from.kind, args.unwrap_or(from.args))
            })
        })
    }
}
