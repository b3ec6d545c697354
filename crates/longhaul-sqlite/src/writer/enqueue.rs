use std::collections::HashMap;

use longhaul::clock::millis;
use longhaul::{
    Change, EnqueueStatus, Enqueued, JobId, Json, NewJob, OnClash, Policy, Result, Start, joined_keys,
    lifecycle,
};
use rusqlite::params;

use super::groups::Keyed;
use super::write_tx::{WriteTx, no_json};
use crate::error::fault;
use crate::limit_key::stored_rank;

impl WriteTx<'_> {
    /// Creates jobs, all or none.
    pub(crate) fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
        let enqueued = self.enqueue_without_freeing(jobs)?;
        self.free_childless()?;
        Ok(enqueued)
    }

    /// The same, while more children may come before a closing job without any is let go.
    pub(super) fn enqueue_without_freeing(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
        if jobs.iter().any(|job| job.idempotency.is_some())
            && let Some(refused) = self.refused(jobs).map_err(fault("look up an idempotency key"))?
        {
            return Ok(refused);
        }
        jobs.iter().map(|job| self.enqueue_one(job).map_err(fault("enqueue"))).collect()
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

    fn enqueue_one(&mut self, job: &NewJob) -> rusqlite::Result<Enqueued> {
        let Some(key) = &job.idempotency else { return self.create(job) };
        if let Some((id, _)) = self.idempotency_holder(key)? {
            return Ok(duplicate(id));
        }
        // Whatever the first request is answered with, a repetition is too: a job that was there before as well.
        let enqueued = self.create(job)?;
        self.hold_idempotency_key(key, &enqueued.id)?;
        Ok(enqueued)
    }

    fn create(&mut self, job: &NewJob) -> rusqlite::Result<Enqueued> {
        let given = job.id.is_some();
        let id = job.id.clone().unwrap_or_else(JobId::random);
        if let Some(unique) = &job.unique {
            // The id goes before the key: a job of that very id is a duplicate, whoever holds the key.
            if given && self.exists(&id)? {
                return Ok(duplicate(id));
            }
            if let Some(holder) = self.unique_holder(&unique.key)? {
                match unique.on_clash {
                    // The key is given to the new job below.
                    OnClash::Refresh if holder.state.is_finished() => {}
                    _ => return Ok(duplicate(holder.id)),
                }
            }
        }
        let batch = self.open_batch(job.parent.as_ref())?;
        let Some(seq) = self.insert(&id, job, batch)? else { return Ok(duplicate(id)) };
        if let Some(batch) = batch {
            self.count_child(batch)?;
        }
        if job.start == Start::AfterChildren {
            self.notes.new_batches.push(seq);
        }
        if given {
            let mut clear = self.connection.prepare_cached("DELETE FROM tombstones WHERE id = ?1")?;
            clear.execute([id.as_str()])?;
        }
        if let Some(unique) = &job.unique {
            self.hold_unique_key(&unique.key, seq)?;
        }
        Ok(Enqueued::new(id, EnqueueStatus::Created))
    }

    fn exists(&self, id: &JobId) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([id.as_str()])
    }

    /// Writes the row; `None` where the id exists.
    fn insert(&mut self, id: &JobId, job: &NewJob, batch: Option<i64>) -> rusqlite::Result<Option<i64>> {
        let now = self.now;
        let (state, run_at) = lifecycle::start(job.start, now);
        let seq = self.draw();
        let keys = joined_keys(&job.limit_keys);
        let rank = lifecycle::rank(run_at, job.priority);
        let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels)).transpose().map_err(no_json)?;
        // The release before this one reads the columns `timeout` and `backoff`.
        let policy = (job.policy != Policy::default()).then(|| Json::new(&job.policy));
        let policy = policy.transpose().map_err(no_json)?;
        let backoff = job.policy.backoff.map(|backoff| Json::new(&backoff)).transpose().map_err(no_json)?;
        let inserted = self.statements.insert.execute(params![
            seq,
            id.as_str(),
            job.kind,
            job.version,
            job.queue,
            state.as_str(),
            job.priority,
            stored_rank(state, keys.as_deref(), rank),
            run_at.0,
            job.max_attempts,
            job.max_crashes,
            now.0,
            job.policy.timeout.map(millis),
            job.unique.as_ref().map(|unique| unique.key.as_str()),
            job.unique.as_ref().and_then(|unique| unique.period).map(millis),
            job.parent.as_ref().map(JobId::as_str),
            backoff.as_ref().map(Json::as_str),
            labels.as_ref().map(Json::as_str),
            job.args.as_str(),
            keys,
            batch,
            (job.start == Start::AfterChildren).then_some(0),
            policy.as_ref().map(Json::as_str),
        ])?;
        if inserted == 0 {
            return Ok(None);
        }
        let (version, cost) = (job.version, job.policy.cost);
        let keyed = keys.as_deref().map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
        let change = Change { to: Some(state), ..self.change(id, &job.kind, &job.queue, 0) };
        self.moved(&change, keyed.as_ref())?;
        Ok(Some(seq))
    }
}

fn duplicate(id: JobId) -> Enqueued {
    Enqueued::new(id, EnqueueStatus::Duplicate)
}
