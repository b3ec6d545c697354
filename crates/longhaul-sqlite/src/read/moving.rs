use std::path::PathBuf;

use async_trait::async_trait;
use longhaul::lifecycle::unique::Hold;
use longhaul::moving::{
    BYTES_PER_PAGE, Export, Exported, ExportedDependency, ExportedIdempotencyKey, ExportedJob,
    ExportedRemoval, ExportedSample, Holding, RECORDS_PER_PAGE,
};
use longhaul::{Error, Event, JobId, Payloads, Result, Sample, Timestamp};
use rusqlite::{Connection, Row, params};
use tokio::task::JoinError;

use super::steps::step;
use crate::error::{closed, fault, panicked};
use crate::extra_fields::ExtraFields;
use crate::row::{Columns, RowFacts, job_columns, job_record, unsigned};

/// A read of the whole file as it was when it began, on a connection of its own: what is written meanwhile is not in it. Until it
/// ends, the log of writes is not folded back into the file.
///
/// [`Export`] reads the jobs, and [`read`](Self::read) an application's own tables, as of the same moment.
pub struct Snapshot {
    /// `None` while a page is read, and where that has failed.
    connection: Option<Connection>,
    settings: Vec<Exported>,
    at: Place,
    now: Timestamp,
}

/// The part of the file that comes next, and the last row of it that was read.
#[derive(Clone, Debug)]
enum Place {
    Settings,
    Jobs(i64),
    IdempotencyKeys(String),
    Removed(String),
    Samples(i64),
    End,
}

impl Snapshot {
    pub(crate) async fn begin(path: PathBuf, settings: Vec<Exported>, now: Timestamp) -> Result<Self> {
        let begin = move || -> Result<Connection> {
            let connection = crate::open::reading(&path)?;
            // A transaction sees what there is at its first look.
            let begun = connection
                .execute_batch("BEGIN")
                .and_then(|()| connection.query_row("SELECT count(*) FROM compatibility", [], |_| Ok(())));
            begun.map_err(fault("export"))?;
            Ok(connection)
        };
        let connection = tokio::task::spawn_blocking(begin).await.map_err(|_| closed())??;
        Ok(Self { connection: Some(connection), settings, at: Place::Settings, now })
    }

    /// Reads on the connection of the snapshot, off the runtime's threads. A statement that fails leaves the snapshot as it is.
    ///
    /// # Errors
    /// What `work` returned, or that the snapshot is gone, as after a panic in an earlier read.
    pub async fn read<T, F>(&mut self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let Some(connection) = self.connection.take() else { return Err(closed()) };
        let read = tokio::task::spawn_blocking(move || {
            let read = work(&connection).map_err(fault("export"));
            (connection, read)
        });
        let (connection, read) = read.await.map_err(ended)?;
        self.connection = Some(connection);
        read
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The fault of a read that did not come to its end.
fn ended(ended: JoinError) -> Error {
    match ended.try_into_panic() {
        Ok(panic) => panicked("export", &*panic),
        Err(_) => closed(),
    }
}

#[async_trait]
impl Export for Snapshot {
    async fn next(&mut self) -> Result<Vec<Exported>> {
        if let Place::Settings = self.at {
            self.at = Place::Jobs(i64::MIN);
            let settings = std::mem::take(&mut self.settings);
            if !settings.is_empty() {
                return Ok(settings);
            }
        }
        let Some(connection) = self.connection.take() else { return Err(closed()) };
        let (mut at, now) = (self.at.clone(), self.now);
        let read = tokio::task::spawn_blocking(move || -> Result<(Connection, Vec<Exported>, Place)> {
            let mut records = Vec::new();
            while records.is_empty() && !matches!(at, Place::End) {
                (records, at) = page(&connection, at, now).map_err(fault("export"))?;
            }
            Ok((connection, records, at))
        });
        let (connection, records, at) = read.await.map_err(ended)??;
        (self.connection, self.at) = (Some(connection), at);
        Ok(records)
    }
}

/// The next records of a part of the file, and what comes after them: the next part, where there are none.
fn page(connection: &Connection, at: Place, now: Timestamp) -> rusqlite::Result<(Vec<Exported>, Place)> {
    let limit = i64::try_from(RECORDS_PER_PAGE).unwrap_or(i64::MAX);
    match at {
        Place::Settings | Place::End => Ok((Vec::new(), Place::End)),
        Place::Jobs(after) => {
            let (jobs, last) = jobs(connection, after, limit, now)?;
            let next = last.map_or(Place::IdempotencyKeys(String::new()), Place::Jobs);
            Ok((jobs, next))
        }
        Place::IdempotencyKeys(after) => {
            let sql = "SELECT key, fingerprint, job_id, expires_at FROM idempotency_keys
                       WHERE key > ?1 AND expires_at > ?2 ORDER BY key LIMIT ?3";
            let mut find = connection.prepare_cached(sql)?;
            let read = |row: &Row<'_>| {
                let (key, fingerprint) = (row.get(0)?, row.get(1)?);
                let (id, expires_at) = (JobId::from_store(row.get(2)?), Timestamp(row.get(3)?));
                Ok(ExportedIdempotencyKey { key, fingerprint, id, expires_at })
            };
            let keys: Vec<_> =
                find.query_map(params![after, now.0, limit], read)?.collect::<rusqlite::Result<_>>()?;
            let next = keys.last().map(|key| Place::IdempotencyKeys(key.key.clone()));
            let next = next.unwrap_or(Place::Removed(String::new()));
            Ok((keys.into_iter().map(Exported::IdempotencyKey).collect(), next))
        }
        Place::Removed(after) => {
            let sql = "SELECT id, expires_at FROM tombstones
                       WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3";
            let mut find = connection.prepare_cached(sql)?;
            let read = |row: &Row<'_>| {
                let (id, until) = (JobId::from_store(row.get(0)?), Timestamp(row.get(1)?));
                Ok(ExportedRemoval { id, until })
            };
            let removed: Vec<_> =
                find.query_map(params![after, now.0, limit], read)?.collect::<rusqlite::Result<_>>()?;
            let next = removed.last().map(|removal| Place::Removed(removal.id.to_string()));
            let next = next.unwrap_or(Place::Samples(i64::MIN));
            Ok((removed.into_iter().map(Exported::Removed).collect(), next))
        }
        Place::Samples(after) => {
            let (samples, last) = samples(connection, after, limit, now)?;
            Ok((samples, last.map_or(Place::End, Place::Samples)))
        }
    }
}

fn jobs(
    connection: &Connection,
    after: i64,
    limit: i64,
    now: Timestamp,
) -> rusqlite::Result<(Vec<Exported>, Option<i64>)> {
    let columns = job_columns(Payloads::Whole, Payloads::Whole);
    let held = "FROM unique_keys WHERE key = jobs.unique_key AND job = jobs.seq
                AND (expires_at IS NULL OR expires_at > ?3)";
    let mut find = connection.prepare_cached(&format!(
        "SELECT {columns}, unique_period AS period, policy AS hold, EXISTS (SELECT 1 {held}) AS holds,
                (SELECT expires_at {held}) AS held_until,
                EXISTS (SELECT 1 FROM jobs p WHERE p.seq = jobs.batch AND p.id = jobs.parent) AS counted
         FROM jobs WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    ))?;
    let mut rows = find.query(params![after, limit, now.0])?;
    let (mut jobs, mut bytes, mut last) = (Vec::new(), 0, None);
    while bytes < BYTES_PER_PAGE
        && let Some(row) = rows.next()?
    {
        let (job, facts) = exported(connection, row)?;
        bytes += job.bytes();
        last = Some(facts.seq);
        jobs.push(Exported::Job(Box::new(job)));
    }
    Ok((jobs, last))
}

fn exported(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<(ExportedJob, RowFacts)> {
    let (job, facts) = job_record(row)?;
    let extra: Option<ExtraFields> =
        row.get::<_, Option<String>>("hold")?.and_then(|text| serde_json::from_str(&text).ok());
    let period = row.get::<_, Option<i64>>("period")?;
    let period = period.map(|millis| std::time::Duration::from_millis(unsigned(millis)));
    let hold = extra.and_then(|extra| extra.hold).unwrap_or(Hold { period, ..Hold::default() });
    let until = row.get::<_, Option<i64>>("held_until")?.map(Timestamp);
    let holds = row.get::<_, bool>("holds")?;
    let exported = ExportedJob {
        hold,
        holds: holds.then(|| Holding { until: until.filter(|until| *until < Timestamp::MAX) }),
        counted: row.get("counted")?,
        dependencies: dependencies(connection, facts.seq)?,
        state_event: facts.state_event,
        state_at: facts.state_at,
        log_gap: facts.log_gap,
        log: log(connection, facts.seq)?,
        steps: connection
            .prepare_cached(include_str!("../sql/steps_of_job.sql"))?
            .query_map([facts.seq], step)?
            .collect::<rusqlite::Result<_>>()?,
        cancel: None,
        job,
    };
    Ok((exported, facts))
}

fn dependencies(connection: &Connection, job: i64) -> rusqlite::Result<Vec<ExportedDependency>> {
    connection
        .prepare_cached(include_str!("../sql/dependencies_to_export.sql"))?
        .query_map([job], |row| {
            Ok(ExportedDependency { id: JobId::from_store(row.get(0)?), settled: row.get(1)? })
        })?
        .collect()
}

fn log(connection: &Connection, job: i64) -> rusqlite::Result<Vec<Event>> {
    let mut find = connection.prepare_cached(include_str!("../sql/events_after.sql"))?;
    let mut rows = find.query([job, 0])?;
    let mut log = Vec::new();
    while let Some(row) = rows.next()? {
        let mut columns = Columns::new(row);
        let (seq, at, attempt) = (unsigned(columns.next()), columns.time(), columns.next());
        log.extend(columns.parsed().map(|body| Event { seq, at, attempt, body }));
    }
    Ok(log)
}

fn samples(
    connection: &Connection,
    after: i64,
    limit: i64,
    now: Timestamp,
) -> rusqlite::Result<(Vec<Exported>, Option<i64>)> {
    let sql = "SELECT rowid, series, at, source, keep_for, expires_at, body FROM samples
               WHERE rowid > ?1 AND expires_at > ?2 ORDER BY rowid LIMIT ?3";
    let mut find = connection.prepare_cached(sql)?;
    let mut rows = find.query(params![after, now.0, limit])?;
    let (mut samples, mut bytes, mut last) = (Vec::new(), 0, None);
    while bytes < BYTES_PER_PAGE
        && let Some(row) = rows.next()?
    {
        let mut columns = Columns::new(row);
        last = Some(columns.next());
        let sample = Sample {
            series: columns.next(),
            at: columns.time(),
            source: columns.next(),
            keep_for: std::time::Duration::from_millis(unsigned(columns.next())),
            body: longhaul::Json::null(),
        };
        let expires_at = columns.time();
        let sample = Sample { body: columns.json(), ..sample };
        bytes += sample.body.as_str().len();
        samples.push(Exported::Sample(ExportedSample { sample, expires_at }));
    }
    Ok((samples, last))
}
