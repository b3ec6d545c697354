use std::collections::{BTreeSet, HashMap, HashSet};

use longhaul::clock::millis;
use longhaul::moving::{Exported, ExportedJob, Imported};
use longhaul::{Json, Result, Sample, State, StepRecord, Timestamp};
use serde_json::Value;

use super::rows::columns;
use crate::error::failed;
use crate::row::{rows_at_most, signed};
use crate::target::Target;
use crate::write_tx::WriteTx;

const OPERATION: &str = "import";

/// An existing job that others may refer to.
#[derive(Clone, Copy, Debug)]
struct There {
    seq: i64,
    state: State,
}

/// New jobs with their numbers, in order.
type NewJobs = Vec<(i64, ExportedJob)>;

impl WriteTx<'_> {
    /// Imports all but settings, which has been done.
    pub(crate) async fn import(
        &mut self,
        records: &[Exported],
        settings: &[Option<Imported>],
    ) -> Result<Vec<Imported>> {
        let mut jobs = self.import_jobs(records).await?;
        let now = self.now;
        let lasting: Vec<&Exported> = records.iter().filter(|record| !is_over(record, now)).collect();
        let mut keys = self.import_idempotency_keys(&lasting).await?;
        let mut removals = self.import_removals(&lasting).await?;
        let mut samples = self.import_samples(&lasting).await?;
        let created = |is_new: bool| if is_new { Imported::Created } else { Imported::Present };
        // Of records that a call has twice, the first was created, and is taken out for that.
        let answer = |(record, done): (&Exported, &Option<Imported>)| match record {
            _ if is_over(record, now) => Imported::Present,
            Exported::Queue(_) | Exported::Key(_) => done.unwrap_or(Imported::Present),
            Exported::Job(job) => match jobs.get_mut(job.job.id.as_str()) {
                Some(imported) if *imported == Imported::Created => {
                    std::mem::replace(imported, Imported::Present)
                }
                imported => imported.copied().unwrap_or(Imported::Present),
            },
            Exported::IdempotencyKey(key) => created(keys.remove(&key.key)),
            Exported::Removed(removal) => created(removals.remove(removal.id.as_str())),
            Exported::Sample(sample) => {
                let Sample { series, at, source, .. } = &sample.sample;
                created(samples.remove(&(series.clone(), at.0, source.clone())))
            }
        };
        Ok(records.iter().zip(settings).map(answer).collect())
    }

    /// Imports the jobs, and returns the result for each.
    async fn import_jobs<'r>(&mut self, records: &'r [Exported]) -> Result<HashMap<&'r str, Imported>> {
        let jobs: Vec<&ExportedJob> = records
            .iter()
            .filter_map(|record| match record {
                Exported::Job(job) => Some(&**job),
                _ => None,
            })
            .collect();
        let mut answers = HashMap::new();
        if jobs.is_empty() {
            return Ok(answers);
        }
        let keys: Vec<String> =
            jobs.iter().filter_map(|job| Some(format!("u{}", job.job.unique.as_ref()?.key))).collect();
        self.lock_keys(&keys).await?;
        let mut there = self.there(&jobs).await?;
        let ids: Vec<&str> = jobs.iter().map(|job| job.job.id.as_str()).collect();
        let sql = include_str!("../sql/gone.sql");
        let gone = self.rows(OPERATION, sql, &[&ids, &self.now.0]).await?;
        let gone: HashSet<String> = gone.iter().map(|row| row.get(0)).collect();
        let sql = include_str!("../sql/draw_numbers.sql");
        let numbers = self.rows(OPERATION, sql, &[&rows_at_most(jobs.len())]).await?;
        let mut parents = self.parents_of_imported(&jobs).await?;
        let (mut new, mut rows): (NewJobs, Vec<Value>) = (Vec::new(), Vec::new());
        for (job, number) in jobs.into_iter().zip(&numbers) {
            let id = job.job.id.as_str();
            if there.contains_key(id) {
                answers.entry(id).or_insert(Imported::Present);
                continue;
            }
            if gone.contains(id) {
                answers.insert(id, Imported::Removed);
                continue;
            }
            let (seq, mut exported) = (number.get::<_, i64>(0), job.clone());
            exported.keep_dependencies(|id| there.contains_key(id.as_str()), self.now);
            rows.push(columns(seq, &exported, parents.take(&exported))?);
            parents.add(seq, &exported.job);
            self.count(&exported.job.queue, None, Some(exported.job.state), 1);
            there.insert(id.to_owned(), There { seq, state: exported.job.state });
            answers.insert(id, Imported::Created);
            new.push((seq, exported));
        }
        if new.is_empty() {
            return Ok(answers);
        }
        let rows = serde_json::to_string(&rows).map_err(|error| failed(OPERATION, error.to_string()))?;
        self.rows(OPERATION, include_str!("../sql/insert_imported_jobs.sql"), &[&rows]).await?;
        self.write_parents(&parents).await?;
        self.import_logs(&new).await?;
        self.import_steps(&new).await?;
        self.import_holds(&new).await?;
        self.import_dependencies(&new, &there).await?;
        for (_, exported) in &new {
            if let Some(reason) = exported.cancel {
                let sql = include_str!("../sql/job_for_signal.sql");
                let found = self.rows(OPERATION, sql, &[&exported.job.id.as_str()]).await?;
                if let Some(row) = found.first() {
                    self.cancel_waiting(&Target::read_with_wait(row), reason).await?;
                }
            }
        }
        self.settle().await?;
        self.look_at_history(&new).await?;
        Ok(answers)
    }

    /// The jobs that are there, of those that are imported and those that they depend on. None that others depend on ends before
    /// these are there.
    async fn there(&self, jobs: &[&ExportedJob]) -> Result<HashMap<String, There>> {
        let (mut named, mut awaited) = (BTreeSet::new(), BTreeSet::new());
        for job in jobs {
            named.insert(job.job.id.as_str());
            awaited.extend(job.dependencies.iter().map(|dependency| dependency.id.as_str()));
        }
        let (named, awaited): (Vec<&str>, Vec<&str>) =
            (named.into_iter().collect(), awaited.into_iter().collect());
        let mut found =
            self.rows(OPERATION, include_str!("../sql/dependencies_by_id.sql"), &[&awaited]).await?;
        found.extend(self.rows(OPERATION, include_str!("../sql/jobs_of_ids.sql"), &[&named]).await?);
        let there = |row: &tokio_postgres::Row| {
            (row.get(0), There { seq: row.get(1), state: crate::row::state(row, 2) })
        };
        Ok(found.iter().map(there).collect())
    }

    async fn import_logs(&self, new: &NewJobs) -> Result<()> {
        let (mut jobs, mut seqs, mut moments) = (Vec::new(), Vec::new(), Vec::new());
        let (mut attempts, mut bodies): (Vec<i64>, Vec<String>) = (Vec::new(), Vec::new());
        for (seq, exported) in new {
            for event in &exported.log {
                jobs.push(*seq);
                seqs.push(signed(event.seq));
                moments.push(event.at.0);
                attempts.push(event.attempt.into());
                bodies.push(Json::new(&event.body)?.as_str().to_owned());
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let sql = include_str!("../sql/insert_imported_events.sql");
        self.rows(OPERATION, sql, &[&jobs, &seqs, &moments, &attempts, &bodies]).await.map(drop)
    }

    async fn import_steps(&self, new: &NewJobs) -> Result<()> {
        let (mut jobs, mut names, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut attempts, mut ends, mut tooks) = (Vec::<i64>::new(), Vec::new(), Vec::new());
        for (seq, exported) in new {
            for step in &exported.steps {
                let StepRecord { name, attempt, started_at, finished_at, output } = step;
                jobs.push(*seq);
                names.push(name.as_str());
                outputs.push(output.as_ref().map_or("", Json::as_str));
                attempts.push((*attempt).into());
                ends.push(finished_at.map(|at| at.0));
                tooks.push(started_at.zip(*finished_at).map(|(began, ended)| millis(ended.since(began))));
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let sql = include_str!("../sql/insert_imported_steps.sql");
        self.rows(OPERATION, sql, &[&jobs, &names, &outputs, &attempts, &ends, &tooks]).await.map(drop)
    }

    /// Gives jobs their unique keys again, unless others have them.
    async fn import_holds(&self, new: &NewJobs) -> Result<()> {
        let held = new.iter().filter_map(|(seq, exported)| {
            let (unique, holding) = (exported.job.unique.as_ref()?, exported.holds?);
            Some((unique.key.as_str(), *seq, holding.until.map(|until| until.0)))
        });
        let held: Vec<(&str, i64, Option<i64>)> = held.collect();
        let keys: Vec<&str> = held.iter().map(|(key, ..)| *key).collect();
        let holders = self.unique_holders(&keys).await?;
        let (mut keys, mut jobs, mut until) = (Vec::new(), Vec::new(), Vec::new());
        for (key, job, expires_at) in held.into_iter().filter(|(key, ..)| !holders.contains_key(*key)) {
            keys.push(key);
            jobs.push(job);
            until.push(expires_at);
        }
        self.hold_unique_keys(&keys, &jobs, &until).await
    }

    /// Makes jobs depend on those that they did; what has ended here since is counted by them when all is settled.
    async fn import_dependencies(&mut self, new: &NewJobs, there: &HashMap<String, There>) -> Result<()> {
        let (mut jobs, mut dependants, mut on_failures, mut settled) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut ended: HashMap<i64, &str> = HashMap::new();
        for (seq, exported) in new {
            for dependency in &exported.dependencies {
                let Some(other) = there.get(dependency.id.as_str()) else { continue };
                let named = exported.job.depends_on.iter().find(|named| named.id == dependency.id);
                jobs.push(other.seq);
                dependants.push(*seq);
                on_failures.push(named.map(|named| named.on_failure).unwrap_or_default().as_str());
                settled.push(dependency.settled);
                if !dependency.settled && other.state.is_finished() {
                    ended.insert(other.seq, other.state.as_str());
                }
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let sql = include_str!("../sql/insert_dependencies.sql");
        self.rows(OPERATION, sql, &[&jobs, &dependants, &on_failures, &settled]).await?;
        if !ended.is_empty() {
            let (jobs, outcomes): (Vec<i64>, Vec<&str>) = ended.into_iter().unzip();
            let sql = include_str!("../sql/note_ended_again.sql");
            self.rows(OPERATION, sql, &[&jobs, &outcomes]).await?;
            self.has_ended_dependencies = true;
        }
        Ok(())
    }

    async fn look_at_history(&self, new: &NewJobs) -> Result<()> {
        let ended = new.iter().filter(|(_, exported)| exported.job.state.is_finished());
        let ended: BTreeSet<(&str, &str)> =
            ended.map(|(_, exported)| (exported.job.queue.as_str(), exported.job.state.as_str())).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let (queues, states): (Vec<&str>, Vec<&str>) = ended.into_iter().unzip();
        let sql = include_str!("../sql/look_at_history.sql");
        self.rows(OPERATION, sql, &[&queues, &states]).await.map(drop)
    }

    async fn import_idempotency_keys(&self, records: &[&Exported]) -> Result<HashSet<String>> {
        let (mut keys, mut ids, mut fingerprints, mut ends) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // One statement cannot write a row twice: the first counts.
        let mut seen = HashSet::new();
        for record in records {
            if let Exported::IdempotencyKey(key) = record
                && seen.insert(&key.key)
            {
                keys.push(key.key.as_str());
                ids.push(key.id.as_str());
                fingerprints.push(key.fingerprint.as_str());
                ends.push(key.expires_at.0);
            }
        }
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = include_str!("../sql/import_idempotency_keys.sql");
        let rows = self.rows(OPERATION, sql, &[&keys, &ids, &fingerprints, &ends, &self.now.0]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn import_removals(&self, records: &[&Exported]) -> Result<HashSet<String>> {
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for record in records {
            if let Exported::Removed(removal) = record
                && seen.insert(&removal.id)
            {
                ids.push(removal.id.as_str());
                ends.push(removal.until.0);
            }
        }
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = include_str!("../sql/import_removals.sql");
        let rows = self.rows(OPERATION, sql, &[&ids, &ends, &self.now.0]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn import_samples(&self, records: &[&Exported]) -> Result<HashSet<(String, i64, String)>> {
        let (mut series, mut moments, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ends, mut bodies) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for record in records {
            if let Exported::Sample(exported) = record
                && seen.insert((&exported.sample.series, exported.sample.at, &exported.sample.source))
            {
                series.push(exported.sample.series.as_str());
                moments.push(exported.sample.at.0);
                sources.push(exported.sample.source.as_str());
                ends.push(exported.expires_at.0);
                bodies.push(exported.sample.body.as_str());
            }
        }
        if series.is_empty() {
            return Ok(HashSet::new());
        }
        let sql = include_str!("../sql/import_samples.sql");
        let values: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&series, &moments, &sources, &ends, &bodies, &self.now.0];
        let rows = self.rows(OPERATION, sql, values).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }
}

/// True for a record whose time is over: no store keeps it.
fn is_over(record: &Exported, now: Timestamp) -> bool {
    match record {
        Exported::IdempotencyKey(key) => key.expires_at <= now,
        Exported::Removed(removal) => removal.until <= now,
        Exported::Sample(sample) => sample.expires_at <= now,
        Exported::Queue(_) | Exported::Key(_) | Exported::Job(_) => false,
    }
}
