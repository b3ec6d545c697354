use std::collections::{BTreeSet, HashMap};

use longhaul::clock::millis;
use longhaul::lifecycle;
use longhaul::{EnqueueStatus, Enqueued, JobId, Json, NewJob, OnClash, Policy, Result, Start, State};
use tokio_postgres::types::ToSql;

use crate::connection::Connection;
use crate::error::fault;
use crate::server_clock::Now;
use crate::write_tx::WriteTx;

pub(crate) const INSERT_SIMPLE: &str = include_str!("sql/insert_simple_jobs.sql");

/// The most jobs of one statement.
const JOBS_PER_STATEMENT: usize = 5_000;

impl WriteTx<'_> {
    /// Creates the jobs of several calls, each all or none. Their keys are locked already.
    pub(crate) async fn enqueue_all(&mut self, calls: &[&[NewJob]]) -> Result<Vec<Vec<Enqueued>>> {
        let simple: Vec<&NewJob> = calls.iter().copied().filter(|jobs| is_simple(jobs)).flatten().collect();
        let mut created = Vec::with_capacity(simple.len());
        for jobs in simple.chunks(JOBS_PER_STATEMENT) {
            created.extend(self.create_simple(jobs).await?);
        }
        let mut created = created.into_iter();
        let mut answers = Vec::with_capacity(calls.len());
        for jobs in calls {
            answers.push(match is_simple(jobs) {
                true => created.by_ref().take(jobs.len()).collect(),
                false => self.enqueue(jobs).await?,
            });
        }
        Ok(answers)
    }

    /// Creates jobs, one after the other.
    pub(crate) async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
        let enqueued = self.enqueue_without_freeing(jobs).await?;
        self.free_childless().await?;
        Ok(enqueued)
    }

    /// The same, while more children may come before a closing job without any is let go.
    pub(crate) async fn enqueue_without_freeing(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>> {
        if jobs.iter().any(|job| job.idempotency.is_some())
            && let Some(refused) = self.refused(jobs).await?
        {
            return Ok(refused);
        }
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(self.enqueue_one(job).await?);
        }
        Ok(answers)
    }

    /// The answer where an idempotency key was used for another request. Looked at before anything is written,
    /// so that there is nothing to undo.
    async fn refused(&self, jobs: &[NewJob]) -> Result<Option<Vec<Enqueued>>> {
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
                None => self.idempotency_holder(key).await?,
            };
            refused.push(match holder {
                Some((id, fingerprint)) => (fingerprint != key.fingerprint).then_some(id),
                None => {
                    used.insert(&key.key, (id_of(job), &key.fingerprint));
                    None
                }
            });
        }
        if refused.iter().all(Option::is_none) {
            return Ok(None);
        }
        let answer = |(job, holder): (&NewJob, Option<JobId>)| match holder {
            Some(id) => Enqueued { id, status: EnqueueStatus::KeyReused },
            None => Enqueued { id: id_of(job), status: EnqueueStatus::NotCreated },
        };
        Ok(Some(jobs.iter().zip(refused).map(answer).collect()))
    }

    async fn enqueue_one(&mut self, job: &NewJob) -> Result<Enqueued> {
        let Some(key) = &job.idempotency else { return self.create(job).await };
        if let Some((id, _)) = self.idempotency_holder(key).await? {
            return Ok(duplicate(id));
        }
        // Whatever the first request is answered with, a repetition is too: a job that was there before as well.
        let enqueued = self.create(job).await?;
        self.hold_idempotency_key(key, &enqueued.id).await?;
        Ok(enqueued)
    }

    async fn create(&mut self, job: &NewJob) -> Result<Enqueued> {
        let id = id_of(job);
        if let Some(unique) = &job.unique {
            // The id goes before the key: a job of that very id is a duplicate, whoever holds the key.
            if job.id.is_some() && self.exists(&id).await? {
                return Ok(duplicate(id));
            }
            if let Some(holder) = self.unique_holder(&unique.key).await? {
                match unique.on_clash {
                    // The key is given to the new job below.
                    OnClash::Refresh if holder.state.is_finished() => {}
                    OnClash::Join | OnClash::Refresh => return Ok(duplicate(holder.id)),
                }
            }
        }
        let batch = self.open_batch(job.parent.as_ref()).await?;
        let mut rows = NewRows::default();
        rows.push(&id, job, batch, self.time)?;
        let Some(seq) = self.insert(rows).await?.remove(id.as_str()) else { return Ok(duplicate(id)) };
        if let Some(batch) = batch {
            self.count_child(batch).await?;
        }
        if job.start == Start::AfterChildren {
            self.new_batches.push(seq);
        }
        if let Some(unique) = &job.unique {
            self.hold_unique_key(&unique.key, seq).await?;
        }
        Ok(Enqueued { id, status: EnqueueStatus::Created })
    }

    async fn exists(&self, id: &JobId) -> Result<bool> {
        let rows = self.rows("look a job up", include_str!("sql/job_exists.sql"), &[&id.as_str()]).await?;
        Ok(!rows.is_empty())
    }

    /// Creates jobs of which nothing but their ids may be known already.
    async fn create_simple(&mut self, jobs: &[&NewJob]) -> Result<Vec<Enqueued>> {
        let ids: Vec<JobId> = jobs.iter().map(|job| id_of(job)).collect();
        let mut rows = NewRows::default();
        for (id, job) in ids.iter().zip(jobs) {
            rows.push(id, job, None, self.time)?;
        }
        let mut created = self.insert(rows).await?;
        // The second of two jobs of one id finds it taken.
        let answer = |id: JobId| match created.remove(id.as_str()) {
            Some(_) => Enqueued { id, status: EnqueueStatus::Created },
            None => duplicate(id),
        };
        Ok(ids.into_iter().map(answer).collect())
    }

    /// Writes rows, and answers the `seq` of each that was not there.
    async fn insert(&mut self, rows: NewRows<'_>) -> Result<HashMap<String, i64>> {
        let sql = include_str!("sql/insert_jobs.sql");
        let inserted = self
            .rows(
                "enqueue",
                sql,
                &[
                    &rows.ids,
                    &rows.kinds,
                    &rows.versions,
                    &rows.queues,
                    &rows.states,
                    &rows.priorities,
                    &rows.ranks,
                    &rows.run_ats,
                    &rows.max_attempts,
                    &rows.max_crashes,
                    &rows.timeouts,
                    &rows.unique_keys,
                    &rows.unique_periods,
                    &rows.parents,
                    &rows.backoffs,
                    &rows.labels,
                    &rows.args,
                    &rows.limit_keys,
                    &rows.batches,
                    &self.now.0,
                    &rows.children,
                    &rows.policies,
                ],
            )
            .await?;
        let created: HashMap<String, i64> = inserted.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut counted = HashMap::new();
        for (number, id) in rows.ids.iter().enumerate() {
            // The first of a double id is the one that was created.
            if created.contains_key(*id) && counted.insert(*id, ()).is_none() {
                self.moved(rows.queues[number], None, Some(rows.state_values[number]));
            }
        }
        if !rows.given.is_empty() {
            let sql = include_str!("sql/clear_tombstones.sql");
            self.rows("enqueue", sql, &[&rows.given]).await?;
        }
        Ok(created)
    }
}

/// Creates, in one statement and a commit of its own, the jobs of several calls that are [simple](is_simple_enqueue).
/// Answers the queues in which jobs are available, too.
pub(crate) async fn enqueue_simple(
    connection: &Connection,
    calls: &[&[NewJob]],
    now: Now,
) -> Result<(Vec<Vec<Enqueued>>, BTreeSet<String>)> {
    let ids: Vec<Vec<JobId>> = calls.iter().map(|jobs| jobs.iter().map(id_of).collect()).collect();
    let mut rows = NewRows::default();
    for (jobs, ids) in calls.iter().zip(&ids) {
        for (job, id) in jobs.iter().zip(ids) {
            rows.push(id, job, None, now)?;
        }
    }
    let values: [&(dyn ToSql + Sync); 17] = [
        &rows.ids,
        &rows.kinds,
        &rows.versions,
        &rows.queues,
        &rows.states,
        &rows.priorities,
        &rows.ranks,
        &rows.run_ats,
        &rows.max_attempts,
        &rows.max_crashes,
        &rows.timeouts,
        &rows.backoffs,
        &rows.labels,
        &now.earliest.0,
        &rows.args,
        &rows.limit_keys,
        &rows.policies,
    ];
    connection.rows(INSERT_SIMPLE, &values).await.map_err(fault("enqueue"))?;
    let mut available = BTreeSet::new();
    for (queue, state) in rows.queues.iter().zip(&rows.state_values) {
        if *state == State::Available && !available.contains(*queue) {
            available.insert((*queue).to_owned());
        }
    }
    drop(rows);
    let created = |id| Enqueued { id, status: EnqueueStatus::Created };
    Ok((ids.into_iter().map(|ids| ids.into_iter().map(created).collect()).collect(), available))
}

/// True where nothing has to be looked up, not even the ids.
pub(crate) fn is_simple_enqueue(jobs: &[NewJob]) -> bool {
    is_simple(jobs) && jobs.len() <= JOBS_PER_STATEMENT && jobs.iter().all(|job| job.id.is_none())
}

/// True where nothing has to be looked up but the ids.
fn is_simple(jobs: &[NewJob]) -> bool {
    jobs.iter().all(|job| {
        job.unique.is_none()
            && job.idempotency.is_none()
            && job.parent.is_none()
            && job.start != Start::AfterChildren
    })
}

fn id_of(job: &NewJob) -> JobId {
    job.id.clone().unwrap_or_else(JobId::random)
}

fn duplicate(id: JobId) -> Enqueued {
    Enqueued { id, status: EnqueueStatus::Duplicate }
}

/// New rows, column by column, as the statement wants them.
#[derive(Default)]
struct NewRows<'j> {
    ids: Vec<&'j str>,
    kinds: Vec<&'j str>,
    versions: Vec<i64>,
    queues: Vec<&'j str>,
    states: Vec<&'static str>,
    priorities: Vec<i64>,
    ranks: Vec<i64>,
    run_ats: Vec<i64>,
    max_attempts: Vec<i64>,
    max_crashes: Vec<i64>,
    timeouts: Vec<Option<i64>>,
    unique_keys: Vec<Option<&'j str>>,
    unique_periods: Vec<Option<i64>>,
    parents: Vec<Option<&'j str>>,
    /// Written beside `policies` for the release before, which knows these two alone.
    backoffs: Vec<Option<String>>,
    policies: Vec<Option<String>>,
    labels: Vec<Option<String>>,
    args: Vec<&'j str>,
    limit_keys: Vec<Option<&'j str>>,
    batches: Vec<Option<i64>>,
    children: Vec<Option<i64>>,
    state_values: Vec<State>,
    /// The ids that callers have chosen, which may have been another job's.
    given: Vec<&'j str>,
}

impl<'j> NewRows<'j> {
    fn push(&mut self, id: &'j JobId, job: &'j NewJob, batch: Option<i64>, now: Now) -> Result<()> {
        // A delay is counted from the latest time that it may be.
        let start = match job.start {
            Start::After(delay) => Start::After(now.plus(delay).since(now.earliest)),
            start => start,
        };
        let (state, run_at) = lifecycle::start(start, now.earliest);
        let labels = (!job.labels.is_empty()).then(|| Json::new(&job.labels)).transpose()?;
        let backoff = job.policy.backoff.map(|backoff| Json::new(&backoff)).transpose()?;
        self.ids.push(id.as_str());
        self.kinds.push(&job.kind);
        self.versions.push(job.version.into());
        self.queues.push(&job.queue);
        self.states.push(state.as_str());
        self.state_values.push(state);
        self.priorities.push(job.priority.into());
        self.ranks.push(lifecycle::rank(run_at, job.priority));
        self.run_ats.push(run_at.0);
        self.max_attempts.push(job.max_attempts.into());
        self.max_crashes.push(job.max_crashes.into());
        self.timeouts.push(job.policy.timeout.map(millis));
        self.unique_keys.push(job.unique.as_ref().map(|unique| unique.key.as_str()));
        self.unique_periods.push(job.unique.as_ref().and_then(|unique| unique.period).map(millis));
        self.parents.push(job.parent.as_ref().map(JobId::as_str));
        let policy = (job.policy != Policy::default()).then(|| Json::new(&job.policy)).transpose()?;
        self.backoffs.push(backoff.map(|backoff| backoff.as_str().to_owned()));
        self.policies.push(policy.map(|policy| policy.as_str().to_owned()));
        self.labels.push(labels.map(|labels| labels.as_str().to_owned()));
        self.args.push(job.args.as_str());
        self.limit_keys.push(job.limit_key.as_deref());
        self.batches.push(batch);
        self.children.push((job.start == Start::AfterChildren).then_some(0));
        if job.id.is_some() {
            self.given.push(id.as_str());
        }
        Ok(())
    }
}
