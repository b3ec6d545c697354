use std::collections::HashMap;

use longhaul::clock::millis;
use longhaul::lifecycle::unique::{self, Clash, Hold};
use longhaul::lifecycle::waiting::{self, Admission};
use longhaul::lifecycle::{self, StandIns, Times};
use longhaul::{
    CancelReason, Change, Dependency, EnqueueStatus, Enqueued, JobId, Json, NewJob, Result, Start, State,
    Timestamp, joined_keys,
};
use rusqlite::params;

use super::dependencies::Dependencies;
use super::groups::Keyed;
use super::keys::{KeyHolder, UniqueKey, is_of_period};
use super::write_tx::{WriteTx, no_json};
use crate::error::fault;
use crate::extra_fields::{self, ExtraFields};
use crate::limit_key::stored_rank;

/// The bounds on waiting jobs: they hold for a new job, or they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// They hold.
    Bounded,
    /// They do not: what follows a completion would be lost with it.
    Free,
}

/// A new job that is about to be written.
struct Insert<'j> {
    id: &'j JobId,
    job: &'j NewJob,
    batch: Option<i64>,
    unique: Option<UniqueKey>,
    state: State,
    run_at: Timestamp,
    depends_on: Vec<Dependency>,
    dependencies: Dependencies,
}

impl WriteTx<'_> {
    /// Creates jobs, all or none.
    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
        let enqueued = self.enqueue_without_freeing(jobs, Room::Bounded, &mut StandIns::default())?;
        self.free_childless()?;
        // Of jobs that were superseded or dropped, some may have been children.
        self.settle()?;
        Ok(enqueued)
    }

    /// The same, while more children may come before a closing job without any is let go.
    pub(super) fn enqueue_without_freeing(
        &mut self,
        jobs: &[NewJob],
        room: Room,
        stand_ins: &mut StandIns,
    ) -> Result<Vec<Enqueued>> {
        if jobs.iter().any(|job| job.idempotency.is_some())
            && let Some(refused) = self.refused(jobs).map_err(fault("look up an idempotency key"))?
        {
            return Ok(refused);
        }
        if room == Room::Bounded {
            self.check_dependencies(jobs)?;
        }
        let mut enqueue = |job: &NewJob| {
            let enqueued = self.enqueue_one(job, room, stand_ins)?;
            stand_ins.note(job.id.as_ref(), &enqueued);
            Ok(enqueued)
        };
        jobs.iter().map(|job| enqueue(job).map_err(fault("enqueue"))).collect()
    }

    /// The answer where an idempotency key was used for another request. Looked at before anything is written,
    /// so that there is nothing to undo.
    fn refused(&mut self, jobs: &[NewJob]) -> rusqlite::Result<Option<Vec<Enqueued>>> {
        // The keys of this very call count as used by the jobs before.
        let mut used: HashMap<&str, (JobId, &str)> = HashMap::new();
        let mut refused: Vec<Option<JobId>> = Vec::with_capacity(jobs.len());
        for job in jobs {
            let Some(key) = &job.idempotency else {
                refused.push(None);
                continue;
            };
            let holder = match used.get(key.key.as_str()) {
                Some((id, fingerprint)) => Some((id.clone(), (*fingerprint).to_owned())),
                None => self.idempotency_holder(key)?,
            };
            refused.push(match holder {
                Some((id, fingerprint)) => (fingerprint != key.fingerprint).then_some(id),
                None => {
                    let id = job.id.clone().unwrap_or_else(JobId::random);
                    used.insert(&key.key, (id, &key.fingerprint));
                    None
                }
            });
        }
        if refused.iter().all(Option::is_none) {
            return Ok(None);
        }
        let answer = |(job, holder): (&NewJob, Option<JobId>)| match holder {
            Some(id) => Enqueued::new(id, EnqueueStatus::KeyReused),
            None => {
                let id = job.id.clone().unwrap_or_else(JobId::random);
                Enqueued::new(id, EnqueueStatus::NotCreated)
            }
        };
        Ok(Some(jobs.iter().zip(refused).map(answer).collect()))
    }

    fn enqueue_one(&mut self, job: &NewJob, room: Room, stand_ins: &StandIns) -> rusqlite::Result<Enqueued> {
        let Some(key) = &job.idempotency else { return self.create(job, room, stand_ins) };
        if let Some((id, _)) = self.idempotency_holder(key)? {
            return Ok(duplicate(id));
        }
        // Whatever the first request is answered with, a repetition is too: a job that was there before as well. One that was
        // refused may be made again, and then be granted.
        let enqueued = self.create(job, room, stand_ins)?;
        if !matches!(enqueued.status, EnqueueStatus::Rejected | EnqueueStatus::Full) {
            self.hold_idempotency_key(key, &enqueued.id)?;
        }
        Ok(enqueued)
    }

    fn create(&mut self, job: &NewJob, room: Room, stand_ins: &StandIns) -> rusqlite::Result<Enqueued> {
        let id = job.id.clone().unwrap_or_else(JobId::random);
        let mut depends_on = job.depends_on.clone();
        stand_ins.replace(&mut depends_on);
        let (mut state, run_at) = unique::start(job, self.now);
        let is_bounded = room == Room::Bounded
            && (self.has_queue_bounds || self.has_key_bounds && !job.limit_keys.is_empty())
            && waiting::counts(state)
            && !self.dependencies(job, &depends_on)?.standing.is_waited_for();
        // The id goes before the key and the bounds: a job of that very id is a duplicate, whoever holds the key.
        if (job.unique.is_some() || is_bounded) && job.id.is_some() && self.exists(&id)? {
            return Ok(duplicate(id));
        }
        let mut clash = self.clash(job)?;
        if let Some((holder, clash)) = clash.as_ref().filter(|(_, clash)| !clash.creates()) {
            return self.merge(holder, *clash, job);
        }
        let behind = clash.as_ref().filter(|(_, clash)| *clash == Clash::Follow);
        let behind = behind.map(|(holder, _)| holder.id.clone());
        if let Some(followed) = &behind
            && depends_on.iter().all(|dependency| dependency.id != *followed)
        {
            depends_on.push(Dependency::on_any_end(followed.clone()));
        }
        // One that follows is blocked.
        if is_bounded && behind.is_none() {
            let (admission, mut of) = self.admission(job)?;
            match admission {
                Admission::Create => {}
                Admission::Reject(place) => return Ok(Enqueued::full(id.clone(), of.swap_remove(place))),
                Admission::DropNewest => state = State::Cancelled,
                Admission::DropOldest => {
                    self.drop_oldest(job)?;
                    // One that was dropped holds its key no more.
                    clash = self.clash(job)?;
                }
            }
        }
        if let Some((holder, Clash::Supersede)) = &clash
            && state != State::Cancelled
        {
            self.supersede(holder)?;
        }
        let unique = job.unique.as_ref().map(|unique| {
            let hold = Hold { behind, ..Hold::of(unique, self.now) };
            UniqueKey { key: unique.key.clone(), hold }
        });
        // What was superseded or dropped may be the job's parent, or one that it depends on.
        let batch = self.parent_that_counts(job.parent.as_ref())?;
        let dependencies = self.dependencies(job, &depends_on)?;
        if dependencies.standing.is_waited_for() && state != State::Cancelled {
            state = State::Blocked;
        }
        self.insert_new(&Insert { id: &id, job, batch, unique, state, run_at, depends_on, dependencies })
    }

    /// The holder of a new job's unique key, and what becomes of the job.
    fn clash(&self, job: &NewJob) -> rusqlite::Result<Option<(KeyHolder, Clash)>> {
        let Some(unique) = &job.unique else { return Ok(None) };
        let holder = self.unique_holder(&unique.key)?;
        let Some(holder) = holder else { return Ok(None) };
        let clash = unique::clash(job, unique, &holder.facts(), self.now);
        let (is_holder, parent_of) = (|id: &JobId| *id == holder.id, |id: &JobId| self.parent_of(id));
        let is_rejected =
            clash == Clash::Follow && lifecycle::nearest_ancestor(job, is_holder, parent_of)?.is_some();
        Ok(Some((holder, if is_rejected { Clash::Reject } else { clash })))
    }

    /// Does to the holder what comes of a job that is not created.
    fn merge(&mut self, holder: &KeyHolder, clash: Clash, job: &NewJob) -> rusqlite::Result<Enqueued> {
        let status = match clash {
            Clash::Reject => EnqueueStatus::Rejected,
            Clash::Replace(state, run_at) => {
                self.replace(holder, job, state, run_at)?;
                EnqueueStatus::Replaced
            }
            Clash::Lengthen(until) => {
                let key = job.unique.as_ref().map(|unique| unique.key.as_str());
                self.lengthen_hold(key.unwrap_or_default(), holder, until)?;
                EnqueueStatus::Duplicate
            }
            Clash::Join | Clash::Take | Clash::Supersede | Clash::Follow => EnqueueStatus::Duplicate,
        };
        Ok(Enqueued::new(holder.id.clone(), status))
    }

    pub(super) fn exists(&self, id: &JobId) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([id.as_str()])
    }

    /// Writes a job, with its key and its place in a batch.
    fn insert_new(&mut self, insert: &Insert<'_>) -> rusqlite::Result<Enqueued> {
        let Insert { id, job, batch, unique, state, depends_on, dependencies, .. } = insert;
        let Some(seq) = self.insert(insert)? else { return Ok(duplicate((*id).clone())) };
        if let Some(batch) = *batch {
            self.count_child(batch)?;
        }
        if job.start == Start::AfterChildren {
            self.notes.new_batches.push(seq);
        }
        if job.id.is_some() {
            let mut clear = self.connection.prepare_cached("DELETE FROM tombstones WHERE id = ?1")?;
            clear.execute([id.as_str()])?;
        }
        if !job.steps.is_empty() {
            self.take_over_steps(seq, &job.steps)?;
        }
        let ends_at = Times::of(job, self.now).ends_at(None);
        if ends_at.is_some() && *state != State::Cancelled {
            self.note_end(seq, ends_at)?;
        }
        if let Some(unique) = unique.as_ref().filter(|_| *state != State::Cancelled) {
            self.hold_unique_key(unique, seq)?;
        }
        // Last, because it may end the job.
        if !depends_on.is_empty() {
            self.depend(seq, dependencies)?;
        }
        if *state == State::Cancelled {
            let hold = unique.as_ref().map(|unique| &unique.hold);
            let kept_from = hold.map_or(self.now, |hold| hold.kept_from(State::Cancelled, self.now));
            self.connection.prepare_cached(include_str!("../sql/drop_newest.sql"))?.execute(params![
                seq,
                self.now.0,
                CancelReason::Dropped.as_str(),
                kept_from.0
            ])?;
            self.ended(seq, *batch, State::Cancelled);
            return Ok(Enqueued::new((*id).clone(), EnqueueStatus::Dropped));
        }
        Ok(Enqueued::new((*id).clone(), EnqueueStatus::Created))
    }

    /// Gives a new job steps that are done already.
    fn take_over_steps(&mut self, seq: i64, steps: &[(String, Json)]) -> rusqlite::Result<()> {
        let mut place: i64 = 0;
        for (name, output) in steps {
            let values = params![seq, name, output.as_str(), 0, self.now.0, 0, place + 1];
            let insert = include_str!("../sql/insert_step.sql");
            place += self.connection.prepare_cached(insert)?.execute(values)? as i64;
        }
        let count = "UPDATE jobs SET steps = ?2 WHERE seq = ?1";
        self.connection.prepare_cached(count)?.execute(params![seq, place])?;
        Ok(())
    }

    /// Writes the row; `None` where the id exists.
    fn insert(&mut self, insert: &Insert<'_>) -> rusqlite::Result<Option<i64>> {
        let Insert { id, job, batch, unique, state, run_at, depends_on, .. } = insert;
        let (now, seq) = (self.now, self.draw());
        let keys = joined_keys(&job.limit_keys, job.prefer.as_ref());
        let rank = lifecycle::rank(*run_at, job.priority);
        let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels)).transpose().map_err(no_json)?;
        // The release before this one reads the columns `timeout` and `backoff`.
        let Times { expires_at, deadline } = Times::of(job, now);
        let hold = unique.as_ref().map(|unique| &unique.hold).filter(|hold| !is_of_period(hold)).cloned();
        let (depends_on, forked_from) = (depends_on.clone(), job.forked_from.clone());
        let extra = ExtraFields { expires_at, deadline, depends_on, forked_from, hold, first_token: None };
        let policy = extra_fields::stored(&job.policy, &extra).map_err(no_json)?;
        let is_plain = *state == State::Available
            && (unique.is_none() && batch.is_none() && job.parent.is_none() && keys.is_none())
            && (labels.is_none() && policy.is_none() && job.start != Start::AfterChildren);
        let inserted = if is_plain {
            self.statements.insert_plain.execute(params![
                seq,
                id.as_str(),
                job.kind,
                job.version,
                job.queue,
                job.priority,
                stored_rank(*state, None, rank),
                run_at.0,
                job.max_attempts,
                job.max_crashes,
                now.0,
                job.args.as_str(),
            ])?
        } else {
            let backoff =
                job.policy.backoff.map(|backoff| Json::new(&backoff)).transpose().map_err(no_json)?;
            self.statements.insert.execute(params![
                seq,
                id.as_str(),
                job.kind,
                job.version,
                job.queue,
                state.as_str(),
                job.priority,
                stored_rank(*state, keys.as_deref(), rank),
                run_at.0,
                job.max_attempts,
                job.max_crashes,
                now.0,
                job.policy.timeout.map(millis),
                unique.as_ref().map(|unique| unique.key.as_str()),
                unique.as_ref().and_then(|unique| unique.hold.period).map(millis),
                job.parent.as_ref().map(JobId::as_str),
                backoff.as_ref().map(Json::as_str),
                labels.as_ref().map(Json::as_str),
                job.args.as_str(),
                keys,
                batch,
                (job.start == Start::AfterChildren).then_some(0),
                policy.as_ref().map(Json::as_str),
            ])?
        };
        if inserted == 0 {
            return Ok(None);
        }
        let (version, cost) = (job.version, job.policy.cost);
        let keyed = keys.as_deref().map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
        let change = Change { to: Some(*state), ..self.change(id, &job.kind, &job.queue, 0) };
        self.moved(seq, &change, keyed.as_ref())?;
        Ok(Some(seq))
    }
}

fn duplicate(id: JobId) -> Enqueued {
    Enqueued::new(id, EnqueueStatus::Duplicate)
}
