use std::collections::{BTreeSet, HashSet};

use longhaul::clock::millis;
use longhaul::lifecycle::{self, Times};
use longhaul::moving::{
    Exported, ExportedIdempotencyKey, ExportedJob, ExportedRemoval, ExportedSample, Imported,
};
use longhaul::{Change, Children, JobId, Json, Policy, Result, State, StepRecord, joined_keys};
use rusqlite::{OptionalExtension, named_params, params};

use super::groups::Keyed;
use super::keys::{UniqueKey, is_of_period};
use super::write_tx::{WriteTx, no_json};
use crate::error::fault;
use crate::extra_fields::{self, ExtraFields};
use crate::limit_key::stored_rank;
use crate::row::signed;

/// Records of another store.
impl WriteTx<'_> {
    /// Imports all but settings, which has been done.
    pub(crate) fn import(
        &mut self,
        records: &[Exported],
        settings: &[Option<Imported>],
    ) -> Result<Vec<Imported>> {
        let mut imported = Vec::with_capacity(records.len());
        // The queues and states whose history is looked at anew, because older jobs have joined it.
        let mut ended = BTreeSet::new();
        for (record, done) in records.iter().zip(settings) {
            imported.push(match record {
                Exported::Queue(_) | Exported::Key(_) => done.unwrap_or(Imported::Present),
                Exported::Job(job) => {
                    if job.job.state.is_finished() {
                        ended.insert((job.job.queue.as_str(), job.job.state));
                    }
                    self.import_job(job)?
                }
                Exported::IdempotencyKey(key) => {
                    self.import_idempotency_key(key).map_err(fault("import an idempotency key"))?
                }
                Exported::Removed(removal) => {
                    self.import_removal(removal).map_err(fault("import what was removed"))?
                }
                Exported::Sample(sample) => self.import_sample(sample).map_err(fault("import a sample"))?,
            });
        }
        self.settle()?;
        self.write_counts().map_err(fault("count"))?;
        for (queue, state) in ended {
            let look = "UPDATE counts SET prune_at = 0 WHERE queue = ?1 AND state = ?2";
            self.connection
                .prepare_cached(look)
                .and_then(|mut look| look.execute([queue, state.as_str()]))
                .map_err(fault("count"))?;
        }
        Ok(imported)
    }

    fn import_job(&mut self, job: &ExportedJob) -> Result<Imported> {
        let imported = self.import_new_job(job).map_err(fault("import a job"))?;
        // Before the next one, which may depend on it.
        self.settle()?;
        Ok(imported)
    }

    fn import_new_job(&mut self, exported: &ExportedJob) -> rusqlite::Result<Imported> {
        let id = &exported.job.id;
        if self.exists(id)? {
            return Ok(Imported::Present);
        }
        if crate::read::is_gone(self.connection, id, self.now)? {
            return Ok(Imported::Removed);
        }
        let mut exported = exported.clone();
        let mut there = HashSet::new();
        for dependency in &exported.dependencies {
            if self.exists(&dependency.id)? {
                there.insert(dependency.id.clone());
            }
        }
        exported.keep_dependencies(|id| there.contains(id), self.now);
        let seq = self.insert_imported(&exported)?;
        self.import_log_and_steps(seq, &exported)?;
        let job = &exported.job;
        if let Some(waits_for) = &job.waits_for {
            self.begin_wait(seq, waits_for, job.wakes_at, exported.dependencies_left())?;
        }
        if let (Some(unique), Some(holding)) = (&job.unique, exported.holds)
            && self.unique_holder(&unique.key)?.is_none()
        {
            let hold = "INSERT OR REPLACE INTO unique_keys (key, job, expires_at) VALUES (?1, ?2, ?3)";
            let values = params![unique.key, seq, holding.until.map(|until| until.0)];
            self.connection.prepare_cached(hold)?.execute(values)?;
        }
        self.import_dependencies(seq, &exported)?;
        if let Some(reason) = exported.cancel
            && let Some(found) = self.job(seq)?
        {
            self.cancel_waiting(&found.id, &found.target, reason)?;
        }
        Ok(Imported::Created)
    }

    fn insert_imported(&mut self, exported: &ExportedJob) -> rusqlite::Result<i64> {
        let job = &exported.job;
        let seq = self.draw();
        let batch = self.parent_of_imported(exported)?;
        let unique = job
            .unique
            .as_ref()
            .map(|unique| UniqueKey { key: unique.key.clone(), hold: exported.hold.clone() });
        let hold = unique.as_ref().map(|unique| &unique.hold).filter(|hold| !is_of_period(hold)).cloned();
        let extra = ExtraFields {
            expires_at: job.expires_at,
            deadline: job.deadline,
            first_token: None,
            depends_on: job.depends_on.clone(),
            forked_from: job.forked_from.clone(),
            hold,
        };
        let text = |json: Json| json.as_str().to_owned();
        let policy = extra_fields::stored(&job.policy, &extra).map_err(no_json)?.map(text);
        let Policy { timeout, backoff, cost, .. } = job.policy;
        let backoff = backoff.map(|backoff| Json::new(&backoff)).transpose().map_err(no_json)?.map(text);
        let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels));
        let labels = labels.transpose().map_err(no_json)?.map(text);
        let errors = (!job.errors.is_empty()).then(|| Json::new(&job.errors));
        let errors = errors.transpose().map_err(no_json)?.map(text);
        let progress = job.progress.as_ref().map(Json::new).transpose().map_err(no_json)?.map(text);
        let mut log_bytes = 0;
        for event in &exported.log {
            log_bytes += Json::new(&event.body).map_err(no_json)?.as_str().len() as u64;
        }
        let keys = joined_keys(&job.limit_keys, job.prefer.as_ref());
        let rank = lifecycle::rank(job.run_at, job.priority);
        let times = Times { expires_at: job.expires_at, deadline: job.deadline };
        let ends_at = times.ends_at(job.started_at).filter(|_| !job.state.is_finished());
        let child =
            |count: fn(&Children) -> u64| job.children.as_ref().map(|children| signed(count(children)));
        self.connection.prepare_cached(include_str!("../sql/insert_imported_job.sql"))?.execute(
            named_params! {
                ":seq": seq,
                ":id": job.id.as_str(),
                ":kind": job.kind,
                ":version": job.version,
                ":queue": job.queue,
                ":state": job.state.as_str(),
                ":priority": job.priority,
                ":rank": stored_rank(job.state, keys.as_deref(), rank),
                ":run_at": job.run_at.0,
                ":worker": job.worker,
                ":attempt": job.attempt,
                ":max_attempts": job.max_attempts,
                ":crashes": job.crashes,
                ":max_crashes": job.max_crashes,
                ":interruptions": job.interruptions,
                ":last_event": signed(job.last_event),
                ":state_event": signed(exported.state_event),
                ":state_at": exported.state_at.0,
                ":log_event": signed(exported.log_event()),
                ":steps": exported.steps.len() as i64,
                ":created_at": job.created_at.0,
                ":started_at": job.started_at.map(|at| at.0),
                ":finished_at": job.finished_at.map(|at| at.0),
                ":kept_from": exported.kept_from().map(|at| at.0),
                ":timeout": timeout.map(millis),
                ":unique_key": unique.as_ref().map(|unique| unique.key.as_str()),
                ":unique_period": unique.as_ref().and_then(|unique| unique.hold.period).map(millis),
                ":parent": job.parent.as_ref().map(JobId::as_str),
                ":backoff": backoff,
                ":labels": labels,
                ":errors": errors,
                ":progress": progress,
                ":output": job.output.as_ref().map(Json::as_str),
                ":args": job.args.as_str(),
                ":limit_key": keys,
                ":batch": batch,
                ":children_total": child(|children| children.total),
                ":children_completed": child(|children| children.completed),
                ":children_failed": child(|children| children.failed),
                ":children_cancelled": child(|children| children.cancelled),
                ":policy": policy,
                ":log_entries": exported.log.len() as i64,
                ":log_bytes": signed(log_bytes),
                ":log_gap": signed(exported.log_gap),
                ":ends_at": ends_at.map(|at| at.0),
                ":cancel_reason": job.cancel_reason.map(longhaul::CancelReason::as_str),
            },
        )?;
        if let Some(children) = job.children.filter(|children| children.unfinished() > 0) {
            self.expect_children(seq, children.unfinished())?;
        }
        self.connection.prepare_cached("DELETE FROM tombstones WHERE id = ?1")?.execute([job.id.as_str()])?;
        let version = job.version;
        let keyed = keys.as_deref().map(|keys| Keyed { keys, seq, version, rank, cost, held: None });
        let change = self.change(&job.id, &job.kind, &job.queue, job.attempt);
        let change = Change { to: Some(job.state), ..change };
        self.moved(seq, &change, keyed.as_ref())?;
        if self.is_observed() {
            // It was told where it happened.
            self.notes.changes.pop();
        }
        Ok(seq)
    }

    fn import_log_and_steps(&self, seq: i64, exported: &ExportedJob) -> rusqlite::Result<()> {
        for event in &exported.log {
            let body = Json::new(&event.body).map_err(no_json)?;
            let values = params![seq, signed(event.seq), event.at.0, event.attempt, body.as_str()];
            self.connection.prepare_cached(include_str!("../sql/insert_event.sql"))?.execute(values)?;
        }
        for (place, step) in (1_i64..).zip(&exported.steps) {
            let StepRecord { name, attempt, started_at, finished_at, output } = step;
            let took = started_at.zip(*finished_at).map(|(began, ended)| millis(ended.since(began)));
            let output = output.as_ref().map_or("", Json::as_str);
            let values = params![seq, name, output, attempt, finished_at.map(|at| at.0), took, place];
            self.connection.prepare_cached(include_str!("../sql/insert_step.sql"))?.execute(values)?;
        }
        Ok(())
    }

    /// Makes a job depend on those that it did; what has ended here since is counted by it when all is settled.
    fn import_dependencies(&mut self, seq: i64, exported: &ExportedJob) -> rusqlite::Result<()> {
        for dependency in &exported.dependencies {
            let found: Option<(i64, String)> = self
                .connection
                .prepare_cached("SELECT seq, state FROM jobs WHERE id = ?1")?
                .query_row([dependency.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((job, state)) = found else { continue };
            let named = exported.job.depends_on.iter().find(|other| other.id == dependency.id);
            let on_failure = named.map(|other| other.on_failure).unwrap_or_default();
            let insert = "INSERT OR IGNORE INTO dependencies (job, dependant, on_failure, settled) VALUES (?1, ?2, ?3, ?4)";
            let values = params![job, seq, on_failure.as_str(), dependency.settled];
            self.connection.prepare_cached(insert)?.execute(values)?;
            self.has_edges = true;
            if !dependency.settled {
                self.has_dependencies = true;
                let state: State = state.parse().unwrap_or(State::Blocked);
                if state.is_finished() {
                    self.ended(job, None, state);
                }
            }
        }
        Ok(())
    }

    fn import_idempotency_key(&self, key: &ExportedIdempotencyKey) -> rusqlite::Result<Imported> {
        let find = "SELECT 1 FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2";
        let is_there = self.connection.prepare_cached(find)?.exists(params![key.key, self.now.0])?;
        if is_there || key.expires_at <= self.now {
            return Ok(Imported::Present);
        }
        let values = params![key.key, key.id.as_str(), key.fingerprint, key.expires_at.0];
        self.connection.prepare_cached(include_str!("../sql/hold_idempotency_key.sql"))?.execute(values)?;
        Ok(Imported::Created)
    }

    fn import_removal(&self, removal: &ExportedRemoval) -> rusqlite::Result<Imported> {
        let ExportedRemoval { id, until } = removal;
        if self.exists(id)? || crate::read::is_gone(self.connection, id, self.now)? || *until <= self.now {
            return Ok(Imported::Present);
        }
        let remember = "INSERT OR REPLACE INTO tombstones (id, expires_at) VALUES (?1, ?2)";
        self.connection.prepare_cached(remember)?.execute(params![id.as_str(), until.0])?;
        Ok(Imported::Created)
    }

    fn import_sample(&self, exported: &ExportedSample) -> rusqlite::Result<Imported> {
        let ExportedSample { sample, expires_at } = exported;
        let find = "SELECT 1 FROM samples WHERE series = ?1 AND at = ?2 AND source = ?3 AND expires_at > ?4";
        let values = params![sample.series, sample.at.0, sample.source, self.now.0];
        if self.connection.prepare_cached(find)?.exists(values)? || *expires_at <= self.now {
            return Ok(Imported::Present);
        }
        self.connection.prepare_cached(include_str!("../sql/put_sample.sql"))?.execute(params![
            sample.series,
            sample.at.0,
            sample.source,
            millis(sample.keep_for),
            expires_at.0,
            sample.body.as_str(),
        ])?;
        Ok(Imported::Created)
    }
}
