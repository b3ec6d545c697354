use longhaul::{Error, JobFilter, JobId, JobPage, Page, Payloads, Result, State, WaitsFor};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::error::fault;
use crate::filter;
use crate::row::{Columns, job_columns, job_record, unsigned};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;
/// The most bytes that one page of a search looks through, but for its first job: some ten milliseconds.
const BYTES_SEARCHED: i64 = 4 * 1024 * 1024;

/// A page of jobs, newest first.
pub(crate) fn list(connection: &Connection, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let before = cursor(page.cursor.as_deref())?;
    // Terms are held against whole args; they do not look at outputs, which are read of the jobs that fit.
    let (args, output) = match filter.terms[..] {
        [] => (page.payloads, page.payloads),
        _ => (Payloads::Whole, Payloads::Short),
    };
    let columns = job_columns(args, output);
    let read = |row: &Row<'_>| {
        let (mut record, facts) = job_record(row)?;
        let fits = filter.fits_terms(&record);
        if page.payloads == Payloads::Short {
            record.shorten();
        } else if fits && record.output_bytes.take().is_some() {
            let mut read = connection.prepare_cached("SELECT output FROM jobs WHERE seq = ?1")?;
            record.output = read.query_row([facts.seq], |row| Ok(Columns::new(row).optional_json()))?;
        }
        Ok((facts.seq, fits.then_some(record)))
    };
    let limit = page.limit.clamp(1, 1_000);
    let found = find(connection, filter, before, limit, &columns, read).map_err(fault("list jobs"))?;
    let next = found.next.map(|seq| seq.to_string());
    Ok(JobPage { jobs: found.rows, next, searched: found.searched })
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
    /// The number of jobs that were looked at.
    pub(crate) searched: u64,
}

/// A job that fits a filter at present.
pub(crate) struct Candidate {
    pub(crate) seq: i64,
    pub(crate) id: JobId,
    pub(crate) state: State,
    /// The event that a blocked job waits for.
    pub(crate) waits_for: Option<WaitsFor>,
}

/// The jobs that fit a filter at present.
pub(crate) fn candidates(
    connection: &Connection,
    filter: &JobFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Found<Candidate>> {
    let before = before.unwrap_or(i64::MAX);
    let found = if filter.terms.is_empty() {
        let read = |row: &Row<'_>| {
            let mut columns = Columns::new(row);
            let seq = columns.next();
            let (id, state) = (columns.id(), columns.state());
            Ok((seq, Some(Candidate { seq, id, state, waits_for: columns.word() })))
        };
        let columns =
            "seq, id, state, iif(state = 'blocked', (SELECT waits_for FROM waits WHERE job = seq), NULL)";
        find(connection, filter, before, limit, columns, read)
    } else {
        let read = |row: &Row<'_>| {
            let (job, facts) = job_record(row)?;
            let candidate = || Candidate {
                seq: facts.seq,
                id: job.id.clone(),
                state: job.state,
                waits_for: job.waits_for.clone(),
            };
            Ok((facts.seq, filter.fits_terms(&job).then(candidate)))
        };
        let columns = job_columns(Payloads::Whole, Payloads::Short);
        find(connection, filter, before, limit, &columns, read)
    };
    found.map_err(fault("look for jobs"))
}

/// Reads a page; `read` answers `None` for a job that does not fit after all.
fn find<T>(
    connection: &Connection,
    filter: &JobFilter,
    before: i64,
    limit: usize,
    columns: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(i64, Option<T>)>,
) -> rusqlite::Result<Found<T>> {
    // One transaction, so that what is counted is what was looked at.
    let transaction = connection.unchecked_transaction()?;
    let mut values = vec![Value::Integer(before), Value::Integer(0)];
    let source = filter::source(filter, &mut values, ROWS_READ);
    if filter.text.is_some() || !filter.terms.is_empty() {
        values[1] = Value::Integer(searched_from(&transaction, &source, &values)?);
    }
    let mut looked_at = values.clone();
    let conditions = filter::conditions(filter, &mut values);
    // One job more than was asked for shows whether there is a next page. If terms are to be checked after the read,
    // the number of rows that a page takes is unknown.
    let most = if filter.terms.is_empty() { limit as i64 + 1 } else { ROWS_READ };
    let sql = format!("SELECT {columns} FROM ({source}) WHERE {conditions} ORDER BY seq DESC LIMIT {most}");
    let mut found = Vec::new();
    let (mut last, mut is_full) = (0, false);
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    while !is_full && let Some(row) = rows.next()? {
        let (seq, Some(job)) = read(row)? else { continue };
        is_full = found.len() == limit;
        if !is_full {
            last = seq;
            found.push(job);
        }
    }
    drop(rows);
    drop(statement);
    if is_full {
        looked_at[1] = Value::Integer(last);
    }
    let (oldest, searched) = count(&transaction, &source, &looked_at)?;
    transaction.finish()?;
    let is_cut = matches!(looked_at[1], Value::Integer(from) if from > 0);
    let next = oldest.filter(|_| searched == ROWS_READ || is_cut);
    Ok(Found { rows: found, next, searched: unsigned(searched) })
}

/// The oldest job that a search looks at, so that it looks through a bounded number of bytes.
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

/// The oldest of the jobs that a page has looked at, and how many they are.
fn count(connection: &Connection, source: &str, values: &[Value]) -> rusqlite::Result<(Option<i64>, i64)> {
    connection
        .prepare_cached(&format!("SELECT min(seq), count(*) FROM ({source})"))?
        .query_row(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use longhaul::{AttemptError, Condition, ErrorKind, Json, State, Term};
    use rusqlite::params;

    use super::*;

    /// A file with so many completed jobs, after one that has failed.
    fn history(jobs: i64) -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::open::writing(&folder.path().join("jobs.db")).unwrap();
        crate::open::migrate(&connection).unwrap();
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO jobs (seq, id, kind, version, queue, state, priority, rank, run_at, max_attempts, max_crashes,
                               state_at, created_at, finished_at, kept_from, args, parent, errors)
             SELECT n, 'j' || n, 'k', 1, 'q', iif(n = 1, 'failed', 'completed'), 0, 1, 1, 3, 5, 1, 1, 1, 1, '{}',
               iif(n = 1, 'p', NULL),
               iif(n = 1, ?2, NULL)
             FROM n";
        let errors = Json::new(&[AttemptError::new(ErrorKind::Error, "no user 7")]).unwrap();
        connection.execute(fill, params![jobs, errors.as_str()]).unwrap();
        (folder, connection)
    }

    fn search(conditions: Vec<(Condition, bool)>) -> JobFilter {
        let term = |(condition, negated)| Term { condition, negated };
        JobFilter { terms: conditions.into_iter().map(term).collect(), ..JobFilter::default() }
    }

    #[test]
    fn a_search_for_what_an_index_knows_looks_at_no_other_job() {
        let (_folder, connection) = history(2 * ROWS_READ);
        let failed = Condition::State(State::Failed);
        for conditions in [
            vec![(Condition::Error("user".into()), false)],
            vec![(failed.clone(), false)],
            vec![(Condition::Parent(JobId::from_store("p".into())), false), (failed, false)],
            vec![(Condition::Id(JobId::from_store("j1".into())), false)],
        ] {
            let page = list(&connection, &search(conditions.clone()), &Page::default()).unwrap();
            let found: Vec<&str> = page.jobs.iter().map(|job| job.id.as_str()).collect();
            assert_eq!((found, page.searched, page.next), (vec!["j1"], 1, None), "{conditions:?}");
        }
    }

    #[test]
    fn a_list_of_a_state_that_few_jobs_have_reads_the_index_of_these_alone() {
        let (_folder, connection) = history(1);
        for (state, index) in [
            (State::Failed, "jobs_unsuccessful"),
            (State::Cancelled, "jobs_unsuccessful"),
            (State::Running, "jobs_running"),
        ] {
            let listed = JobFilter { states: vec![state], ..JobFilter::default() };
            for filter in [listed, search(vec![(Condition::State(state), false)])] {
                let mut values = vec![Value::Integer(i64::MAX), Value::Integer(0)];
                let source = filter::source(&filter, &mut values, ROWS_READ);
                let explain = format!("EXPLAIN QUERY PLAN {source}");
                let plan: String =
                    connection.query_row(&explain, params_from_iter(values), |row| row.get(3)).unwrap();
                assert!(plan.contains(index), "{state}: {plan}");
            }
        }
    }

    #[test]
    fn a_search_through_many_jobs_goes_on_from_page_to_page_and_tells_how_far_it_came() {
        let (_folder, connection) = history(2 * ROWS_READ + 5);
        let filter = search(vec![(Condition::Kind("k".into()), false), (Condition::Queue("q".into()), true)]);
        let (mut searched, mut cursor) = (Vec::new(), None);
        loop {
            let page = list(&connection, &filter, &Page { cursor, ..Page::default() }).unwrap();
            assert!(page.jobs.is_empty());
            searched.push(page.searched);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let rows = unsigned(ROWS_READ);
        assert_eq!(searched, [rows, rows, 5]);
    }
}
