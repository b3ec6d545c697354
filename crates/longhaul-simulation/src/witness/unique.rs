use std::time::Duration;

use longhaul::{
    Deadline, Edge, JobFilter, JobId, NewJob, OnClash, OnFull, STOP_GRACE, State, Timestamp, Unique,
};

use super::ledger::{Job, Ledger};
use super::{BOUNDS, UNIQUE};

impl Ledger {
    /// A job takes its unique key: whoever held it must have ended, or give it up to such a one.
    pub(super) fn hold(&mut self, id: &JobId, now: Timestamp) {
        let Some(job) = self.jobs.get(id) else { return };
        let Some(unique) = job.spec.unique.clone() else { return };
        let is_new = !job.has_run && job.retries == 0;
        let former = self.holders.insert(unique.key.clone(), id.clone()).filter(|former| former != id);
        let Some((former, holder)) =
            former.and_then(|former| Some((former.clone(), self.jobs.get(&former)?)))
        else {
            return;
        };
        let is_held = holder.state.is_some_and(|state| !state.is_finished()) && !timed_is_over(holder, now);
        let life = (former.clone(), holder.born);
        let follows = is_held && is_new && follows(&unique, holder);
        if is_held && !(is_new && gives_way(&unique, holder, now)) {
            let how = format!(
                "the unfinished jobs {former} and {id} have the unique key {}, and {:?} takes no key of such a job",
                unique.key, unique.on_clash
            );
            return self.break_promise(UNIQUE, how);
        }
        if unique.on_clash == OnClash::Supersede {
            self.cancels.push((JobFilter::id(former), now.plus(STOP_GRACE)));
        }
        if let Some(job) = self.jobs.get_mut(id).filter(|_| follows) {
            job.wait.follows = Some(life);
        }
    }

    /// A job has ended: its unique key goes back to the job that it follows, where that one has not.
    pub(super) fn let_go(&mut self, id: &JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let (Some(unique), Some((followed, born))) = (&job.spec.unique, &job.wait.follows) else { return };
        let is_there = self.jobs.get(followed).is_some_and(|other| {
            let is_alike = other.spec.unique.as_ref().is_some_and(|own| own.key == unique.key);
            is_alike && other.born == *born && other.state.is_some_and(|state| !state.is_finished())
        });
        if is_there && self.holders.get(&unique.key) == Some(id) {
            self.holders.insert(unique.key.clone(), followed.clone());
        }
    }

    /// A job comes to those that wait: there must be room for it.
    pub(super) fn check_room(&mut self, id: &JobId, job: &NewJob, state: State) {
        let is_waiting = |state: Option<State>| matches!(state, Some(State::Scheduled | State::Available));
        if !is_waiting(Some(state)) {
            return;
        }
        let queue = self.queue_configs.get(&*job.queue).map(|config| (config.max_waiting, config.on_full));
        let keys = job.limit_keys.iter().map(|key| (Some(key), self.limits.config(key)));
        let keys = keys.map(|(key, config)| (key, config.max_waiting, config.on_full));
        let bounds = queue.map(|(max, on_full)| (None, max, on_full)).into_iter().chain(keys);
        let mut broken = None;
        for (key, max_waiting, on_full) in bounds {
            let Some(max) = max_waiting.filter(|_| on_full == OnFull::Reject) else { continue };
            let counts = |other: &&Job| {
                is_waiting(other.state)
                    && match key {
                        Some(key) => other.spec.limit_keys.contains(key),
                        None => other.spec.queue == job.queue,
                    }
            };
            let waiting = self.jobs.values().filter(counts).count() as u64;
            if waiting >= max {
                broken = Some(format!(
                    "{id} was created though {waiting} jobs of {max} wait, of {key:?} {}",
                    job.queue
                ));
            }
        }
        if let Some(how) = broken {
            self.break_promise(BOUNDS, how);
        }
    }
}

impl Job {
    /// The time by which it must have ended.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.spec.deadline? {
            Deadline::In(time) => Some(self.created_at.plus(time)),
            Deadline::At(at) => Some(at),
        }
    }

    /// True where its time to start, or to end, is over.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let has_expired =
            !self.has_run && self.spec.expires_in.is_some_and(|time| self.created_at.plus(time) <= now);
        has_expired || self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// It takes on what another asks for, and forgets its steps.
    pub(super) fn take_over(&mut self, other: &NewJob) {
        self.spec.version = other.version;
        self.run_at = None;
        self.steps.clear();
    }
}

/// True where a job holds the unique key that another asks for.
pub(super) fn holds(holder: &Job, asks: &NewJob, now: Timestamp) -> bool {
    let (Some(held), Some(asked)) = (&holder.spec.unique, &asks.unique) else { return false };
    let is_unfinished = holder.state.is_some_and(|state| !state.is_finished());
    held.key == asked.key && (is_unfinished || is_held_after_its_end(holder, now))
}

/// True where a job that has ended keeps its key for a time, or for as long as it is there.
pub(super) fn is_held_after_its_end(job: &Job, now: Timestamp) -> bool {
    let (Some(unique), Some(state)) = (&job.spec.unique, job.state) else { return false };
    // A job of the same call that came later may have cancelled it.
    if timed(unique).is_some() || (state == State::Cancelled && job.finished_at == now) {
        // Others may have made it longer.
        return true;
    }
    let is_named = unique.states.as_ref().is_some_and(|states| states.contains(&state));
    match unique.period {
        Some(period) => (is_named || state == State::Completed) && job.finished_at.plus(period) > now,
        None => is_named,
    }
}

/// The time for which a job holds its key, whatever becomes of it.
fn timed(unique: &Unique) -> Option<Duration> {
    match unique.on_clash {
        OnClash::Throttle => unique.period,
        OnClash::Debounce { delay, edge: Edge::Leading, .. } => Some(delay),
        _ => None,
    }
}

/// True for a job whose hold is for a time, which is over.
fn timed_is_over(job: &Job, now: Timestamp) -> bool {
    let time = job.spec.unique.as_ref().and_then(timed);
    time.is_some_and(|time| job.created_at.plus(time) <= now)
}

/// True where an unfinished holder gives its key to a new job.
fn gives_way(asks: &Unique, holder: &Job, now: Timestamp) -> bool {
    let Some(state) = holder.state else { return true };
    let is_timed = holder.spec.unique.as_ref().and_then(timed).is_some();
    let is_named = asks.states.as_ref().is_none_or(|states| states.contains(&state));
    match asks.on_clash {
        _ if !is_timed && !is_named => true,
        OnClash::Supersede => true,
        OnClash::Follow => follows(asks, holder),
        // One that is due, or has run, is of the succession before.
        OnClash::Debounce { edge: Edge::Trailing, .. } => {
            let waits = state == State::Scheduled && !holder.has_run;
            !waits || holder.run_at.is_none_or(|run_at| run_at <= now)
        }
        _ => false,
    }
}

/// True where a new job waits behind the unfinished holder of its unique key, which is in the middle of its work.
fn follows(asks: &Unique, holder: &Job) -> bool {
    let Some(state) = holder.state else { return false };
    let is_timed = holder.spec.unique.as_ref().and_then(timed).is_some();
    let is_named = asks.states.as_ref().is_none_or(|states| states.contains(&state));
    let has_begun = state == State::Running || (state == State::Blocked && holder.has_run);
    asks.on_clash == OnClash::Follow && (is_timed || is_named) && has_begun
}
