use longhaul::{Error, JobFilter, JobId, JobPage, JobRecord, Page, Payloads, Result, State, WaitsFor};
use tokio_postgres::types::ToSql;

use super::filter::{Values, conditions, list_of, references, words};
use super::{Reader, Reads};
use crate::row::{
    RowFacts, job_columns, job_record, parsed, search_columns, signed, state, unsigned, waits_for,
};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;
/// The bytes of payloads after which a page that holds whole jobs against terms reads no more.
const BYTES_READ: i64 = 8 * 1024 * 1024;
/// Rows that are held against terms at once: at first, and what that grows by. A page may be full after a few.
const FIRST_ROWS: i64 = 250;
const GROWTH: i64 = 4;

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
    if !filter.terms.is_empty() {
        let mut search = Search { before, limit, ..Search::default() };
        search.run(&mut reader, filter).await?;
        match page.payloads {
            Payloads::Short => search.found.iter_mut().for_each(|(record, _)| record.shorten()),
            Payloads::Whole => search.fetch_outputs(&mut reader).await?,
        }
        let jobs = search.found.into_iter().map(|(record, _)| record).collect();
        let next = search.next.map(|seq| seq.to_string());
        return Ok(JobPage { jobs, next, searched: search.searched });
    }
    let mut values: Values = vec![Box::new(before)];
    let Source { sql: source, order } = source(filter, &mut values, ROWS_READ);
    let used = values.len();
    let conditions = conditions(filter, &mut values)?;
    let columns = job_columns(page.payloads);
    let sql = format!(
        "SELECT {columns}, place FROM (
           SELECT *, row_number() OVER (ORDER BY {order}) AS place FROM ({source}) AS source
         ) AS read WHERE {conditions} ORDER BY {order} LIMIT {}",
        limit + 1
    );
    let values = references(&values);
    let mut jobs = Vec::new();
    let (mut next, mut searched) = (None, 0);
    let rows = reader.rows(&sql, &values).await?;
    // One job more than was asked for shows that there is a next page.
    let is_full = rows.len() > limit;
    for row in rows.iter().take(limit) {
        let (record, facts) = job_record(row);
        (next, searched) = (Some(facts.seq), unsigned(row.get("place")));
        jobs.push(record);
    }
    if !is_full {
        (next, searched) = looked_at(&mut reader, &source, &values[..used], ROWS_READ).await?;
    }
    Ok(JobPage { jobs, next: next.map(|seq| seq.to_string()), searched })
}

/// A job that an action may be meant for, as it was when it was looked for.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: JobId,
    pub(crate) state: State,
    pub(crate) seq: i64,
    pub(crate) state_event: i64,
    pub(crate) waits_for: Option<WaitsFor>,
}

/// Those of the newest jobs before `before` that fit, and where to look on; `None` where that was all.
pub(crate) async fn candidates(
    reads: &Reads,
    filter: &JobFilter,
    before: i64,
) -> Result<(Vec<Candidate>, Option<i64>)> {
    let mut reader = Reader::of(reads, "list jobs").await?;
    if !filter.terms.is_empty() {
        let mut search = Search { before, limit: usize::MAX, ..Search::default() };
        search.run(&mut reader, filter).await?;
        let candidate = |(record, facts): (JobRecord, RowFacts)| Candidate {
            id: record.id,
            state: record.state,
            seq: facts.seq,
            state_event: signed(facts.state_event),
            waits_for: record.waits_for,
        };
        return Ok((search.found.into_iter().map(candidate).collect(), search.next));
    }
    let mut values: Values = vec![Box::new(before)];
    let Source { sql: source, order } = source(filter, &mut values, ROWS_READ);
    let used = values.len();
    let conditions = conditions(filter, &mut values)?;
    let values = references(&values);
    let sql = format!(
        "SELECT id, state, seq, state_event, waits_for FROM ({source}) AS read WHERE {conditions} ORDER BY {order}"
    );
    let candidate = |row: &tokio_postgres::Row| Candidate {
        id: JobId::from_store(row.get(0)),
        state: state(row, 1),
        seq: row.get(2),
        state_event: row.get(3),
        waits_for: waits_for(row, 1, 4),
    };
    let found = reader.rows(&sql, &values).await?.iter().map(candidate).collect();
    Ok((found, looked_at(&mut reader, &source, &values[..used], ROWS_READ).await?.0))
}

/// A search for jobs of which terms are true. Statements narrow by what they can, and whole jobs are held against the terms
/// here, some rows at a time.
#[derive(Default)]
struct Search {
    before: i64,
    limit: usize,
    found: Vec<(JobRecord, RowFacts)>,
    searched: u64,
    bytes: i64,
    /// The last job that was looked at, where there may be more.
    next: Option<i64>,
}

impl Search {
    async fn run(&mut self, reader: &mut Reader<'_>, filter: &JobFilter) -> Result<()> {
        let (mut rows, mut left) = (FIRST_ROWS, ROWS_READ);
        loop {
            self.look_at(reader, filter, rows).await?;
            left -= rows;
            rows = (rows * GROWTH).min(left);
            match self.next {
                Some(seq) if self.found.len() < self.limit && left > 0 && self.bytes < BYTES_READ => {
                    self.before = seq;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Looks at the next rows, as far as their payloads are of the bytes that are left.
    async fn look_at(&mut self, reader: &mut Reader<'_>, filter: &JobFilter, rows: i64) -> Result<()> {
        let mut values: Values = vec![Box::new(self.before)];
        let Source { sql: source, order } = source(filter, &mut values, rows);
        let conditions = conditions(filter, &mut values)?;
        values.push(Box::new(BYTES_READ - self.bytes));
        // The last row that was checked is always returned: the next page begins there.
        let sql = format!(
            "SELECT {columns}, fits, place, bytes, has_next FROM (
               SELECT *, coalesce({conditions}, false) AS fits, lead(seq) OVER (ORDER BY {order}) IS NULL AS is_last
               FROM (
                 SELECT *, row_number() OVER newest AS place, lead(seq) OVER newest IS NOT NULL AS has_next,
                   sum(octet_length(args) + coalesce(octet_length(errors), 0)) OVER newest AS bytes
                 FROM ({source}) AS source WINDOW newest AS (ORDER BY {order})
               ) AS measured WHERE place = 1 OR bytes <= ${last}::bigint
             ) AS read WHERE fits OR is_last ORDER BY {order}",
            columns = search_columns(),
            last = values.len(),
        );
        let read = reader.rows(&sql, &references(&values)).await?;
        self.next = None;
        let Some(last) = read.last() else { return Ok(()) };
        self.bytes += last.get::<_, i64>("bytes");
        for (number, row) in read.iter().enumerate() {
            let (record, facts) = job_record(row);
            let (seq, place) = (facts.seq, row.get::<_, i64>("place"));
            if row.get("fits") && filter.fits_terms(&record) {
                self.found.push((record, facts));
            }
            let is_last = number + 1 == read.len();
            if is_last || self.found.len() == self.limit {
                self.searched += unsigned(place);
                let has_next = !is_last || row.get("has_next") || place == rows;
                self.next = has_next.then_some(seq);
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Search {
    /// Fetches the large outputs of the jobs that were found, which no term looks at. For a job that has changed since,
    /// only the size is returned.
    async fn fetch_outputs(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let large: Vec<i64> =
            self.found.iter().filter_map(|(record, facts)| record.output_bytes.map(|_| facts.seq)).collect();
        if large.is_empty() {
            return Ok(());
        }
        let sql = "SELECT seq, state_event, output FROM jobs WHERE seq = ANY ($1::bigint[])";
        for row in reader.rows(sql, &[&large]).await? {
            let is_same = |facts: &RowFacts| {
                (facts.seq, signed(facts.state_event)) == (row.get::<_, i64>(0), row.get::<_, i64>(1))
            };
            let Some((record, _)) = self.found.iter_mut().find(|(_, facts)| is_same(facts)) else { continue };
            record.output = parsed(&row, 2, "output").unwrap_or_default();
            record.output_bytes = None;
        }
        Ok(())
    }
}

/// The rows that a page looks at.
struct Source {
    sql: String,
    /// The order that they come in: the newest first.
    order: &'static str,
}

/// Named jobs, children and rare states have indexes of their own.
fn source(filter: &JobFilter, values: &mut Values, rows: i64) -> Source {
    let (mut narrow, mut order) = (String::from("seq < $1::bigint"), "seq DESC");
    if !filter.ids.is_empty() {
        narrow += &format!(" AND id = ANY ({})", list_of(values, words(&filter.ids)));
    } else if let [parent] = &filter.parents[..] {
        // Bounds in place of `parent = …`, and its order: however many children the server has counted, no index but theirs
        // gives them so, and it gives no row that is not asked for.
        values.push(Box::new(parent.as_str().to_owned()));
        let parent = format!("${}::text", values.len());
        narrow = format!("(parent, seq) < ({parent}, $1::bigint) AND parent >= {parent}");
        order = "parent DESC, seq DESC";
    } else if !filter.parents.is_empty() {
        narrow += &format!(" AND parent = ANY ({})", list_of(values, words(&filter.parents)));
    } else if let [state @ (State::Failed | State::Cancelled | State::Running)] = filter.states[..] {
        narrow += &format!(" AND state = '{state}'");
    }
    let sql = format!("SELECT * FROM jobs WHERE {narrow} ORDER BY {order} LIMIT {rows}");
    Source { sql, order }
}

/// The last row of a source, where there may be more, and how many rows it has.
async fn looked_at(
    reader: &mut Reader<'_>,
    source: &str,
    values: &[&(dyn ToSql + Sync)],
    rows: i64,
) -> Result<(Option<i64>, u64)> {
    let sql = format!("SELECT min(seq), count(*) FROM ({source}) AS read");
    let counted = reader.rows(&sql, values).await?;
    let Some(row) = counted.first() else { return Ok((None, 0)) };
    let count: i64 = row.get(1);
    let last = if count == rows { row.get(0) } else { None };
    Ok((last, unsigned(count)))
}
