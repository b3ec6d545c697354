use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::dependencies::StandIns;
use super::row::Row;
use super::table::Table;
use crate::clock::Timestamp;
use crate::lifecycle;
use crate::model::{
    Children, EnqueueStatus, Enqueued, JobId, JobRecord, NewJob, OnClash, Start, State, WaitsFor,
};
use crate::store::Result;

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
            jobs.into_iter().map(|job| self.enqueue_one(job, &mut stand_ins, now)).collect();
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
                enqueued.push(self.enqueue_one(job, &mut stand_ins, now));
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

    fn enqueue_one(&mut self, mut job: NewJob, stand_ins: &mut StandIns, now: Timestamp) -> Enqueued {
        let given = job.id.clone();
        stand_ins.replace(&mut job.depends_on);
        let enqueued = self.enqueue_resolved(job, now);
        stand_ins.note(given, &enqueued);
        enqueued
    }

    fn enqueue_resolved(&mut self, mut job: NewJob, now: Timestamp) -> Enqueued {
        let idempotency = job.idempotency.take();
        if let Some(idempotency) = &idempotency
            && let Some((_, id)) = self.keys.promised(&idempotency.key, now)
        {
            return Enqueued { id: id.clone(), status: EnqueueStatus::Duplicate };
        }
        let enqueued = self.create(job, now);
        if let Some(idempotency) = idempotency {
            self.keys.promise(idempotency, enqueued.id.clone(), now);
        }
        enqueued
    }

    fn create(&mut self, mut job: NewJob, now: Timestamp) -> Enqueued {
        let id = job.id.take().unwrap_or_else(JobId::random);
        if self.ids.contains_key(&id) {
            return Enqueued { id, status: EnqueueStatus::Duplicate };
        }
        if let Some(unique) = &job.unique
            && let Some(holder) = self.keys.holder(&unique.key, now).and_then(|seq| self.rows.get(&seq))
        {
            let is_cached = holder.record.state.is_finished();
            match unique.on_clash {
                // The key is given to the new job when that is inserted.
                OnClash::Refresh if is_cached => {}
                OnClash::Join | OnClash::Refresh => {
                    return Enqueued { id: holder.record.id.clone(), status: EnqueueStatus::Duplicate };
                }
            }
        }
        let enqueued = Enqueued { id: id.clone(), status: EnqueueStatus::Created };
        let batch = self.batch_of(job.parent.as_ref());
        let dependencies = self.dependencies(&job.depends_on);
        let waits = dependencies.is_waited_for();
        let seq = self.insert(|seq| {
            let mut row = Row { batch, ..new_row(seq, id, job, now) };
            if waits {
                row.record.state = State::Blocked;
                row.record.waits_for = Some(WaitsFor::Dependencies);
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

fn refusal(job: NewJob, is_reused: bool) -> Enqueued {
    let status = if is_reused { EnqueueStatus::KeyReused } else { EnqueueStatus::NotCreated };
    Enqueued { id: job.id.unwrap_or_else(JobId::random), status }
}

fn new_row(seq: u64, id: JobId, job: NewJob, now: Timestamp) -> Row {
    let (state, run_at) = lifecycle::start(job.start, now);
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
        worker: None,
        position: None,
        created_at: now,
        run_at,
        started_at: None,
        finished_at: None,
        last_event: 1,
        limit_keys: job.limit_keys,
        parent: job.parent,
        children: (job.start == Start::AfterChildren).then(Children::default),
        labels: job.labels,
        args_bytes: None,
        output_bytes: None,
        depends_on: job.depends_on,
        waits_for: (state == State::Blocked).then_some(WaitsFor::Children),
        wakes_at: None,
        forked_from: job.forked_from,
    };
    let mut row = Row {
        seq,
        record,
        token: 0,
        unique: job.unique,
        batch: None,
        dependencies: Vec::new(),
        dependencies_left: 0,
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
