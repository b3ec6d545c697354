use longhaul::{Error, JobFilter, JobId, JobPage, Page, Result, State};

use super::filter::{Values, conditions, list_of, references, words};
use super::{Reader, Reads};
use crate::row::{job_columns, job_record, state};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;

/// A page of jobs, newest first.
pub(crate) async fn list(reads: &Reads, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let before: i64 = match &page.cursor {
        None => i64::MAX,
        Some(cursor) => cursor.parse().map_err(|_| Error::Invalid {
            field: "cursor".into(),
            reason: "must be the `next` of an earlier page".into(),
        })?,
    };
    let limit = page.limit.clamp(1, 1_000);
    let mut reader = Reader::of(reads, "list jobs").await?;
    let mut values: Values = vec![Box::new(before)];
    let source = source(filter, &mut values);
    let used = values.len();
    let conditions = conditions(filter, &mut values)?;
    let columns = job_columns(page.payloads);
    let sql = format!(
        "SELECT {columns} FROM ({source}) AS read WHERE {conditions} ORDER BY seq DESC LIMIT {}",
        limit + 1
    );
    let values = references(&values);
    let mut jobs = Vec::new();
    let mut last = None;
    let rows = reader.rows(&sql, &values).await?;
    // One job more than was asked for tells that there is a next page.
    let is_full = rows.len() > limit;
    for row in rows.iter().take(limit) {
        let (record, facts) = job_record(row);
        last = Some(facts.seq);
        jobs.push(record);
    }
    let next = if is_full { last } else { unread(&mut reader, &source, &values[..used]).await? };
    Ok(JobPage { jobs, next: next.map(|seq| seq.to_string()), searched: 0 })
}

/// Jobs that an action may be meant for, with their states: those that fit of the newest before `before`.
pub(crate) async fn candidates(
    reads: &Reads,
    filter: &JobFilter,
    before: i64,
) -> Result<(Vec<(JobId, State)>, Option<i64>)> {
    let mut reader = Reader::of(reads, "list jobs").await?;
    let mut values: Values = vec![Box::new(before)];
    let source = source(filter, &mut values);
    let used = values.len();
    let conditions = conditions(filter, &mut values)?;
    let values = references(&values);
    let sql = format!("SELECT id, state FROM ({source}) AS read WHERE {conditions} ORDER BY seq DESC");
    let rows = reader.rows(&sql, &values).await?;
    let found = rows.iter().map(|row| (JobId::from_store(row.get(0)), state(row, 1))).collect();
    Ok((found, unread(&mut reader, &source, &values[..used]).await?))
}

/// The rows that a page looks at. Named jobs and rare states have indexes of their own.
fn source(filter: &JobFilter, values: &mut Values) -> String {
    let mut narrow = String::new();
    if !filter.ids.is_empty() {
        narrow = format!(" AND id = ANY ({})", list_of(values, words(&filter.ids)));
    } else if !filter.parents.is_empty() {
        narrow = format!(" AND parent = ANY ({})", list_of(values, words(&filter.parents)));
    } else if let [state @ (State::Failed | State::Cancelled | State::Running)] = filter.states[..] {
        narrow = format!(" AND state = '{state}'");
    }
    format!("SELECT * FROM jobs WHERE seq < $1{narrow} ORDER BY seq DESC LIMIT {ROWS_READ}")
}

/// The last row that a page has looked at without filling up; `None` where there are no more.
async fn unread(
    reader: &mut Reader<'_>,
    source: &str,
    values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Option<i64>> {
    let sql = format!("SELECT min(seq), count(*) FROM ({source}) AS read");
    let rows = reader.rows(&sql, values).await?;
    let last = rows.first().filter(|row| row.get::<_, i64>(1) == ROWS_READ);
    Ok(last.and_then(|row| row.get(0)))
}
