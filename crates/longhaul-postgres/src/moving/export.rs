use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use longhaul::moving::{
    BYTES_PER_PAGE, Export, Exported, ExportedDependency, ExportedIdempotencyKey, ExportedJob,
    ExportedRemoval, ExportedSample, Holding, RECORDS_PER_PAGE,
};
use longhaul::{Event, JobId, JobRecord, Json, Payloads, Result, Sample, StepRecord, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::{closed, fault};
use crate::row::{RowFacts, hold, job_columns, job_record, rows_at_most, small, unsigned};

/// A read of all tables as they were when it began, on a connection of the pool.
///
/// [`Export`] reads the jobs, and [`query`](Self::query) an application's own tables, as of the same moment; the end of the jobs ends
/// the snapshot, so these come last.
pub struct Snapshot {
    /// `None` once it has ended or failed.
    client: Option<Object>,
    settings: Vec<Exported>,
    at: Place,
    now: Timestamp,
}

/// The part of the tables that comes next, and the last row of it that was read.
#[derive(Clone, Debug)]
enum Place {
    Settings,
    Jobs(i64),
    IdempotencyKeys(String),
    Removed(String),
    Samples(Option<(String, i64, String)>),
    End,
}

impl Snapshot {
    pub(crate) async fn begin(client: Object, settings: Vec<Exported>, now: Timestamp) -> Result<Self> {
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
            .map_err(fault("export"))?;
        let snapshot = Self { client: Some(client), settings, at: Place::Settings, now };
        // The moment is that of the first statement.
        snapshot.rows("SELECT FROM queues LIMIT 1", &[]).await?;
        Ok(snapshot)
    }

    /// Reads an application's own tables.
    ///
    /// # Errors
    /// A fault of the statement or of the connection, after which the snapshot is of no use, or that the snapshot has ended.
    pub async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.rows(sql, values).await
    }

    async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let Some(client) = &self.client else { return Err(closed()) };
        let read = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, values).await
        };
        read.await.map_err(fault("export"))
    }

    async fn end(&mut self) -> Result<()> {
        let Some(client) = self.client.take() else { return Ok(()) };
        let ended = client.batch_execute("COMMIT").await;
        if ended.is_err() {
            drop(Object::take(client));
        }
        ended.map_err(fault("export"))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // One in the midst of a transaction is of no use to anybody else.
        self.client.take().map(Object::take);
    }
}

#[async_trait]
impl Export for Snapshot {
    async fn next(&mut self) -> Result<Vec<Exported>> {
        loop {
            let records = match self.at.clone() {
                Place::Settings => {
                    self.at = Place::Jobs(i64::MIN);
                    std::mem::take(&mut self.settings)
                }
                Place::Jobs(after) => self.jobs(after).await?,
                Place::IdempotencyKeys(after) => self.idempotency_keys(&after).await?,
                Place::Removed(after) => self.removed(&after).await?,
                Place::Samples(after) => self.samples(after).await?,
                Place::End => {
                    self.end().await?;
                    return Ok(Vec::new());
                }
            };
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }
}

impl Snapshot {
    async fn jobs(&mut self, after: i64) -> Result<Vec<Exported>> {
        let sql = include_str!("../sql/jobs_to_export.sql");
        let (most, bytes) = (rows_at_most(RECORDS_PER_PAGE), BYTES_PER_PAGE as i64);
        let found = self.rows(sql, &[&after, &most, &bytes]).await?;
        let Some(last) = found.first().and_then(|row| row.get::<_, Option<i64>>(0)) else {
            self.at = Place::IdempotencyKeys(String::new());
            return Ok(Vec::new());
        };
        let columns = job_columns(Payloads::Whole);
        let held = "FROM unique_keys AS held WHERE held.key = jobs.unique_key AND held.job = jobs.seq
                    AND (held.expires_at IS NULL OR held.expires_at > $3)";
        let sql = format!(
            "SELECT {columns}, hold, unique_period, EXISTS (SELECT {held}), (SELECT held.expires_at {held}),
                    EXISTS (SELECT FROM jobs AS parents WHERE parents.seq = jobs.batch AND parents.id = jobs.parent)
             FROM jobs WHERE seq > $1 AND seq <= $2 ORDER BY seq"
        );
        let rows = self.rows(&sql, &[&after, &last, &self.now.0]).await?;
        let records: Vec<_> = rows.iter().map(job_record).collect();
        let seqs: Vec<i64> = records.iter().map(|(_, facts)| facts.seq).collect();
        let mut logs = grouped(&self.rows(include_str!("../sql/logs_to_export.sql"), &[&seqs]).await?, event);
        let mut steps =
            grouped(&self.rows(include_str!("../sql/steps_to_export.sql"), &[&seqs]).await?, step);
        let sql = include_str!("../sql/dependencies_to_export.sql");
        let mut dependencies = grouped(&self.rows(sql, &[&seqs]).await?, dependency);
        self.at = Place::Jobs(last);
        let exported = |(row, (job, facts)): (&Row, (JobRecord, RowFacts))| {
            let until = row.get::<_, Option<i64>>(50).map(Timestamp);
            // One that ended while its follower gave the key back could not note until when.
            let ended = job.finished_at.filter(|_| job.state.is_finished());
            let hold = hold(row, [47, 48]);
            let kept = match (until, ended) {
                (None, Some(at)) => hold.after(job.state, at).is_some_and(|until| until > self.now),
                _ => true,
            };
            let until =
                until.or_else(|| hold.after(job.state, ended?)).filter(|until| *until < Timestamp::MAX);
            Exported::Job(Box::new(ExportedJob {
                holds: (row.get::<_, bool>(49) && kept).then_some(Holding { until }),
                hold,
                counted: row.get(51),
                dependencies: dependencies.remove(&facts.seq).unwrap_or_default(),
                state_event: facts.state_event,
                state_at: facts.state_at,
                log_gap: facts.gap,
                log: logs.remove(&facts.seq).unwrap_or_default(),
                steps: steps.remove(&facts.seq).unwrap_or_default(),
                cancel: None,
                job,
            }))
        };
        Ok(rows.iter().zip(records).map(exported).collect())
    }

    async fn idempotency_keys(&mut self, after: &str) -> Result<Vec<Exported>> {
        let sql = "SELECT key, fingerprint, job_id, expires_at FROM idempotency_keys
                   WHERE key > $1 AND expires_at > $2 ORDER BY key LIMIT $3";
        let rows = self.rows(sql, &[&after, &self.now.0, &rows_at_most(RECORDS_PER_PAGE)]).await?;
        self.at = match rows.last() {
            Some(last) => Place::IdempotencyKeys(last.get(0)),
            None => Place::Removed(String::new()),
        };
        let key = |row: &Row| {
            let (key, fingerprint) = (row.get(0), row.get(1));
            let (id, expires_at) = (JobId::from_store(row.get(2)), Timestamp(row.get(3)));
            Exported::IdempotencyKey(ExportedIdempotencyKey { key, fingerprint, id, expires_at })
        };
        Ok(rows.iter().map(key).collect())
    }

    async fn removed(&mut self, after: &str) -> Result<Vec<Exported>> {
        let sql =
            "SELECT id, expires_at FROM tombstones WHERE id > $1 AND expires_at > $2 ORDER BY id LIMIT $3";
        let rows = self.rows(sql, &[&after, &self.now.0, &rows_at_most(RECORDS_PER_PAGE)]).await?;
        self.at = match rows.last() {
            Some(last) => Place::Removed(last.get(0)),
            None => Place::Samples(None),
        };
        let removal = |row: &Row| {
            let (id, until) = (JobId::from_store(row.get(0)), Timestamp(row.get(1)));
            Exported::Removed(ExportedRemoval { id, until })
        };
        Ok(rows.iter().map(removal).collect())
    }

    async fn samples(&mut self, after: Option<(String, i64, String)>) -> Result<Vec<Exported>> {
        let (series, at, source) = after.unwrap_or_else(|| (String::new(), i64::MIN, String::new()));
        let sql = "SELECT series, at, source, expires_at, body FROM samples
                   WHERE (series, at, source) > ($1, $2, $3) AND expires_at > $4 ORDER BY series, at, source LIMIT $5";
        // One may be half a mebibyte.
        let limit = rows_at_most(RECORDS_PER_PAGE / 10);
        let rows = self.rows(sql, &[&series, &at, &source, &self.now.0, &limit]).await?;
        self.at = match rows.last() {
            Some(last) => Place::Samples(Some((last.get(0), last.get(1), last.get(2)))),
            None => Place::End,
        };
        let sample = |row: &Row| {
            let expires_at = Timestamp(row.get(3));
            let sample = Sample {
                series: row.get(0),
                at: Timestamp(row.get(1)),
                source: row.get(2),
                keep_for: expires_at.since(self.now),
                // One that cannot be read is none.
                body: Json::parse(row.get::<_, String>(4)).unwrap_or_default(),
            };
            Exported::Sample(ExportedSample { sample, expires_at })
        };
        Ok(rows.iter().map(sample).collect())
    }
}

/// The values of rows by the job in their first column.
fn grouped<T>(rows: &[Row], read: impl Fn(&Row) -> Option<T>) -> HashMap<i64, Vec<T>> {
    let mut groups: HashMap<i64, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(row.get(0)).or_default().extend(read(row));
    }
    groups
}

fn event(row: &Row) -> Option<Event> {
    Some(Event {
        seq: unsigned(row.get(1)),
        at: Timestamp(row.get(2)),
        attempt: small(row.get(3)),
        // An entry of a sort that this release does not know is left out.
        body: serde_json::from_str(row.get(4)).ok()?,
    })
}

fn step(row: &Row) -> Option<StepRecord> {
    let finished_at = row.get::<_, Option<i64>>(3).map(Timestamp);
    let took =
        row.get::<_, Option<i64>>(4).map_or(Duration::ZERO, |took| Duration::from_millis(unsigned(took)));
    Some(StepRecord {
        name: row.get(1),
        attempt: row.get::<_, Option<i64>>(2).map_or(0, small),
        started_at: finished_at.map(|at| at.minus(took)),
        finished_at,
        output: row.get::<_, Option<String>>(5).and_then(|output| Json::parse(output).ok()),
    })
}

fn dependency(row: &Row) -> Option<ExportedDependency> {
    Some(ExportedDependency { id: JobId::from_store(row.get(1)), settled: row.get(2) })
}
