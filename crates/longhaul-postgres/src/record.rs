use longhaul::clock::millis;
use longhaul::lifecycle;
use longhaul::lifecycle::unique::Hold;
use longhaul::{
    CancelReason, Change, Entry, EventBody, JobId, Json, KEPT_EVENT_BYTES, KEPT_EVENTS, Lease, LeaseStatus,
    Record, Result, State, Timestamp,
};

use crate::row::{cancel_reason, hold, priority, rows_at_most, signed, small};
use crate::write_tx::WriteTx;

/// A running job whose lease was found to be current.
pub(crate) struct Run {
    pub(crate) seq: i64,
    pub(crate) queue: String,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) max_crashes: u32,
    pub(crate) interruptions: u32,
    pub(crate) cancel_by: Option<i64>,
    pub(crate) last_event: i64,
    log_event: i64,
    pub(crate) priority: i32,
    pub(crate) run_at: i64,
    pub(crate) unique_key: Option<String>,
    pub(crate) hold: Hold,
    cancel_reason: Option<CancelReason>,
    pub(crate) kind: String,
    started_at: Option<i64>,
    pub(crate) errors: Option<String>,
    pub(crate) limit_key: Option<String>,
    /// True where it counts among the runs of a queue with limits.
    pub(crate) is_limited: bool,
    pub(crate) batch: Option<i64>,
}

impl Run {
    /// The facts that the rules of a job's life look at.
    pub(crate) fn facts(&self) -> lifecycle::Run {
        lifecycle::Run {
            attempt: self.attempt,
            crashes: self.crashes,
            max_crashes: self.max_crashes,
            interruptions: self.interruptions,
            cancel_requested: self.cancel_by.is_some(),
            cancel_reason: self.cancel_reason,
            run_at: Timestamp(self.run_at),
        }
    }

    /// The change of state that the run's end is.
    pub(crate) fn end<'c>(&'c self, id: &'c JobId, to: State, at: Timestamp) -> Change<'c> {
        Change {
            id,
            kind: &self.kind,
            queue: &self.queue,
            from: Some(State::Running),
            to: Some(to),
            attempt: self.attempt,
            at,
            since: self.started_at.map(Timestamp),
            error: None,
        }
    }
}

impl WriteTx<'_> {
    /// Adds entries to running jobs.
    pub(crate) async fn record(&mut self, records: &[Record]) -> Result<Vec<LeaseStatus>> {
        let mut statuses = Vec::with_capacity(records.len());
        for record in records {
            let Some(mut run) = self.find_lease(&record.lease).await? else {
                statuses.push(LeaseStatus::Lost);
                continue;
            };
            self.append(&mut run, &record.entries).await?;
            statuses.push(held(run.cancel_by));
            self.effects.changed.push(record.lease.id.clone());
        }
        Ok(statuses)
    }

    /// The run of a lease, locked; `None` where the lease is lost.
    pub(crate) async fn find_lease(&self, lease: &Lease) -> Result<Option<Run>> {
        let sql = include_str!("sql/find_lease.sql");
        let values = (lease.id.as_str(), signed(lease.token));
        let rows = self.rows("look a lease up", sql, &[&values.0, &values.1]).await?;
        Ok(rows.first().map(|row| Run {
            seq: row.get(0),
            queue: row.get(1),
            attempt: small(row.get(2)),
            crashes: small(row.get(3)),
            max_crashes: small(row.get(4)),
            interruptions: small(row.get(5)),
            cancel_by: row.get(6),
            last_event: row.get(7),
            log_event: row.get(8),
            priority: priority(row, 9),
            run_at: row.get(10),
            unique_key: row.get(11),
            errors: row.get(12),
            limit_key: row.get(13),
            batch: row.get(14),
            hold: hold(row, [19, 15]),
            cancel_reason: cancel_reason(row, 18),
            kind: row.get(16),
            started_at: row.get(17),
            is_limited: row.get::<_, Option<bool>>(20).is_some(),
        }))
    }

    /// Appends entries to a run's log and steps, and notes in `run` where the log now ends.
    pub(crate) async fn append(&mut self, run: &mut Run, entries: &[Entry]) -> Result<()> {
        let (mut progress, mut steps, mut events) = (None, 0_i64, Vec::new());
        for entry in entries {
            let body = match entry {
                Entry::Step { name, output, took } => {
                    steps += self.insert_step(run, name, output, millis(*took)).await?;
                    continue;
                }
                Entry::Progress(report) => {
                    progress = Some(Json::new(report)?.as_str().to_owned());
                    EventBody::Progress(report.clone())
                }
                Entry::Log { level, message } => EventBody::Log { level: *level, message: message.clone() },
                Entry::Chunk { data } => EventBody::Chunk { data: data.clone() },
            };
            run.last_event += 1;
            run.log_event = run.last_event;
            events.push((run.last_event, Json::new(&body)?));
        }
        let rows = rows_at_most(events.len());
        let bytes = rows_at_most(events.iter().map(|(_, body)| body.as_str().len()).sum());
        self.insert_events(run.seq, run.attempt, events).await?;
        let sql = include_str!("sql/record_progress.sql");
        let noted = self
            .rows(
                "record",
                sql,
                &[&run.seq, &progress, &run.last_event, &run.log_event, &steps, &rows, &bytes],
            )
            .await?;
        let is_over = |row: &tokio_postgres::Row| row.get(0);
        if rows > 0 && noted.first().is_some_and(is_over) {
            self.drop_oldest_events(run.seq).await?;
        }
        Ok(())
    }

    /// Keeps a log within its bounds. A tenth is dropped at once, so that this is not paid for with every entry.
    async fn drop_oldest_events(&self, job: i64) -> Result<()> {
        let (rows, bytes) = (rows_at_most(KEPT_EVENTS * 9 / 10), rows_at_most(KEPT_EVENT_BYTES * 9 / 10));
        let sql = include_str!("sql/drop_oldest_events.sql");
        self.rows("record", sql, &[&job, &rows, &bytes]).await.map(drop)
    }

    /// Answers how many steps are new.
    async fn insert_step(&self, run: &Run, name: &str, output: &Json, took: i64) -> Result<i64> {
        let sql = include_str!("sql/insert_step.sql");
        let (attempt, now) = (i64::from(run.attempt), self.now.0);
        let rows = self
            .rows("record a step", sql, &[&run.seq, &name, &output.as_str(), &attempt, &now, &took])
            .await?;
        Ok(rows_at_most(rows.len()))
    }

    pub(crate) async fn insert_events(&self, job: i64, attempt: u32, events: Vec<(i64, Json)>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (seqs, bodies): (Vec<i64>, Vec<&str>) =
            events.iter().map(|(seq, body)| (*seq, body.as_str())).unzip();
        let (at, attempt) = (self.now.0, i64::from(attempt));
        let sql = include_str!("sql/insert_events.sql");
        self.rows("record", sql, &[&job, &seqs, &at, &attempt, &bodies]).await.map(drop)
    }
}

/// The status of a lease that was the current one.
pub(crate) fn held(cancel_by: Option<i64>) -> LeaseStatus {
    if cancel_by.is_some() { LeaseStatus::CancelRequested } else { LeaseStatus::Held }
}
