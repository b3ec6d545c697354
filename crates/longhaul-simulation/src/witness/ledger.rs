use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use longhaul::testing::Call;
use longhaul::{
    Action, Change, EnqueueStatus, Enqueued, JobFilter, JobId, Json, NewJob, QueueConfig, Start, State,
    Timestamp, schedule,
};

use super::limits::Limits;
use super::unique::holds;
use super::waits::{Asked, Life, Wait};
use super::{ACKNOWLEDGED, BATCH, Broken, CHANGES, HAND_BACK, PAUSES, TICKS, TIMES, UNIQUE_FREE};

/// The jobs as their reported changes of state describe them, with what their callers asked for.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) jobs: BTreeMap<JobId, Job>,
    pub(super) limits: Limits,
    pub(super) paused_queues: BTreeSet<String>,
    /// Jobs that were acknowledged to a caller.
    pub(super) acknowledged: BTreeSet<JobId>,
    /// The jobs that took the unique keys last.
    pub(super) holders: BTreeMap<String, JobId>,
    pub(super) queue_configs: BTreeMap<String, QueueConfig>,
    /// The jobs that idempotency keys stand for.
    pub(super) promised: BTreeMap<String, JobId>,
    /// Ticks that were fired, by schedule.
    pub(super) ticks: BTreeMap<String, BTreeSet<String>>,
    /// Tokens of all claims.
    pub(super) tokens: BTreeSet<u64>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) broken: Option<Broken>,
    pub(super) deed: Deed,
    /// The time of the last jump of the store's clock.
    pub(super) jumped_at: Option<Duration>,
    /// The ids that jobs were given in place of none or a random one.
    pub(super) named: BTreeMap<JobId, JobId>,
    /// Cancels so far: their filters, and the ends of their grace.
    pub(super) cancels: Vec<(JobFilter, Timestamp)>,
    /// True if readers may have got an event since the last check.
    pub(super) has_new_events: bool,
    /// Jobs that were created without a request.
    pub(super) unasked: Vec<JobId>,
    /// The jobs of the call that is being made.
    offered: BTreeMap<JobId, NewJob>,
    pub(super) asked: Asked,
    /// Children that were removed and whose ids other jobs have now, with their ends.
    pub(super) removed_children: Vec<(Life, Option<State>)>,
}

/// A job as the witness knows it.
pub(super) struct Job {
    pub(super) spec: NewJob,
    /// `None` once it is removed.
    pub(super) state: Option<State>,
    pub(super) token: u64,
    /// The token of the run that ended it.
    pub(super) ended_by: Option<u64>,
    pub(super) lease_until: Timestamp,
    /// The time at which it falls due, once that was looked up.
    pub(super) run_at: Option<Timestamp>,
    /// The number of jobs that were made under its id before it.
    pub(super) born: u32,
    /// The job that counts it among its children.
    pub(super) batch: Option<Life>,
    pub(super) wait: Wait,
    pub(super) retries: u32,
    /// Its steps in the order in which they were recorded, with their outputs, which it forgets when it completes.
    pub(super) steps: Vec<(String, Option<Json>)>,
    pub(super) created_at: Timestamp,
    pub(super) has_run: bool,
    /// Its outcome, unless it was run again.
    pub(super) outcome: Option<State>,
    pub(super) finished_at: Timestamp,
}

/// The call that is being made, where it is done in one go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deed {
    #[default]
    None,
    Enqueue,
    Finish,
    Sweep(Timestamp),
    Retry,
    RetryWith,
    RetryFrom,
    Delete,
    Cancel,
    Other,
}

impl Deed {
    pub(super) fn of(call: &Call, now: Timestamp) -> Self {
        match call {
            Call::Enqueue(_) => Deed::Enqueue,
            // An entry that cannot be kept ends its run.
            Call::Finish(_) | Call::FinishAndClaim(..) | Call::Record(_) => Deed::Finish,
            Call::Sweep(_) => Deed::Sweep(now),
            Call::Act(_, Action::Retry, _) => Deed::Retry,
            Call::Act(_, Action::RetryWith { .. }, _) => Deed::RetryWith,
            Call::Act(_, Action::RetryFrom { .. }, _) => Deed::RetryFrom,
            Call::Act(_, Action::Delete, _) => Deed::Delete,
            Call::Act(_, Action::Cancel { .. }, _) => Deed::Cancel,
            _ => Deed::Other,
        }
    }
}

impl Ledger {
    pub(super) fn break_promise(&mut self, promise: &'static str, how: String) {
        self.broken.get_or_insert(Broken { promise, how, at: Duration::ZERO });
    }

    /// Notes the jobs that a call may create.
    pub(super) fn offer(&mut self, call: &Call) {
        self.offered.clear();
        self.asked = Asked::of(call);
        let jobs = if let Call::Enqueue(jobs) = call { jobs.as_slice() } else { &[] };
        let follow_ups = call.finishes().iter().flat_map(|finish| &finish.follow_ups);
        for job in jobs.iter().chain(follow_ups) {
            if let Some(id) = &job.id {
                // The first of an id counts.
                self.offered.entry(id.clone()).or_insert_with(|| job.clone());
            }
        }
    }

    /// A change of state, in the order in which the store makes them.
    pub(super) fn change(&mut self, change: &Change<'_>) {
        self.has_new_events = true;
        let known = self.jobs.get(change.id).and_then(|job| job.state);
        if change.from != known || change.from == change.to {
            let how = format!(
                "{} was {known:?}, and was told to go from {:?} to {:?}",
                change.id, change.from, change.to
            );
            return self.break_promise(CHANGES, how);
        }
        match (change.from, change.to) {
            (None, Some(state)) => self.create(change, state),
            (Some(state), None) => self.remove(change, state),
            (Some(from), Some(to)) => self.go(change, from, to),
            (None, None) => {}
        }
    }

    fn create(&mut self, change: &Change<'_>, state: State) {
        *self.counts.entry("jobs").or_default() += 1;
        let id = change.id;
        // A job without a request is checked once the store can be asked.
        let spec = self.offered.get(id).cloned().unwrap_or_else(|| {
            self.unasked.push(id.clone());
            let kind = change.kind.to_owned();
            NewJob { queue: change.queue.to_owned().into(), ..NewJob::new(kind, Json::null()) }
        });
        self.note_tick(&spec.labels);
        let batch = spec.parent.as_ref().and_then(|parent| self.counts_as_child(parent));
        let earlier = self.jobs.get(id);
        let removed = earlier.and_then(|earlier| Some((earlier.batch.clone()?, earlier.outcome)));
        let job = Job {
            spec,
            state: Some(state),
            token: 0,
            ended_by: None,
            lease_until: Timestamp::default(),
            run_at: None,
            born: earlier.map_or(0, |earlier| earlier.born + 1),
            batch,
            wait: Wait::default(),
            retries: earlier.map_or(0, |earlier| earlier.retries + 1),
            steps: Vec::new(),
            created_at: change.at,
            has_run: false,
            outcome: Some(state).filter(|state| state.is_finished()),
            finished_at: Timestamp::default(),
        };
        self.removed_children.extend(removed);
        // What follows a completion would be lost with it, so bounds are not for it.
        if self.deed == Deed::Enqueue {
            self.check_room(id, &job.spec, state);
        }
        let steps = job.spec.steps.iter().map(|(name, output)| (name.clone(), Some(output.clone())));
        let job = Job { steps: steps.collect(), ..job };
        self.jobs.insert(id.clone(), job);
        if !state.is_finished() {
            self.hold(id, change.at);
        }
        self.begin_wait(id, state);
    }

    /// A tick's job is created.
    pub(super) fn note_tick(&mut self, labels: &BTreeMap<String, String>) {
        if let (Some(name), Some(tick)) = (labels.get(schedule::LABEL), labels.get(schedule::TICK_LABEL))
            && !self.ticks.entry(name.clone()).or_default().insert(tick.clone())
        {
            self.break_promise(TICKS, format!("schedule {name} has fired its tick of {tick} twice"));
        }
    }

    fn remove(&mut self, change: &Change<'_>, state: State) {
        let may = matches!(self.deed, Deed::Delete | Deed::Sweep(_)) && state.is_finished();
        if !may {
            let how = format!("{} was removed while {state}, by {:?}", change.id, self.deed);
            self.break_promise(ACKNOWLEDGED, how);
        }
        if let Some(job) = self.jobs.get_mut(change.id) {
            job.state = None;
        }
    }

    fn go(&mut self, change: &Change<'_>, from: State, to: State) {
        let id = change.id;
        let is_retry = matches!(self.deed, Deed::Retry | Deed::RetryWith | Deed::RetryFrom);
        if from.is_finished() && !is_retry {
            let closes = self.jobs.get(id).is_some_and(|job| job.spec.start == Start::AfterChildren);
            let promise = if closes { BATCH } else { CHANGES };
            return self
                .break_promise(promise, format!("{id} had {from}, and became {to} by {:?}", self.deed));
        }
        if from == State::Running {
            self.end_run(id, to);
            self.end_to_wait(change, to);
        }
        if from == State::Blocked {
            self.end_wait(change, to);
        }
        if is_retry && to != State::Cancelled {
            self.begin_anew(id, from, change.at);
        }
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.state = Some(to);
        job.run_at = None;
        if to == State::Running {
            *self.counts.entry("runs").or_default() += 1;
            if self.paused_queues.contains(change.queue) {
                let how = format!("{id} was claimed while its queue {} was paused", change.queue);
                self.break_promise(PAUSES, how);
            }
            if self.jobs.get(id).is_some_and(|job| job.is_over(change.at)) {
                self.break_promise(TIMES, format!("{id} was claimed though its time was over"));
            }
            if let Some(job) = self.jobs.get_mut(id) {
                job.has_run = true;
            }
            if let Some(job) = self.jobs.get(id)
                && let Err((promise, how)) = self.limits.take(id, &job.spec, change.at)
            {
                self.break_promise(promise, how);
            }
        }
        if to.is_finished() {
            *self.counts.entry(to.as_str()).or_default() += 1;
            if let Some(job) = self.jobs.get_mut(id) {
                (job.finished_at, job.outcome) = (change.at, Some(to));
                if to == State::Completed {
                    job.steps.iter_mut().for_each(|(_, output)| *output = None);
                }
            }
            self.let_go(id);
            self.settle(id, to);
        }
    }

    fn end_run(&mut self, id: &JobId, to: State) {
        let Some(job) = self.jobs.get(id) else { return };
        self.limits.give_back(&job.spec);
        let allowed = match self.deed {
            Deed::Finish => true,
            Deed::Sweep(now) => {
                let is_asked = |(filter, by): &(JobFilter, Timestamp)| {
                    *by <= now && (filter.ids.is_empty() || filter.ids.contains(id))
                };
                let is_over = job.deadline().is_some_and(|deadline| deadline <= now);
                let may_be_fenced = is_over || self.cancels.iter().any(is_asked);
                job.lease_until <= now || (to == State::Cancelled && may_be_fenced)
            }
            _ => false,
        };
        if !allowed {
            let how = format!("{id} ran until {:?}, and became {to} by {:?}", job.lease_until, self.deed);
            self.break_promise(HAND_BACK, how);
        }
    }

    fn begin_anew(&mut self, id: &JobId, from: State, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.retries += 1;
        (job.ended_by, job.outcome) = (None, None);
        // The times were those of the first life.
        (job.spec.expires_in, job.spec.deadline) = (None, None);
        let begin = self.asked.step.as_ref().filter(|_| self.deed == Deed::RetryFrom);
        match begin.and_then(|begin| job.steps.iter().position(|(name, _)| name == begin)) {
            Some(begin) => job.steps.truncate(begin),
            None if from == State::Completed || self.deed == Deed::RetryWith => job.steps.clear(),
            None => {}
        }
        self.hold(id, now);
    }

    /// Checks that jobs that are answered as duplicates may be.
    pub(super) fn check_enqueued(&mut self, asked: &[NewJob], answers: &[Enqueued], now: Timestamp) {
        for (job, answer) in asked.iter().zip(answers) {
            let known = self.jobs.get(&answer.id);
            let is_there = known.is_some_and(|known| known.state.is_some());
            let is_right = match answer.status {
                EnqueueStatus::Created | EnqueueStatus::Dropped => is_there,
                EnqueueStatus::Duplicate => {
                    let is_same = job.id.as_ref() == Some(&answer.id) && is_there;
                    let is_promised = job
                        .idempotency
                        .as_ref()
                        .is_some_and(|own| self.promised.get(&own.key) == Some(&answer.id));
                    is_same || is_promised || known.is_some_and(|known| holds(known, job, now))
                }
                EnqueueStatus::Rejected => known.is_some_and(|known| holds(known, job, now)),
                EnqueueStatus::Replaced => {
                    known.is_some_and(|known| holds(known, job, now) && known.spec.kind == job.kind)
                }
                EnqueueStatus::Full | EnqueueStatus::KeyReused | EnqueueStatus::NotCreated => true,
            };
            if !is_right {
                let state = known.and_then(|known| known.state);
                let promise = if answer.is_created() { ACKNOWLEDGED } else { UNIQUE_FREE };
                let how = format!(
                    "{:?} was answered {:?} of {}, which is {state:?}",
                    job.id, answer.status, answer.id
                );
                self.break_promise(promise, how);
            }
            if answer.status == EnqueueStatus::Replaced
                && let Some(known) = self.jobs.get_mut(&answer.id)
            {
                known.take_over(job);
            }
            if let Some(idempotency) = &job.idempotency
                && matches!(
                    answer.status,
                    EnqueueStatus::Created
                        | EnqueueStatus::Dropped
                        | EnqueueStatus::Duplicate
                        | EnqueueStatus::Replaced
                )
            {
                // The first answer is the one that all others get.
                self.promised.entry(idempotency.key.clone()).or_insert_with(|| answer.id.clone());
            }
        }
    }

    pub(super) fn unfinished(&self) -> Vec<(JobId, State)> {
        let unfinished =
            |(id, job): (&JobId, &Job)| Some((id.clone(), job.state.filter(|state| !state.is_finished())?));
        self.jobs.iter().filter_map(unfinished).collect()
    }

    /// Records the effects of a call other than changes of state.
    pub(super) fn note_deed(&mut self, call: &Call, now: Timestamp) {
        match call {
            Call::PauseQueue(queue) => drop(self.paused_queues.insert(queue.clone())),
            Call::ResumeQueue(queue) => drop(self.paused_queues.remove(queue)),
            Call::Act(filter, Action::Cancel { grace, .. }, _) => {
                self.cancels.push((filter.clone(), now.plus(*grace)));
            }
            Call::SetQueue(queue, config) => {
                self.limits.set_queue(queue, config);
                self.queue_configs.insert(queue.clone(), config.clone());
            }
            Call::UpdateQueue(queue, before, config)
                if self.queue_configs.get(queue).unwrap_or(&QueueConfig::default()) == before =>
            {
                self.limits.set_queue(queue, config);
                self.queue_configs.insert(queue.clone(), config.clone());
            }
            Call::SetKey(key, config) => self.limits.set(key, config.as_ref()),
            Call::PauseKey(key, pause) => self.limits.pause(key, *pause, now),
            Call::ResumeKey(key) => self.limits.resume(key),
            Call::Record(_) => self.has_new_events = true,
            _ => {}
        }
    }
}
