use longhaul::{Event, EventBody, JobId, JobRecord, Payloads, Result, State, lifecycle};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::fault;
use crate::row::{Columns, RowFacts, job_columns, job_record, signed, unsigned};

/// A piece of a job's log.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// True once the job has ended: nothing more will come.
    pub(crate) is_finished: bool,
}

/// A job's log after event `after`, with its present state among it; `None` where there is no such job.
pub(crate) fn events(connection: &Connection, id: &JobId, after: u64, limit: usize) -> Result<Option<Log>> {
    // One transaction, so that the log and the state are of the same moment.
    let transaction = connection.unchecked_transaction().map_err(fault("read events"))?;
    let log = read(&transaction, id, after, limit.max(1)).map_err(fault("read events"))?;
    transaction.finish().map_err(fault("read events"))?;
    Ok(log)
}

fn read(connection: &Connection, id: &JobId, after: u64, limit: usize) -> rusqlite::Result<Option<Log>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {} FROM jobs WHERE id = ?1",
            job_columns(Payloads::Whole, Payloads::Whole)
        ))?
        .query_row([id.as_str()], job_record)
        .optional()?;
    let Some((record, facts)) = found else { return Ok(None) };
    let is_finished = record.state.is_finished();
    let mut events = Vec::new();
    if record.last_event > after {
        let mut rows = connection.prepare_cached(include_str!("../sql/events_after.sql"))?;
        let mut rows = rows.query(params![facts.seq, signed(after)])?;
        while events.len() < limit
            && let Some(row) = rows.next()?
        {
            let mut columns = Columns::new(row);
            let (seq, at, attempt) = (unsigned(columns.next()), columns.time(), columns.next());
            // An entry of a sort that this release does not know is left out.
            events.extend(columns.parsed().map(|body| Event { seq, at, attempt, body }));
        }
        events.extend(present(record, &facts).into_iter().filter(|event| event.seq > after));
        events.sort_by_key(|event| event.seq);
        events.truncate(limit);
    }
    Ok(Some(Log { events, is_finished }))
}

/// The events that are not rows: a gap in the log, the output of a completed job, and the state.
fn present(record: JobRecord, facts: &RowFacts) -> Vec<Event> {
    let event = |seq, body| Event { seq, at: facts.state_at, attempt: record.attempt, body };
    // While it runs, and once it has completed, its last attempt has not failed.
    let has_failed = !matches!(record.state, State::Running | State::Completed);
    let error = record.errors.last().filter(|_| has_failed).cloned();
    let gap = lifecycle::gap_event(facts.log_gap).map(|seq| event(seq, EventBody::Gap));
    let output_event = facts.state_event.saturating_sub(1);
    let output = record.output.map(|output| event(output_event, EventBody::Output { output }));
    let (children, cancel_reason) = (record.children, record.cancel_reason);
    let state = EventBody::State { state: record.state, error, children, cancel_reason };
    let state = event(lifecycle::state_event(facts.state_event, facts.log_gap), state);
    gap.into_iter().chain(output).chain([state]).collect()
}
