use longhaul::lifecycle;
use longhaul::{Event, EventBody, JobId, JobRecord, Payloads, Result, State, Timestamp};
use tokio_postgres::types::ToSql;

use super::{Reader, Reads};
use crate::row::{RowFacts, job_columns, job_record, parsed, rows_at_most, signed, small, unsigned};

/// A piece of a job's log.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// True once the job has ended, so that nothing more will come.
    pub(crate) is_finished: bool,
}

/// A job's log after event `after`, with its present state among it; `None` where there is no such job.
pub(crate) async fn events(reads: &Reads, id: &JobId, after: u64, limit: usize) -> Result<Option<Log>> {
    let mut reader = Reader::of(reads, "read events").await?;
    let limit = limit.max(1);
    let columns = job_columns(Payloads::Whole);
    let sql = format!("SELECT {columns} FROM jobs WHERE id = $1");
    loop {
        let rows = reader.rows(&sql, &[&id.as_str()]).await?;
        let Some((record, facts)) = rows.first().map(job_record) else { return Ok(None) };
        let is_finished = record.state.is_finished();
        if record.last_event <= after {
            return Ok(Some(Log { events: Vec::new(), is_finished }));
        }
        let values: [&(dyn ToSql + Sync); 5] = [
            &facts.seq,
            &signed(after),
            &rows_at_most(limit),
            &signed(record.last_event),
            &signed(facts.gap),
        ];
        let rows = reader.rows(include_str!("../sql/events_after.sql"), &values).await?;
        if rows.is_empty() {
            // The job was removed between the two statements, or its log has lost entries.
            continue;
        }
        let mut events = Vec::new();
        for row in rows.iter().filter(|row| row.get::<_, Option<i64>>(0).is_some()) {
            // An event of a kind that only a newer release knows is skipped.
            let Ok(Some(body)) = parsed::<EventBody>(row, 3, "events") else { continue };
            events.push(Event {
                seq: unsigned(row.get(0)),
                at: Timestamp(row.get(1)),
                attempt: small(row.get(2)),
                body,
            });
        }
        events.extend(present(record, &facts).into_iter().filter(|event| event.seq > after));
        events.sort_by_key(|event| event.seq);
        events.truncate(limit);
        return Ok(Some(Log { events, is_finished }));
    }
}

/// The events that are not rows: a gap in the log, the output of a completed job, and the state.
fn present(record: JobRecord, facts: &RowFacts) -> Vec<Event> {
    let event = |seq, body| Event { seq, at: facts.state_at, attempt: record.attempt, body };
    // While it runs, and once it has completed, its last attempt has not failed.
    let has_failed = !matches!(record.state, State::Running | State::Completed);
    let error = record.errors.last().filter(|_| has_failed).cloned();
    let mut events = vec![event(
        lifecycle::state_event(facts.state_event, facts.gap),
        EventBody::State {
            state: record.state,
            error,
            children: record.children,
            cancel_reason: record.cancel_reason,
        },
    )];
    if let Some(seq) = lifecycle::gap_event(facts.gap) {
        events.push(event(seq, EventBody::Gap));
    }
    if let Some(output) = record.output {
        events.insert(0, event(facts.state_event - 1, EventBody::Output { output }));
    }
    events
}
