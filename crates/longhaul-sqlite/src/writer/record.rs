use longhaul::clock::millis;
use longhaul::{Entry, EventBody, Json, KEPT_EVENT_BYTES, KEPT_EVENTS, LeaseStatus, Record, Result};
use rusqlite::params;

use super::run::RunRow;
use super::write_tx::{WriteTx, no_json};
use crate::error::fault;

/// A log that has grown beyond its bound is cut back to this share of it, so that the next entries are free of that.
const KEPT_SHARE: i64 = 10;

impl WriteTx<'_> {
    /// Adds entries to running jobs. Where calls are kept apart, a run whose entries cannot be stored ends as failed.
    pub(crate) fn record(&mut self, records: &[Record]) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(records.len());
        for record in records {
            let isolation = self.isolation;
            statuses.push(match self.run_isolated(isolation, |tx| tx.record_one(record))? {
                Ok(status) => status,
                Err(error) => {
                    self.fail_run(&record.lease, &error)?;
                    LeaseStatus::Lost
                }
            });
        }
        Ok(statuses)
    }

    /// Adds entries to one running job.
    pub(crate) fn record_one(&mut self, record: &Record) -> Result<LeaseStatus> {
        let Some(mut row) = self.find_lease(&record.lease)? else { return Ok(LeaseStatus::Lost) };
        self.append(&mut row, &record.entries).map_err(fault("record"))?;
        self.notes.changed.push(record.lease.id.clone());
        Ok(row.status())
    }

    /// Appends entries to a run's log and steps, and notes in `row` where the log now ends.
    pub(super) fn append(&mut self, row: &mut RunRow, entries: &[Entry]) -> rusqlite::Result<()> {
        let mut progress = None;
        let mut steps = 0;
        // A run that follows another has been preceded by a `reset`, which is counted together with its first entry.
        let mut added = i64::from(row.log_event == 0 && row.last_event > 2);
        let before = added;
        let mut bytes = 0;
        for entry in entries {
            let body = match entry {
                Entry::Step { name, output, took } => {
                    let (attempt, place) = (row.run.attempt, row.steps + steps + 1);
                    let mut insert =
                        self.connection.prepare_cached(include_str!("../sql/insert_step.sql"))?;
                    let (now, took) = (self.now.0, millis(*took));
                    let values = params![row.seq, name, output.as_str(), attempt, now, took, place];
                    steps += bound(insert.execute(values)?);
                    continue;
                }
                Entry::Progress(report) => {
                    progress = Some(Json::new(report).map_err(no_json)?);
                    EventBody::Progress(report.clone())
                }
                Entry::Log { level, message } => EventBody::Log { level: *level, message: message.clone() },
                Entry::Chunk { data } => EventBody::Chunk { data: data.clone() },
            };
            row.last_event += 1;
            row.log_event = row.last_event;
            bytes += self.insert_event(row.seq, row.last_event, row.run.attempt, &body)?;
            added += 1;
        }
        if added == before {
            (added, bytes) = (0, 0);
        }
        self.connection.prepare_cached(include_str!("../sql/record_progress.sql"))?.execute(params![
            row.seq,
            progress.as_ref().map(Json::as_str),
            row.last_event,
            row.log_event,
            steps,
            added,
            bytes,
        ])?;
        row.steps += steps;
        row.log_entries += added;
        row.log_bytes += bytes;
        self.shorten_log(row)
    }

    /// Drops the oldest entries of a log that has outgrown its bounds.
    fn shorten_log(&self, row: &mut RunRow) -> rusqlite::Result<()> {
        let (most_entries, most_bytes) = (bound(KEPT_EVENTS), bound(KEPT_EVENT_BYTES));
        if row.log_entries <= most_entries && row.log_bytes <= most_bytes {
            return Ok(());
        }
        let surplus = |present: i64, most: i64| present - (most - most / KEPT_SHARE);
        let (mut entries, mut bytes, mut gap) = (0, 0, 0);
        let (too_many, too_large) = (row.log_entries > most_entries, row.log_bytes > most_bytes);
        let mut oldest = self.connection.prepare_cached(include_str!("../sql/oldest_events.sql"))?;
        let mut found = oldest.query(params![row.seq, row.log_entries - 1])?;
        while (too_many && entries < surplus(row.log_entries, most_entries))
            || (too_large && bytes < surplus(row.log_bytes, most_bytes))
        {
            let Some(event) = found.next()? else { break };
            gap = event.get(0)?;
            bytes += event.get::<_, i64>(1)?;
            entries += 1;
        }
        drop(found);
        self.connection
            .prepare_cached("DELETE FROM events WHERE job = ?1 AND seq <= ?2")?
            .execute(params![row.seq, gap])?;
        self.connection
            .prepare_cached(include_str!("../sql/shorten_log.sql"))?
            .execute(params![row.seq, gap, entries, bytes])?;
        row.log_entries -= entries;
        row.log_bytes -= bytes;
        Ok(())
    }

    /// Answers how many bytes the entry has.
    pub(super) fn insert_event(
        &self,
        job: i64,
        seq: i64,
        attempt: u32,
        body: &EventBody,
    ) -> rusqlite::Result<i64> {
        let body = Json::new(body).map_err(no_json)?;
        self.connection.prepare_cached(include_str!("../sql/insert_event.sql"))?.execute(params![
            job,
            seq,
            self.now.0,
            attempt,
            body.as_str()
        ])?;
        Ok(bound(body.as_str().len()))
    }
}

fn bound(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
