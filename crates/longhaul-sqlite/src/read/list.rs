use longhaul::{Error, JobFilter, JobId, JobPage, Page, Result, State};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::error::fault;
use crate::filter;
use crate::row::{Columns, job_columns, job_record};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;
/// The most bytes that one page of a search for text looks through, but for its first job: some ten milliseconds.
const BYTES_SEARCHED: i64 = 4 * 1024 * 1024;

/// A page of jobs, newest first.
pub(crate) fn list(connection: &Connection, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let before = cursor(page.cursor.as_deref())?;
    let read = |row: &Row<'_>| job_record(row).map(|(record, facts)| (facts.seq, record));
    let columns = job_columns(page.payloads);
    let limit = page.limit.clamp(1, 1_000);
    let found = find(connection, filter, before, limit, &columns, read).map_err(fault("list jobs"))?;
    Ok(JobPage { jobs: found.rows, next: found.next.map(|seq| seq.to_string()), searched: 0 })
}

fn cursor(text: Option<&str>) -> Result<i64> {
    text.map_or(Ok(i64::MAX), |cursor| {
        cursor.parse().map_err(|_| Error::Invalid {
            field: "cursor".into(),
            reason: "must be the `next` of an earlier page".into(),
        })
    })
}

/// Some of what fits a filter, newest first.
pub(crate) struct Found<T> {
    pub(crate) rows: Vec<T>,
    /// The cursor of the rest; `None` where there is none.
    pub(crate) next: Option<i64>,
}

/// A job that fits a filter at present.
pub(crate) struct Candidate {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) state: State,
}

/// The jobs that fit a filter at present.
pub(crate) fn candidates(
    connection: &Connection,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Found<Candidate>> {
    let read = |row: &Row<'_>| {
        let mut columns = Columns::new(row);
        let seq = columns.next();
        Ok((seq, Candidate { seq, id: columns.id(), state: columns.state() }))
    };
    find(connection, filter, before.unwrap_or(i64::MAX), limit, "seq, id, state", read)
        .map_err(fault("look for jobs"))
}

fn find<T>(
    connection: &Connection,
    filter: &JobFilter,
    before: i64,
    limit: usize,
    columns: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(i64, T)>,
) -> rusqlite::Result<Found<T>> {
    let mut values = vec![Value::Integer(before), Value::Integer(0)];
    let narrow = filter::source(filter, &mut values);
    let source = format!(
        "SELECT * FROM jobs WHERE seq < ?1 AND seq >= ?2{narrow} ORDER BY seq DESC LIMIT {ROWS_READ}"
    );
    if filter.text.is_some() {
        values[1] = Value::Integer(searched_from(connection, &source, &values)?);
    }
    let used = values.clone();
    let conditions = filter::conditions(filter, &mut values);
    let sql =
        format!("SELECT {columns} FROM ({source}) WHERE {conditions} ORDER BY seq DESC LIMIT {}", limit + 1);
    let mut found = Vec::new();
    let (mut last, mut is_full) = (None, false);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        // One job more than was asked for tells that there is a next page.
        is_full = found.len() == limit;
        if is_full {
            break;
        }
        let (seq, job) = read(row)?;
        last = Some(seq);
        found.push(job);
    }
    let next = if is_full { last } else { unread(connection, &source, &used)? };
    Ok(Found { rows: found, next })
}

/// The oldest job that a search for text looks at, so that it looks through a bounded number of bytes.
fn searched_from(connection: &Connection, source: &str, values: &[Value]) -> rusqlite::Result<i64> {
    // The sizes are in the rows' headers, so the texts themselves are not read for this.
    let sql = format!("SELECT seq, octet_length(args) + coalesce(octet_length(errors), 0) FROM ({source})");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut from, mut bytes) = (0, 0);
    while bytes < BYTES_SEARCHED
        && let Some(row) = rows.next()?
    {
        from = row.get(0)?;
        bytes += row.get::<_, i64>(1)?;
    }
    // A page that is within the bound ends with its rows.
    Ok(if bytes < BYTES_SEARCHED { 0 } else { from })
}

/// The end of the rows that a page has looked at without filling up; `None` where there are no more.
fn unread(connection: &Connection, source: &str, values: &[Value]) -> rusqlite::Result<Option<i64>> {
    let sql = format!("SELECT min(seq), count(*) FROM ({source})");
    let mut statement = connection.prepare_cached(&sql)?;
    let (last, read): (Option<i64>, i64) =
        statement.query_row(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_cut = matches!(values[1], Value::Integer(from) if from > 0);
    Ok(last.filter(|_| read == ROWS_READ || is_cut))
}
