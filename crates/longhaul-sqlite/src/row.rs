//! Conversion of rows to the engine's values.
//!
//! A row is read leniently: a column that cannot be read, because a newer release or an edit by hand has written it, is
//! noted and replaced by a default, so that it concerns its own job only.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use longhaul::{
    CancelReason, Children, JobId, JobRecord, Json, Payloads, Policy, SHORT_PAYLOAD_BYTES, State, Timestamp,
    UniqueKey, WaitsFor, split_keys, split_prefer,
};
use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use serde::de::DeserializeOwned;

use crate::extra_fields::ExtraFields;
use crate::limit_key::natural_rank;

/// The columns that [`job_record`] reads, in its order.
pub(crate) fn job_columns(args: Payloads, output: Payloads) -> String {
    let column = |name: &str, payloads| match payloads {
        Payloads::Whole => format!("{name}, NULL"),
        Payloads::Short => {
            let is_short = format!("octet_length({name}) <= {SHORT_PAYLOAD_BYTES}");
            format!("iif({is_short}, {name}, NULL), iif({is_short}, NULL, octet_length({name}))")
        }
    };
    format!(
        "id, kind, version, queue, {args}, state, priority, attempt, max_attempts, crashes, max_crashes, interruptions, \
         policy, timeout, backoff, progress, {output}, errors, cancel_by, worker, created_at, run_at, started_at, finished_at, \
         last_event, parent, labels, seq, state_event, state_at, rank, limit_key, children_total, children_completed, \
         children_failed, children_cancelled, log_gap, cancel_reason, policy AS beside, \
         iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL), \
         iif(state = 'blocked', (SELECT wakes_at FROM waits WHERE job = seq), NULL), unique_key",
        args = column("args", args),
        output = column("output", output),
    )
}

/// The parts of a job's row that its record does not show.
pub(crate) struct RowFacts {
    pub(crate) seq: i64,
    pub(crate) state_event: u64,
    pub(crate) state_at: Timestamp,
    /// Its rank among all jobs.
    pub(crate) rank: i64,
    /// The number of the newest entry that has left the log.
    pub(crate) log_gap: u64,
}

/// Reads [`job_columns`].
pub(crate) fn job_record(row: &Row<'_>) -> rusqlite::Result<(JobRecord, RowFacts)> {
    let mut columns = Columns::new(row);
    let record = JobRecord {
        id: columns.id(),
        kind: columns.next(),
        version: columns.next(),
        queue: columns.next(),
        args: columns.optional_json().unwrap_or_default(),
        args_bytes: columns.next::<Option<i64>>().map(unsigned),
        state: columns.state(),
        priority: columns.next(),
        attempt: columns.next(),
        max_attempts: columns.next(),
        crashes: columns.next(),
        max_crashes: columns.next(),
        interruptions: columns.next(),
        policy: columns.policy(),
        progress: columns.parsed(),
        output: columns.optional_json(),
        output_bytes: columns.next::<Option<i64>>().map(unsigned),
        errors: columns.parsed().unwrap_or_default(),
        cancel_requested: columns.next::<Option<i64>>().is_some(),
        cancel_reason: None,
        worker: columns.next(),
        position: None,
        created_at: columns.time(),
        run_at: columns.time(),
        started_at: columns.optional_time(),
        finished_at: columns.optional_time(),
        depends_on: Vec::new(),
        waits_for: None,
        wakes_at: None,
        forked_from: None,
        unique: None,
        expires_at: None,
        deadline: None,
        last_event: unsigned(columns.next()),
        parent: columns.next::<Option<String>>().map(JobId::from_store),
        labels: columns.parsed().unwrap_or_default(),
        limit_keys: Vec::new(),
        prefer: None,
        children: None,
    };
    let facts = RowFacts {
        seq: columns.next(),
        state_event: unsigned(columns.next()),
        state_at: columns.time(),
        rank: natural_rank(columns.next()),
        log_gap: 0,
    };
    let keys: Option<String> = columns.next();
    let limit_keys = split_keys(keys.as_deref());
    let prefer = split_prefer(keys.as_deref());
    let record = JobRecord { limit_keys, prefer, children: columns.children(), ..record };
    let facts = RowFacts { log_gap: unsigned(columns.next()), ..facts };
    // The reason outlives a completion and a retry in the row. An earlier release notes none.
    let is_told = record.cancel_requested || record.state == State::Cancelled;
    let cancel_reason = columns.word().filter(|_| is_told).or(is_told.then(CancelReason::default));
    let ExtraFields { expires_at, deadline, depends_on, forked_from, .. } =
        columns.parsed().unwrap_or_default();
    let (waits_for, wakes_at) = (columns.word(), columns.optional_time());
    let waits_for = waits_for.or((record.state == State::Blocked).then_some(WaitsFor::Children));
    let record = JobRecord { cancel_reason, expires_at, deadline, waits_for, wakes_at, ..record };
    let unique = columns.next::<Option<String>>().map(UniqueKey::new);
    Ok((JobRecord { depends_on, forked_from, unique, ..record }, facts))
}

/// The columns of a row, one after the other.
pub(crate) struct Columns<'r, 's> {
    row: &'r Row<'s>,
    column: usize,
    unreadable: Option<String>,
}

impl<'r, 's> Columns<'r, 's> {
    pub(crate) fn new(row: &'r Row<'s>) -> Self {
        Self { row, column: 0, unreadable: None }
    }

    /// The first column that could not be read, and why.
    pub(crate) fn unreadable(self) -> Option<String> {
        self.unreadable
    }

    /// The value of the next column, or its type's default where it is of another type.
    pub(crate) fn next<T: FromSql + Default>(&mut self) -> T {
        let column = self.step();
        self.row.get(column).unwrap_or_else(|error| self.note(column, &error))
    }

    /// True where the next column holds nothing.
    pub(crate) fn is_null(&mut self) -> bool {
        let column = self.step();
        self.row.get_ref(column).is_ok_and(|value| value == ValueRef::Null)
    }

    pub(crate) fn id(&mut self) -> JobId {
        JobId::from_store(self.next())
    }

    pub(crate) fn time(&mut self) -> Timestamp {
        Timestamp(self.next())
    }

    pub(crate) fn optional_time(&mut self) -> Option<Timestamp> {
        self.next::<Option<i64>>().map(Timestamp)
    }

    /// A job's policy, of the columns `policy`, `timeout` and `backoff`: the last two are all that a release before
    /// `policy` has written.
    #[allow(clippy::needless_update, reason = "a field that is added later needs no change here")]
    pub(crate) fn policy(&mut self) -> Policy {
        let policy: Option<Policy> = self.parsed();
        if let Some(policy) = policy {
            self.column += 2;
            return policy;
        }
        let timeout = self.next::<Option<i64>>().map(|millis| Duration::from_millis(unsigned(millis)));
        Policy { timeout, backoff: self.parsed(), ..Policy::default() }
    }

    /// A column of JSON text that is handed on as it is.
    pub(crate) fn json(&mut self) -> Json {
        let text: String = self.next();
        let column = self.column - 1;
        Json::parse(text).unwrap_or_else(|error| self.note(column, &error))
    }

    pub(crate) fn optional_json(&mut self) -> Option<Json> {
        let text: Option<String> = self.next();
        let column = self.column - 1;
        text.map(|text| Json::parse(text).unwrap_or_else(|error| self.note(column, &error)))
    }

    /// A column of JSON text, or null.
    pub(crate) fn parsed<T: DeserializeOwned>(&mut self) -> Option<T> {
        let column = self.step();
        let read = self.row.get_ref(column).map(|value| value.as_str_or_null());
        match read {
            Ok(Ok(None)) => None,
            Ok(Ok(Some(text))) => match serde_json::from_str(text) {
                Ok(value) => Some(value),
                Err(error) => self.note(column, &error),
            },
            Ok(Err(error)) => self.note(column, &error),
            Err(error) => self.note(column, &error),
        }
    }

    /// A state; one that this release does not know is shown as `blocked`, since nothing here moves it.
    pub(crate) fn state(&mut self) -> State {
        let word: String = self.next();
        let column = self.column - 1;
        word.parse().unwrap_or_else(|error: String| {
            self.note::<()>(column, &error);
            State::Blocked
        })
    }

    /// A column that holds one of some words; none where it is null or cannot be read.
    pub(crate) fn word<T: FromStr<Err = String>>(&mut self) -> Option<T> {
        let word: Option<String> = self.next();
        let column = self.column - 1;
        word?.parse().inspect_err(|error: &String| self.note(column, error)).ok()
    }

    /// A closing job's children; null in all other jobs.
    pub(crate) fn children(&mut self) -> Option<Children> {
        let total: Option<i64> = self.next();
        let mut count = || unsigned(self.next::<Option<i64>>().unwrap_or_default());
        let (completed, failed, cancelled) = (count(), count(), count());
        total.map(|total| Children { total: unsigned(total), completed, failed, cancelled })
    }

    fn step(&mut self) -> usize {
        self.column += 1;
        self.column - 1
    }

    fn note<T: Default>(&mut self, column: usize, error: &dyn Display) -> T {
        let name = self.row.as_ref().column_name(column).unwrap_or("?").to_owned();
        self.unreadable.get_or_insert_with(|| format!("{name}: {error}"));
        T::default()
    }
}

/// Our own numbers are never negative; one that is comes of a hand in the file, and counts as none.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The engine's numbers fit SQLite's, but for ones that a caller made up (an event number of 2⁶⁴): those are
/// beyond all others.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
