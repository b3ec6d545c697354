use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle::unique::{self, Clash, Hold};
use crate::lifecycle::waiting::{self, Admission};
use crate::lifecycle::{self, StandIns, Times};
use crate::model::{
    CancelReason, Children, Dependency, EnqueueStatus, Enqueued, JobId, JobRecord, NewJob, Start, State,
    UniqueKey, WaitsFor,
};
use crate::store::{Result, STOP_GRACE};

impl Table {
    pub(super) fn enqueue(&mut self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Enqueued>> {
        // The reasons to refuse a call are looked for before anything is created.
        let refused = self.reused_keys(&jobs, now);
        if refused.contains(&true) {
            return Ok(jobs
                .into_iter()
                .zip(refused)
                .map(|(job, is_reused)| refusal(job, is_reused))
                .collect());
        }
        self.check_dependencies(&jobs, now)?;
        let mut stand_ins = StandIns::default();
        let enqueued: Vec<Enqueued> =
            jobs.into_iter().map(|job| self.enqueue_one(job, Room::Bounded, &mut stand_ins, now)).collect();
        self.settle(now);
        self.free_childless(&enqueued, now);
        Ok(enqueued)
    }

    /// Enqueues what belongs to a completion: what exists already, or may not be, leaves that standing.
    pub(super) fn follow_up(&mut self, jobs: Vec<NewJob>, now: Timestamp) {
        let mut enqueued = Vec::new();
        let mut stand_ins = StandIns::default();
        for job in jobs {
            if !self.reused_keys(std::slice::from_ref(&job), now).contains(&true) {
                enqueued.push(self.enqueue_one(job, Room::Free, &mut stand_ins, now));
            }
        }
        self.free_childless(&enqueued, now);
    }

    /// New jobs that wait for children, and were given none, need not wait.
    fn free_childless(&mut self, enqueued: &[Enqueued], now: Timestamp) {
        let new = enqueued.iter().filter(|enqueued| enqueued.is_created());
        let is_childless = |row: &&Row| {
            row.waits_for(&WaitsFor::Children)
                && row.record.children.is_none_or(|children| children.unfinished() == 0)
        };
        let found = new.filter_map(|enqueued| self.find(&enqueued.id));
        let seqs: Vec<u64> = found.filter(is_childless).map(|row| row.seq).collect();
        for seq in seqs {
            self.change(seq, now, |row| row.proceed(now));
        }
    }

    /// For each job, whether its idempotency key stands for another request: one before this call or one in it.
    fn reused_keys(&self, jobs: &[NewJob], now: Timestamp) -> Vec<bool> {
        let mut first = HashMap::new();
        let mut is_reused = |job: &NewJob| {
            let Some(idempotency) = &job.idempotency else { return false };
            let earlier =
                self.keys.promised(&idempotency.key, now).map(|(fingerprint, _)| fingerprint.to_owned());
            let expected = first
                .entry(idempotency.key.clone())
                .or_insert_with(|| earlier.unwrap_or_else(|| idempotency.fingerprint.clone()));
            *expected != idempotency.fingerprint
        };
        jobs.iter().map(&mut is_reused).collect()
    }

    fn enqueue_one(
        &mut self,
        mut job: NewJob,
        room: Room,
        stand_ins: &mut StandIns,
        now: Timestamp,
    ) -> Enqueued {
        let given = job.id.clone();
        stand_ins.replace(&mut job.depends_on);
        let enqueued = self.enqueue_resolved(job, room, now);
        stand_ins.note(given.as_ref(), &enqueued);
        enqueued
    }

    fn enqueue_resolved(&mut self, mut job: NewJob, room: Room, now: Timestamp) -> Enqueued {
        let idempotency = job.idempotency.take();
        if let Some(idempotency) = &idempotency
            && let Some((_, id)) = self.keys.promised(&idempotency.key, now)
        {
            return Enqueued::new(id.clone(), EnqueueStatus::Duplicate);
        }
        let enqueued = self.create(job, room, now);
        // A request that was refused may be made again, and then be granted.
        let is_refused = matches!(enqueued.status, EnqueueStatus::Rejected | EnqueueStatus::Full);
        if let Some(idempotency) = idempotency.filter(|_| !is_refused) {
            self.keys.promise(idempotency, enqueued.id.clone(), now);
        }
        enqueued
    }

    fn create(&mut self, mut job: NewJob, room: Room, now: Timestamp) -> Enqueued {
        let id = job.id.take().unwrap_or_else(JobId::random);
        if self.ids.contains_key(&id) {
            return Enqueued::new(id, EnqueueStatus::Duplicate);
        }
        let clash = self.clash(&job, now);
        if let Some((holder, clash)) = clash
            && !clash.creates()
        {
            return self.merge(holder, clash, job, now);
        }
        let behind = clash.filter(|(_, clash)| *clash == Clash::Follow);
        let behind = behind.and_then(|(holder, _)| Some(self.rows.get(&holder)?.record.id.clone()));
        if let Some(followed) = &behind
            && job.depends_on.iter().all(|dependency| dependency.id != *followed)
        {
            job.depends_on.push(Dependency::on_any_end(followed.clone()));
        }
        let (state, _) = unique::start(&job, now);
        let state = if self.dependencies(&job).standing.is_waited_for() { State::Blocked } else { state };
        let (admission, mut bounds) = match room {
            Room::Bounded if waiting::counts(state) => self.admission(&job),
            _ => (Admission::Create, Vec::new()),
        };
        match admission {
            Admission::Create => {}
            Admission::Reject(place) => return Enqueued::full(id, bounds.swap_remove(place)),
            Admission::DropNewest => return self.insert_new(id, job, None, Some(CancelReason::Dropped), now),
            Admission::DropOldest => self.drop_oldest(&job, now),
        }
        // A holder that was dropped holds no more.
        if let Some((holder, Clash::Supersede)) = self.clash(&job, now) {
            self.supersede(holder, now);
        }
        self.insert_new(id, job, behind, None, now)
    }

    /// The holder of the job's unique key, and what becomes of the job.
    fn clash(&self, job: &NewJob, now: Timestamp) -> Option<(u64, Clash)> {
        let unique = job.unique.as_ref()?;
        let seq = self.keys.holder(&unique.key, now)?;
        let holder = self.rows.get(&seq)?;
        let clash = unique::clash(job, unique, &holder.as_holder(), now);
        let parent_of = |id: &JobId| Ok(self.parent_of(id));
        let is_ancestor = || {
            let is_holder = |id: &JobId| *id == holder.record.id;
            let Ok(found) = lifecycle::nearest_ancestor::<Infallible>(job, is_holder, parent_of);
            found.is_some()
        };
        Some((seq, if clash == Clash::Follow && is_ancestor() { Clash::Reject } else { clash }))
    }

    /// Does to the holder what comes of a job that is not created.
    fn merge(&mut self, holder: u64, clash: Clash, job: NewJob, now: Timestamp) -> Enqueued {
        let status = match clash {
            Clash::Reject => EnqueueStatus::Rejected,
            Clash::Replace(state, run_at) => {
                self.change(holder, now, |row| row.replace(job, state, run_at, now));
                EnqueueStatus::Replaced
            }
            Clash::Lengthen(until) => {
                self.change(holder, now, |row| {
                    if let Some((_, hold)) = &mut row.unique {
                        hold.until = Some(until);
                    }
                });
                if let Some(row) = self.rows.get(&holder) {
                    self.keys.hold(row);
                }
                EnqueueStatus::Duplicate
            }
            Clash::Join | Clash::Take | Clash::Supersede | Clash::Follow => EnqueueStatus::Duplicate,
        };
        let id = self.rows.get(&holder).map(|row| row.record.id.clone());
        Enqueued::new(id.unwrap_or_else(JobId::random), status)
    }

    fn supersede(&mut self, holder: u64, now: Timestamp) {
        self.change(holder, now, |row| match row.record.state {
            State::Running => drop(row.ask_to_stop(STOP_GRACE, CancelReason::Superseded, now)),
            _ => row.cancel(CancelReason::Superseded, now),
        });
    }

    /// Adds a job: as one that waits, or as one that was cancelled for a reason.
    fn insert_new(
        &mut self,
        id: JobId,
        job: NewJob,
        behind: Option<JobId>,
        dropped: Option<CancelReason>,
        now: Timestamp,
    ) -> Enqueued {
        let status = if dropped.is_some() { EnqueueStatus::Dropped } else { EnqueueStatus::Created };
        let enqueued = Enqueued::new(id.clone(), status);
        let batch = self.batch_of(job.parent.as_ref());
        let dependencies = self.dependencies(&job);
        let waits = dependencies.standing.is_waited_for();
        let seq = self.insert(|seq| {
            let mut row = Row { batch, ..new_row(seq, id, job, now) };
            if let Some((_, hold)) = &mut row.unique {
                hold.behind = behind;
            }
            if waits {
                row.record.state = State::Blocked;
                row.record.waits_for = Some(WaitsFor::Dependencies);
            }
            if dropped.is_some() {
                (row.record.state, row.record.cancel_reason) = (State::Cancelled, dropped);
                row.record.finished_at = Some(now);
            }
            row
        });
        if let Some(batch) = batch {
            self.change(batch, now, |row| row.count_child(now));
        }
        self.depend(seq, dependencies, now);
        enqueued
    }
}

/// The application of the bounds on waiting jobs to a job.
#[derive(Clone, Copy, Debug)]
enum Room {
    /// The bounds apply.
    Bounded,
    /// They do not apply: a refused follow-up would be lost, because the completion that brings it cannot be refused.
    Free,
}

impl Row {
    /// Takes over the args of a newer job of the same unique key.
    fn replace(&mut self, job: NewJob, state: State, run_at: Timestamp, now: Timestamp) {
        self.record.args = job.args;
        self.record.version = job.version;
        self.record.run_at = run_at;
        self.steps.clear();
        match state == self.record.state {
            true => self.renew_state_event(now),
            false => self.enter(state, now),
        }
    }
}

fn refusal(job: NewJob, is_reused: bool) -> Enqueued {
    let status = if is_reused { EnqueueStatus::KeyReused } else { EnqueueStatus::NotCreated };
    Enqueued::new(job.id.unwrap_or_else(JobId::random), status)
}

fn new_row(seq: u64, id: JobId, job: NewJob, now: Timestamp) -> Row {
    let (state, run_at) = unique::start(&job, now);
    let times = Times::of(&job, now);
    let record = JobRecord {
        id,
        kind: job.kind.into_owned(),
        version: job.version,
        queue: job.queue.into_owned(),
        args: job.args,
        state,
        priority: job.priority,
        attempt: 0,
        max_attempts: job.max_attempts,
        crashes: 0,
        max_crashes: job.max_crashes,
        interruptions: 0,
        policy: job.policy,
        progress: None,
        output: None,
        errors: Vec::new(),
        cancel_requested: false,
        cancel_reason: None,
        worker: None,
        position: None,
        created_at: now,
        run_at,
        started_at: None,
        finished_at: None,
        expires_at: times.expires_at,
        deadline: times.deadline,
        last_event: 1,
        limit_keys: job.limit_keys,
        prefer: job.prefer,
        parent: job.parent,
        children: (job.start == Start::AfterChildren).then(Children::default),
        labels: job.labels,
        args_bytes: None,
        output_bytes: None,
        depends_on: job.depends_on,
        waits_for: (state == State::Blocked).then_some(WaitsFor::Children),
        wakes_at: None,
        forked_from: job.forked_from,
        unique: job.unique.as_ref().map(|unique| UniqueKey::new(&unique.key)),
    };
    let mut row = Row {
        seq,
        record,
        token: 0,
        unique: job.unique.map(|unique| (unique.key.clone(), Hold::of(&unique, now))),
        batch: None,
        expected_children: 0,
        dependencies: Vec::new(),
        dependencies_left: 0,
        passed_over_until: None,
        lease_until: Timestamp::default(),
        cancel_by: None,
        state_event: 1,
        failure_event: 0,
        state_at: now,
        log: VecDeque::new(),
        log_bytes: 0,
        gap: 0,
        steps: Vec::new(),
    };
    for (name, output) in job.steps {
        row.add_step(name, output, Duration::ZERO, now);
    }
    row
}
