use longhaul::{Changes, EnqueueStatus, Enqueued, JobId, KeptChange, NewJob, Result, Start, State};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::connection::Connection;
use crate::error::fault;
use crate::keyed::KeyReused;
use crate::new_rows::{JOBS_PER_STATEMENT, NewRows, duplicate, id_of};
use crate::server_clock::Now;
use crate::write_tx::{Effects, WriteTx};

pub(crate) const INSERT_SIMPLE_JOB: &str = include_str!("sql/insert_simple_job.sql");
pub(crate) const INSERT_SIMPLE: &str = include_str!("sql/insert_simple_jobs.sql");
pub(crate) const INSERT_SIMPLE_KEYED: &str = include_str!("sql/insert_simple_keyed_jobs.sql");

impl WriteTx<'_> {
    /// Creates the jobs of several calls, each all or none. Their keys are locked already. A call that is refused leaves the others
    /// standing.
    pub(crate) async fn enqueue_all(&mut self, calls: &[&[NewJob]]) -> Result<Vec<Result<Vec<Enqueued>>>> {
        let is_simple: Vec<bool> =
            calls.iter().map(|jobs| is_simple(jobs) && !self.bounds.concern(jobs)).collect();
        let simple = calls.iter().zip(&is_simple).filter(|(_, is_simple)| **is_simple);
        let simple: Vec<&NewJob> = simple.flat_map(|(jobs, _)| *jobs).collect();
        let mut created = Vec::with_capacity(simple.len());
        for jobs in simple.chunks(JOBS_PER_STATEMENT) {
            created.extend(self.create_simple(jobs).await?);
        }
        let mut created = created.into_iter();
        let mut answers = Vec::with_capacity(calls.len());
        for (jobs, is_simple) in calls.iter().zip(is_simple) {
            answers.push(match is_simple {
                true => Ok(created.by_ref().take(jobs.len()).collect()),
                false => self.enqueue(jobs).await?,
            });
        }
        Ok(answers)
    }

    /// Creates jobs in their order, all or none.
    pub(crate) async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Result<Vec<Enqueued>>> {
        let room = self.room(jobs).await?;
        let enqueued = self.enqueue_without_freeing(jobs, KeyReused::RefusesAll, room).await?;
        // Of one that is refused nothing was done.
        self.free_childless().await?;
        // Of jobs that were superseded or dropped, some may have been children.
        self.settle().await?;
        Ok(enqueued)
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
            Some(_) => Enqueued::new(id, EnqueueStatus::Created),
            None => duplicate(id),
        };
        Ok(ids.into_iter().map(answer).collect())
    }
}

/// Creates, in one statement and a commit of its own, the jobs of several calls that are [simple](is_simple_enqueue).
/// Also returns the queues in which jobs are available, and the changes for observers; `None` if a bound on waiting
/// jobs may apply to one of them, and nothing was done.
pub(crate) async fn enqueue_simple(
    connection: &Connection,
    calls: &[&[NewJob]],
    now: Now,
    observers: &Changes,
) -> Result<Option<(Vec<Vec<Enqueued>>, Effects)>> {
    let ids: Vec<Vec<JobId>> = calls.iter().map(|jobs| jobs.iter().map(id_of).collect()).collect();
    let mut rows = NewRows::default();
    for (jobs, ids) in calls.iter().zip(&ids) {
        for (job, id) in jobs.iter().zip(ids) {
            rows.push(id, job, None, now)?;
        }
    }
    if !insert_simple(connection, &rows, now).await? {
        return Ok(None);
    }
    let mut effects = Effects::default();
    for (queue, state) in rows.queues.iter().zip(&rows.state_values) {
        if *state == State::Available && !effects.available.contains(*queue) {
            effects.available.insert((*queue).to_owned());
        }
    }
    if observers.is_observed() {
        let created = ids.iter().flatten().enumerate();
        let noted = created.map(|(number, id)| KeptChange::from(&rows.created(number, id, now.earliest)));
        effects.noted = noted.collect();
    }
    drop(rows);
    let created = |id| Enqueued::new(id, EnqueueStatus::Created);
    let answers = ids.into_iter().map(|ids| ids.into_iter().map(created).collect()).collect();
    Ok(Some((answers, effects)))
}

/// Writes rows of which nothing has to be looked up. False if a bound on waiting jobs may apply to one of them, and none was
/// written.
async fn insert_simple(connection: &Connection, rows: &NewRows<'_>, now: Now) -> Result<bool> {
    let has_keys = rows.limit_keys.iter().any(Option::is_some);
    let created = match (rows.ids.len(), has_keys) {
        (1, false) => insert_simple_job(connection, rows, now).await,
        _ => insert_simple_jobs(connection, rows, has_keys.then_some(&rows.limit_keys), now).await,
    };
    Ok(!created.map_err(fault("enqueue"))?.is_empty())
}

/// Writes the only one of `rows`, which has no limit keys.
async fn insert_simple_job(
    connection: &Connection,
    rows: &NewRows<'_>,
    now: Now,
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    let values: [&(dyn ToSql + Sync); 16] = [
        &rows.ids[0],
        &rows.kinds[0],
        &rows.versions[0],
        &rows.queues[0],
        &rows.states[0],
        &rows.priorities[0],
        &rows.ranks[0],
        &rows.run_ats[0],
        &rows.max_attempts[0],
        &rows.max_crashes[0],
        &rows.timeouts[0],
        &rows.backoffs[0],
        &now.earliest.0,
        &rows.labels[0],
        &rows.args[0],
        &rows.policies[0],
    ];
    connection.rows(INSERT_SIMPLE_JOB, &values).await
}

/// Writes all of `rows`, with the keys of those that have some.
async fn insert_simple_jobs(
    connection: &Connection,
    rows: &NewRows<'_>,
    limit_keys: Option<&Vec<Option<String>>>,
    now: Now,
) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
    let mut queues = rows.queues.clone();
    queues.sort_unstable();
    queues.dedup();
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![
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
        &rows.policies,
        &queues,
    ];
    let Some(limit_keys) = limit_keys else {
        return connection.rows(INSERT_SIMPLE, &values).await;
    };
    values.push(limit_keys);
    connection.rows(INSERT_SIMPLE_KEYED, &values).await
}

/// True where nothing has to be looked up, not even the ids.
pub(crate) fn is_simple_enqueue(jobs: &[NewJob]) -> bool {
    let is_simple_job = |job: &NewJob| job.id.is_none() && job.expires_in.is_none() && job.deadline.is_none();
    is_simple(jobs) && jobs.len() <= JOBS_PER_STATEMENT && jobs.iter().all(is_simple_job)
}

/// True where nothing has to be looked up but the ids.
fn is_simple(jobs: &[NewJob]) -> bool {
    jobs.iter().all(|job| {
        job.unique.is_none()
            && job.idempotency.is_none()
            && job.parent.is_none()
            && job.start != Start::AfterChildren
            && job.depends_on.is_empty()
            && job.steps.is_empty()
            && job.forked_from.is_none()
    })
}
