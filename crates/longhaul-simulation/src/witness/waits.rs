use std::collections::BTreeSet;

use longhaul::testing::Call;
use longhaul::{
    Action, Change, Children, Dependency, Finish, JobFilter, JobId, JobRecord, OnExhausted, OnFailure,
    Outcome, Start, State, Timestamp, WaitsFor, lifecycle,
};

use super::ledger::{Deed, Job, Ledger};
use super::{BATCH, CHANGES, COUNTS, DEPENDS, PERSONS, SIGNALS, Witness};

/// A job, and which of those that were made under its id.
pub(super) type Life = (JobId, u32);

/// The request of the present call.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) finishes: Vec<Finish>,
    cancels: Option<JobFilter>,
    signal: Option<(JobId, WaitsFor)>,
    /// The step that a retry begins from.
    pub(super) step: Option<String>,
    /// Jobs of the call whose dependencies may have been replaced by jobs that stand for them.
    unresolved: Vec<JobId>,
}

impl Asked {
    pub(super) fn of(call: &Call) -> Self {
        let mut asked = Self { finishes: call.finishes().to_vec(), ..Self::default() };
        match call {
            Call::Act(filter, Action::Cancel { .. }, _) => asked.cancels = Some(filter.clone()),
            Call::Act(_, Action::RetryFrom { step, .. }, _) => asked.step = Some(step.clone()),
            Call::Signal(id, name, _) => asked.signal = Some((id.clone(), WaitsFor::Signal(name.clone()))),
            _ => {}
        }
        asked
    }
}

/// The wait of a job, as the witness derives it.
#[derive(Default)]
pub(super) struct Wait {
    pub(super) on: Option<WaitsFor>,
    /// The timeout of the wait.
    pub(super) wakes_at: Option<Timestamp>,
    /// The jobs that it depends on and whose end it has not counted.
    pending: Vec<(Life, OnFailure)>,
    /// True once one has ended in a way that cancels it.
    is_doomed: bool,
    /// True while it is not known which jobs it depends on.
    is_unresolved: bool,
    /// The job that it follows.
    pub(super) follows: Option<Life>,
}

impl Ledger {
    /// The dependencies of a new job, which is in `state`.
    pub(super) fn begin_wait(&mut self, id: &JobId, state: State) {
        let Some(job) = self.jobs.get(id) else { return };
        if state.is_finished() {
            return;
        }
        let closes = job.spec.start == Start::AfterChildren;
        let (depends_on, follows) = (job.spec.depends_on.clone(), job.wait.follows.clone());
        let parent = job.spec.parent.clone();
        let mut wait = self.dependencies(&depends_on, parent.as_ref());
        if let Some(followed) = &follows {
            wait.is_doomed |= self.is_ancestor(&followed.0, parent.as_ref());
            wait.pending.push((followed.clone(), OnFailure::Run));
        }
        wait.follows = follows;
        let must_wait = !wait.pending.is_empty() || wait.is_doomed;
        wait.on = (state == State::Blocked).then_some(match must_wait || wait.is_unresolved {
            true => WaitsFor::Dependencies,
            false => WaitsFor::Children,
        });
        let is_wrong = match state {
            State::Blocked => !must_wait && !wait.is_unresolved && !closes,
            _ => must_wait && !wait.is_unresolved,
        };
        if is_wrong {
            let how = format!("{id} was created as {state}, and waits for the ends of {:?}", wait.pending);
            self.break_promise(DEPENDS, how);
        }
        if wait.is_unresolved {
            self.asked.unresolved.push(id.clone());
        }
        if let Some(job) = self.jobs.get_mut(id) {
            job.wait = wait;
        }
    }

    /// The dependencies of a new job of this parent. One that has not ended and is an ancestor dooms it: the two would wait for each other.
    fn dependencies(&self, depends_on: &[Dependency], parent: Option<&JobId>) -> Wait {
        let mut wait = Wait::default();
        for Dependency { id, on_failure } in depends_on {
            match self.jobs.get(id).and_then(|job| Some((job, job.state?))) {
                // It may be a duplicate of a job of the call, which the answer shows.
                None => wait.is_unresolved = true,
                Some((_, state)) if state.is_finished() => wait.is_doomed |= dooms(state, *on_failure),
                Some((job, _)) => {
                    wait.pending.push(((id.clone(), job.born), *on_failure));
                    wait.is_doomed |= self.is_ancestor(id, parent);
                }
            }
        }
        wait
    }

    /// True for the parent of a new job, the parent's parent, and so on.
    fn is_ancestor(&self, id: &JobId, parent: Option<&JobId>) -> bool {
        let mut ancestor = parent;
        for _ in 0..lifecycle::ANCESTORS_LOOKED_AT {
            let Some(above) = ancestor else { return false };
            if above == id {
                return true;
            }
            let there = self.jobs.get(above).filter(|job| job.state.is_some());
            ancestor = there.and_then(|job| job.spec.parent.as_ref());
        }
        false
    }

    /// The answer of a call is there: what depended on a job that was not created depends on the one that stands for it. A
    /// follow-up may name a job that is not there, which counts as one that was cancelled.
    pub(super) fn resolve(&mut self, stand_ins: &[(JobId, JobId)]) {
        for id in std::mem::take(&mut self.asked.unresolved) {
            let Some(job) = self.jobs.get(&id) else { continue };
            let (mut depends_on, parent) = (job.spec.depends_on.clone(), job.spec.parent.clone());
            for dependency in &mut depends_on {
                if let Some((_, stand_in)) = stand_ins.iter().find(|(given, _)| *given == dependency.id) {
                    dependency.id = stand_in.clone();
                }
            }
            let mut wait =
                Wait { on: job.wait.on.clone(), follows: job.wait.follows.clone(), ..Wait::default() };
            // One that cancels holds, where several jobs of the call turn out to be one.
            let cancels: BTreeSet<_> = depends_on
                .iter()
                .filter(|dependency| dependency.on_failure == OnFailure::Cancel)
                .map(|dependency| dependency.id.clone())
                .collect();
            let mut seen = BTreeSet::new();
            depends_on.retain(|dependency| seen.insert(dependency.id.clone()));
            for dependency in &mut depends_on {
                if cancels.contains(&dependency.id) {
                    dependency.on_failure = OnFailure::Cancel;
                }
            }
            for dependency in &depends_on {
                let one = self.dependencies(std::slice::from_ref(dependency), parent.as_ref());
                wait.is_doomed |=
                    one.is_doomed || (one.is_unresolved && dependency.on_failure == OnFailure::Cancel);
                wait.pending.extend(one.pending);
            }
            wait.pending.extend(wait.follows.clone().map(|followed| (followed, OnFailure::Run)));
            let state = job.state;
            if wait.on == Some(WaitsFor::Dependencies) && wait.pending.is_empty() && !wait.is_doomed {
                wait.on = Some(WaitsFor::Children);
            }
            let must_wait = !wait.pending.is_empty() || wait.is_doomed;
            if must_wait && !matches!(state, Some(State::Blocked | State::Cancelled) | None) {
                let how = format!("{id} is {state:?}, and waits for the ends of {:?}", wait.pending);
                self.break_promise(DEPENDS, how);
            }
            if let Some(job) = self.jobs.get_mut(&id) {
                job.wait = wait;
            }
        }
    }

    /// A job has ended: those that depend on it count that once.
    pub(super) fn settle(&mut self, id: &JobId, state: State) {
        let Some(life) = self.jobs.get(id).map(|job| (id.clone(), job.born)) else { return };
        let mut counted = Vec::new();
        for (dependant, job) in &mut self.jobs {
            let wait = &mut job.wait;
            let before = wait.pending.len();
            let is_doomed = &mut wait.is_doomed;
            wait.pending.retain(|(pending, on_failure)| {
                let is_it = *pending == life;
                *is_doomed |= is_it && dooms(state, *on_failure);
                !is_it
            });
            if wait.pending.len() < before {
                counted.push(dependant.clone());
            }
        }
        for dependant in counted {
            let has_children = self.unfinished_child(&dependant).is_some();
            let Some(job) = self.jobs.get_mut(&dependant) else { continue };
            let waits_on = job.wait.pending.is_empty() && !job.wait.is_doomed && !job.wait.is_unresolved;
            if job.wait.on == Some(WaitsFor::Dependencies) && waits_on && has_children {
                job.wait.on = Some(WaitsFor::Children);
            }
        }
    }

    /// A child that a job counts and that has not ended.
    pub(super) fn unfinished_child(&self, id: &JobId) -> Option<&JobId> {
        let born = self.jobs.get(id)?.born;
        let is_one = |job: &Job| {
            job.batch.as_ref().is_some_and(|(parent, of)| parent == id && *of == born)
                && job.state.is_some_and(|state| !state.is_finished())
        };
        self.jobs.iter().find(|(_, job)| is_one(job)).map(|(child, _)| child)
    }

    /// The job that counts a new one as its child.
    pub(super) fn counts_as_child(&self, parent: &JobId) -> Option<Life> {
        let job = self.jobs.get(parent)?;
        let state = job.state.filter(|state| !state.is_finished())?;
        let closes = state == State::Blocked && job.spec.start == Start::AfterChildren;
        (job.has_run || closes).then(|| (parent.clone(), job.born))
    }

    /// A run ends by its own finish: it waits, and then only for what has not come.
    pub(super) fn end_to_wait(&mut self, change: &Change<'_>, to: State) {
        let Some(job) = self.jobs.get_mut(change.id) else { return };
        let is_its = |finish: &&Finish| finish.lease.id == *change.id && finish.lease.token == job.token;
        let finish = match self.deed {
            Deed::Finish => self.asked.finishes.iter().find(is_its).cloned(),
            _ => None,
        };
        if let Some(finish) = &finish {
            job.note_steps(&finish.entries);
        }
        let Some(Outcome::Waits { on, timeout, .. }) = finish.map(|finish| finish.outcome) else {
            if to == State::Blocked {
                let how = format!("{} waits, and its run has not asked for that", change.id);
                self.break_promise(CHANGES, how);
            }
            return;
        };
        let has_come = match &on {
            WaitsFor::Signal(_) => on.signal_step().is_some_and(|step| job.step(&step).is_some()),
            WaitsFor::Children => self.unfinished_child(change.id).is_none(),
            _ => false,
        };
        let Some(job) = self.jobs.get_mut(change.id) else { return };
        let promise = promise_of(&on);
        let is_right = match to {
            State::Blocked => !has_come,
            State::Available | State::Scheduled => has_come,
            // It was asked to stop.
            _ => true,
        };
        let is_exhausted = on != WaitsFor::Person
            || (job.spec.policy.on_exhausted == OnExhausted::Pause
                && change.attempt >= job.spec.max_attempts);
        if to == State::Blocked {
            job.wait = Wait {
                wakes_at: timeout.map(|timeout| change.at.plus(timeout)),
                on: Some(on.clone()),
                follows: job.wait.follows.take(),
                ..Wait::default()
            };
        }
        if !is_right || !is_exhausted {
            let how = format!("{} was to wait for {on}, which has come: {has_come}; it is {to}", change.id);
            self.break_promise(promise, how);
        }
    }

    /// A blocked job goes on, or is cancelled.
    pub(super) fn end_wait(&mut self, change: &Change<'_>, to: State) {
        let id = change.id;
        let child = self.unfinished_child(id).cloned();
        let Some(job) = self.jobs.get_mut(id) else { return };
        let follows = job.wait.follows.take();
        let wait = std::mem::replace(&mut job.wait, Wait { follows, ..Wait::default() });
        if wait.is_unresolved {
            return;
        }
        let is_over = job.is_over(change.at) && matches!(self.deed, Deed::Sweep(_));
        let is_superseded = job.spec.unique.is_some() && matches!(self.deed, Deed::Enqueue | Deed::Finish);
        let Some(on) = wait.on else {
            return self
                .break_promise(CHANGES, format!("{id} became {to}, and nobody knows what it waited for"));
        };
        let has_come = match (&on, to) {
            (_, State::Cancelled) => {
                let is_asked = self.asked.cancels.as_ref().is_some_and(|filter| names(filter, id));
                wait.is_doomed || is_asked || is_over || is_superseded
            }
            (WaitsFor::Dependencies, _) => wait.pending.is_empty() && !wait.is_doomed && child.is_none(),
            (WaitsFor::Children, _) => child.is_none(),
            (WaitsFor::Signal(_), _) => {
                let is_signalled = self.asked.signal.as_ref().is_some_and(|(to, of)| to == id && *of == on);
                is_signalled || wait.wakes_at.is_some_and(|wakes_at| wakes_at <= change.at)
            }
            (WaitsFor::Person, _) => matches!(self.deed, Deed::Retry | Deed::RetryWith | Deed::RetryFrom),
        };
        if !has_come {
            let how = format!(
                "{id} waited for {on} until {:?}, and became {to} by {:?}; left are {:?} and child {child:?}",
                wait.wakes_at, self.deed, wait.pending
            );
            self.break_promise(promise_of(&on), how);
        }
    }

    /// A job that waits for what has come.
    fn waits_in_vain(&self) -> Option<(&'static str, String)> {
        let blocked = self.jobs.iter().filter(|(_, job)| job.state == Some(State::Blocked));
        for (id, job) in blocked {
            let Some(on) = &job.wait.on else { continue };
            let has_come = match on {
                WaitsFor::Dependencies => job.wait.pending.is_empty() || job.wait.is_doomed,
                WaitsFor::Children => self.unfinished_child(id).is_none(),
                WaitsFor::Signal(_) => on.signal_step().is_some_and(|step| job.step(&step).is_some()),
                WaitsFor::Person => false,
            };
            if has_come {
                return Some((promise_of(on), format!("{id} waits for {on}, which has come")));
            }
        }
        None
    }
}

impl Witness {
    /// Looks, while nothing can happen until time passes, whether a job waits for what has come.
    pub(super) fn check_waits(&self) {
        let found = self.ledger.lock().waits_in_vain();
        if let Some((promise, how)) = found {
            self.break_promise(promise, how);
        }
    }

    /// The jobs that wait for a signal or a person, which the simulation has to provide.
    pub(crate) fn wait_for_outside(&self) -> Vec<(JobId, WaitsFor)> {
        let ledger = self.ledger.lock();
        let blocked = ledger.jobs.iter().filter(|(_, job)| job.state == Some(State::Blocked));
        let outside = |on: &WaitsFor| matches!(on, WaitsFor::Signal(_) | WaitsFor::Person);
        let found = blocked.filter_map(|(id, job)| Some((id.clone(), job.wait.on.clone().filter(outside)?)));
        found.collect()
    }

    /// A child that a job was answered to have enqueued, and that does not exist; a fork has the children of its
    /// original.
    pub(crate) fn missing_child(&self, id: &JobId, step: &str, count: usize) -> Option<String> {
        let ledger = self.ledger.lock();
        let is_given = ledger.jobs.get(id)?.spec.steps.iter().any(|(name, _)| name == step);
        let mut children = (0..count).map(|n| JobId::from_store(format!("{id}.{step}.{n}")));
        let missing = children.find(|child| !is_given && !ledger.jobs.contains_key(child))?;
        Some(format!("{id} was told that its children {step} are enqueued, and {missing} never was"))
    }

    /// Checks that a job's counts of its children are those of the children there were.
    pub(super) fn check_children(&self, record: &JobRecord) {
        let Some(told) = record.children else { return };
        let mut ledger = self.ledger.lock();
        let Some(born) = ledger.jobs.get(&record.id).map(|job| job.born) else { return };
        let life = (record.id.clone(), born);
        let there = ledger.jobs.values().filter_map(|job| Some((job.batch.as_ref()?, job.outcome)));
        let removed = ledger.removed_children.iter().map(|(parent, outcome)| (parent, *outcome));
        let mut counted = Children::default();
        for (_, outcome) in there.chain(removed).filter(|(parent, _)| **parent == life) {
            counted.total += 1;
            match outcome {
                Some(State::Completed) => counted.completed += 1,
                Some(State::Failed) => counted.failed += 1,
                Some(State::Cancelled) => counted.cancelled += 1,
                _ => {}
            }
        }
        if counted != told {
            ledger.break_promise(COUNTS, format!("{} tells {told:?} of its children {counted:?}", record.id));
        }
    }
}

/// True where the end of a job in `state` cancels one that depends on it.
fn dooms(state: State, on_failure: OnFailure) -> bool {
    on_failure == OnFailure::Cancel && matches!(state, State::Failed | State::Cancelled)
}

fn names(filter: &JobFilter, id: &JobId) -> bool {
    filter.ids.is_empty() || filter.ids.contains(id)
}

fn promise_of(on: &WaitsFor) -> &'static str {
    match on {
        WaitsFor::Dependencies => DEPENDS,
        WaitsFor::Children => BATCH,
        WaitsFor::Signal(_) => SIGNALS,
        WaitsFor::Person => PERSONS,
    }
}
