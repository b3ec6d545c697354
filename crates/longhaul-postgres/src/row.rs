//! Rows read as the engine's values. A value that cannot be read concerns its own job: it may be of a newer release, or
//! damaged.

use std::time::Duration;

use longhaul::lifecycle::unique::Hold;
use longhaul::{
    CancelReason, Children, JobId, JobRecord, Json, Payloads, Policy, QueueConfig, SHORT_PAYLOAD_BYTES,
    State, Timestamp, UniqueKey, WaitsFor, split_keys, split_prefer,
};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

use crate::limits::rank_of;

/// The columns that [`job_record`] reads, in its order. Large payloads that a list leaves out are not even fetched.
pub(crate) fn job_columns(payloads: Payloads) -> String {
    columns(payloads, payloads)
}

/// The same with the args whole, which searches look at, and a large output left out.
pub(crate) fn search_columns() -> String {
    columns(Payloads::Whole, Payloads::Short)
}

fn columns(args: Payloads, output: Payloads) -> String {
    let payload = |column: &str, payloads| match payloads {
        Payloads::Whole => (column.to_owned(), "NULL::int".to_owned()),
        Payloads::Short => {
            let is_long = format!("octet_length({column}) > {SHORT_PAYLOAD_BYTES}");
            let short = format!("CASE WHEN {is_long} THEN NULL ELSE {column} END");
            (short, format!("CASE WHEN {is_long} THEN octet_length({column}) END"))
        }
    };
    let ((args, args_bytes), (output, output_bytes)) = (payload("args", args), payload("output", output));
    format!(
        "id, kind, version, queue, {args}, state, priority, attempt, max_attempts, crashes, max_crashes, interruptions, \
         timeout, progress, {output}, errors, cancel_by, worker, created_at, run_at, started_at, finished_at, last_event, \
         parent, labels, seq, state_event, state_at, rank, limit_key, children_total, children_completed, \
         children_failed, children_cancelled, {args_bytes}, {output_bytes}, log_gap, policy, backoff, \
         cancel_reason, expires_at, deadline, depends_on, waits_for, wakes_at, forked_from, unique_key"
    )
}

/// The facts of a job's row that its record leaves out.
pub(crate) struct RowFacts {
    pub(crate) seq: i64,
    pub(crate) state_event: u64,
    pub(crate) state_at: Timestamp,
    pub(crate) rank: i64,
    /// The number of the newest event that has left the log.
    pub(crate) gap: u64,
}

/// Reads [`job_columns`].
pub(crate) fn job_record(row: &Row) -> (JobRecord, RowFacts) {
    let record = JobRecord {
        id: JobId::from_store(row.get(0)),
        kind: row.get(1),
        version: small(row.get(2)),
        queue: row.get(3),
        args: shown(row, 4).unwrap_or_default(),
        state: state(row, 5),
        priority: priority(row, 6),
        attempt: small(row.get(7)),
        max_attempts: small(row.get(8)),
        crashes: small(row.get(9)),
        max_crashes: small(row.get(10)),
        interruptions: small(row.get(11)),
        policy: policy(row, [12, 38, 37]).unwrap_or_default(),
        progress: shown(row, 13),
        output: shown(row, 14),
        errors: shown(row, 15).unwrap_or_default(),
        cancel_requested: row.get::<_, Option<i64>>(16).is_some(),
        // The release before leaves it, whatever becomes of the job.
        cancel_reason: cancel_reason(row, 39)
            .filter(|_| row.get::<_, Option<i64>>(16).is_some() || state(row, 5) == State::Cancelled),
        worker: row.get(17),
        position: None,
        created_at: Timestamp(row.get(18)),
        run_at: Timestamp(row.get(19)),
        started_at: row.get::<_, Option<i64>>(20).map(Timestamp),
        finished_at: row.get::<_, Option<i64>>(21).map(Timestamp),
        expires_at: row.get::<_, Option<i64>>(40).map(Timestamp),
        deadline: row.get::<_, Option<i64>>(41).map(Timestamp),
        last_event: unsigned(row.get(22)),
        limit_keys: split_keys(row.get(29)),
        prefer: split_prefer(row.get(29)),
        parent: row.get::<_, Option<String>>(23).map(JobId::from_store),
        children: row.get::<_, Option<i64>>(30).map(|total| children(row, 31, total)),
        labels: shown(row, 24).unwrap_or_default(),
        args_bytes: row.get::<_, Option<i32>>(34).map(|bytes| unsigned(bytes.into())),
        output_bytes: row.get::<_, Option<i32>>(35).map(|bytes| unsigned(bytes.into())),
        depends_on: shown(row, 42).unwrap_or_default(),
        waits_for: waits_for(row, 5, 43),
        wakes_at: row.get::<_, Option<i64>>(44).filter(|_| state(row, 5) == State::Blocked).map(Timestamp),
        forked_from: row.get::<_, Option<String>>(45).map(JobId::from_store),
        unique: row.get::<_, Option<String>>(46).map(UniqueKey::new),
    };
    let facts = RowFacts {
        seq: row.get(25),
        state_event: unsigned(row.get(26)),
        state_at: Timestamp(row.get(27)),
        rank: rank_of(row.get(28)),
        gap: unsigned(row.get(36)),
    };
    (record, facts)
}

/// The counts of children; the first of the three counts is at `column`.
pub(crate) fn children(row: &Row, column: usize, total: i64) -> Children {
    // A count that a hand in the tables has removed is none.
    let count = |column: usize| row.get::<_, Option<i64>>(column).map_or(0, unsigned);
    Children {
        total: unsigned(total),
        completed: count(column),
        failed: count(column + 1),
        cancelled: count(column + 2),
    }
}

/// A value of a job's row that cannot be read.
#[derive(Debug, Default, thiserror::Error)]
#[error("{field}: {reason}")]
pub(crate) struct Unreadable {
    field: &'static str,
    reason: String,
}

/// A column of JSON text that is handed on as it is.
pub(crate) fn json(row: &Row, column: usize, field: &'static str) -> Result<Json, Unreadable> {
    json_text(row.get(column), field)
}

pub(crate) fn json_text(text: String, field: &'static str) -> Result<Json, Unreadable> {
    Json::parse(text).map_err(|error| Unreadable { field, reason: error.to_string() })
}

/// A column of JSON text, or null.
pub(crate) fn parsed<T: DeserializeOwned>(
    row: &Row,
    column: usize,
    field: &'static str,
) -> Result<Option<T>, Unreadable> {
    let text: Option<&str> = row.get(column);
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| Unreadable { field, reason: error.to_string() })
}

/// The same for a record, which is shown without what cannot be read.
fn shown<T: DeserializeOwned>(row: &Row, column: usize) -> Option<T> {
    row.get::<_, Option<&str>>(column).and_then(|text| serde_json::from_str(text).ok())
}

/// A state that only a newer release knows is one that waits for something.
pub(crate) fn state(row: &Row, column: usize) -> State {
    row.get::<_, &str>(column).parse().unwrap_or(State::Blocked)
}

/// The event that a blocked job waits for, from the columns `state` and `waits_for`: its children, if the second is
/// empty. In other states the second is ignored.
pub(crate) fn waits_for(row: &Row, of_state: usize, column: usize) -> Option<WaitsFor> {
    let word = row.get::<_, Option<&str>>(column);
    let waits_for = || word.and_then(|word| word.parse().ok()).unwrap_or(WaitsFor::Children);
    (state(row, of_state) == State::Blocked).then(waits_for)
}

/// A job's policy, in the columns `timeout`, `backoff` and `policy`. The last has all of it, and is empty where the release
/// before has written the row, or there is nothing to say.
pub(crate) fn policy(row: &Row, [timeout, backoff, policy]: [usize; 3]) -> Result<Policy, Unreadable> {
    match parsed(row, policy, "policy")? {
        Some(policy) => Ok(policy),
        #[allow(clippy::needless_update, reason = "a field that is added later is in `policy` alone")]
        None => Ok(Policy {
            timeout: duration(row, timeout),
            backoff: parsed(row, backoff, "backoff")?,
            ..Policy::default()
        }),
    }
}

/// Why a job was cancelled, or asked to stop. A word that only a newer release knows is none.
pub(crate) fn cancel_reason(row: &Row, column: usize) -> Option<CancelReason> {
    row.get::<_, Option<&str>>(column)?.parse().ok()
}

/// The hold of a job's unique key, from the columns `hold` and `unique_period`. The first is empty if the second, which
/// the release before reads, says everything.
pub(crate) fn hold(row: &Row, [hold, period]: [usize; 2]) -> Hold {
    shown(row, hold).unwrap_or_else(|| Hold { period: duration(row, period), ..Hold::default() })
}

/// A hold as the column `hold` keeps it.
pub(crate) fn hold_text(hold: &Hold) -> longhaul::Result<Option<String>> {
    let says_it_all = Hold { period: hold.period, ..Hold::default() };
    let text = (*hold != says_it_all).then(|| Json::new(hold)).transpose()?;
    Ok(text.map(|text| text.as_str().to_owned()))
}

/// A queue's configuration. One that cannot be read is the default, so that it concerns its own queue alone.
pub(crate) fn queue_config(row: &Row, column: usize) -> QueueConfig {
    shown(row, column).unwrap_or_default()
}

fn duration(row: &Row, column: usize) -> Option<Duration> {
    row.get::<_, Option<i64>>(column).map(|millis| Duration::from_millis(unsigned(millis)))
}

pub(crate) fn priority(row: &Row, column: usize) -> i32 {
    i32::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

/// Our own numbers are never negative; one that is comes of a hand in the tables, and counts as none.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// The engine's numbers fit the tables', but for ones that a caller made up (an event number of 2⁶⁴): those are
/// beyond all others.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
