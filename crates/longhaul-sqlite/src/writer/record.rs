use longhaul::{Entry, EventBody, Json, Lease, LeaseStatus, Record, Result};
use rusqlite::{OptionalExtension, params};

use super::Batch;
use super::batch::no_json;
use super::finish::held;
use crate::error::fault;
use crate::row::signed;

/// What is known of a running job whose lease was found to be current.
pub(super) struct Run {
    pub(super) seq: i64,
    pub(super) queue: String,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) max_crashes: u32,
    pub(super) interruptions: u32,
    pub(super) cancel_by: Option<i64>,
    pub(super) last_event: i64,
    log_event: i64,
    pub(super) priority: i32,
    pub(super) run_at: i64,
    pub(super) unique_key: Option<String>,
    pub(super) errors: Option<String>,
    pub(super) limit_key: Option<String>,
    pub(super) batch: Option<i64>,
}

impl Batch<'_> {
    /// Adds entries to running jobs.
    pub(crate) fn record(&mut self, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(records.len());
        for record in records {
            let Some(mut run) = self.find_lease(&record.lease)? else {
                statuses.push(LeaseStatus::Lost);
                continue;
            };
            self.append(&mut run, &record.entries).map_err(fault("record"))?;
            statuses.push(held(run.cancel_by));
            self.changed.push(record.lease.id);
        }
        Ok(statuses)
    }

    /// The run of a lease; `None` where the lease is lost.
    pub(super) fn find_lease(&self, lease: &Lease) -> Result<Option<Run>> {
        self.connection
            .prepare_cached(include_str!("../sql/find_lease.sql"))
            .and_then(|mut find| {
                find.query_row(params![lease.id.as_str(), signed(lease.token)], |row| {
                    Ok(Run {
                        seq: row.get(0)?,
                        queue: row.get(1)?,
                        attempt: row.get(2)?,
                        crashes: row.get(3)?,
                        max_crashes: row.get(4)?,
                        interruptions: row.get(5)?,
                        cancel_by: row.get(6)?,
                        last_event: row.get(7)?,
                        log_event: row.get(8)?,
                        priority: row.get(9)?,
                        run_at: row.get(10)?,
                        unique_key: row.get(11)?,
                        errors: row.get(12)?,
                        limit_key: row.get(13)?,
                        batch: row.get(14)?,
                    })
                })
                .optional()
            })
            .map_err(fault("look a lease up"))
    }

    /// Appends entries to a run's log and steps, and notes in `run` where the log now ends.
    pub(super) fn append(&mut self, run: &mut Run, entries: &[Entry]) -> rusqlite::Result<()> {
        let mut progress = None;
        let mut steps = 0;
        for entry in entries {
            let body = match entry {
                Entry::Step { name, output } => {
                    steps += self
                        .connection
                        .prepare_cached(
                            "INSERT OR IGNORE INTO steps (job, name, output) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![run.seq, name, output.as_str()])?;
                    continue;
                }
                Entry::Progress(report) => {
                    progress = Some(Json::new(report).map_err(no_json)?);
                    EventBody::Progress(report.clone())
                }
                Entry::Log { level, message } => EventBody::Log { level: *level, message: message.clone() },
                Entry::Chunk { data } => EventBody::Chunk { data: data.clone() },
            };
            run.last_event += 1;
            run.log_event = run.last_event;
            self.insert_event(run.seq, run.last_event, run.attempt, &body)?;
        }
        self.connection.prepare_cached(include_str!("../sql/record_progress.sql"))?.execute(params![
            run.seq,
            progress.as_ref().map(Json::as_str),
            run.last_event,
            run.log_event,
            i64::try_from(steps).unwrap_or(0),
        ])?;
        Ok(())
    }

    pub(super) fn insert_event(
        &self,
        job: i64,
        seq: i64,
        attempt: u32,
        body: &EventBody,
    ) -> rusqlite::Result<()> {
        let body = Json::new(body).map_err(no_json)?;
        self.connection.prepare_cached(include_str!("../sql/insert_event.sql"))?.execute(params![
            job,
            seq,
            self.now.0,
            attempt,
            body.as_str()
        ])?;
        Ok(())
    }
}
