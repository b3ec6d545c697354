use longhaul::{Action, Error, JobFilter, JobPage, Page, Result, State};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::fault;
use crate::row::{JOB_COLUMNS, job_record};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;

/// A page of jobs, newest first.
pub(crate) fn list(connection: &Connection, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let before: i64 = match &page.cursor {
        None => i64::MAX,
        Some(cursor) => cursor.parse().map_err(|_| Error::Invalid {
            field: "cursor".into(),
            reason: "must be the `next` of an earlier page".into(),
        })?,
    };
    read(connection, filter, before, page.limit.clamp(1, 1_000)).map_err(fault("list jobs"))
}

fn read(connection: &Connection, filter: &JobFilter, before: i64, limit: usize) -> rusqlite::Result<JobPage> {
    let mut values = vec![Value::Integer(before)];
    let source = source(filter, &mut values);
    let conditions = conditions(filter, &mut values);
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM ({source}) WHERE {conditions} ORDER BY seq DESC LIMIT {}",
        limit + 1
    );
    let mut jobs = Vec::new();
    let (mut last, mut is_full) = (None, false);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&values))?;
    while let Some(row) = rows.next()? {
        // One job more than was asked for tells that there is a next page.
        is_full = jobs.len() == limit;
        if is_full {
            break;
        }
        let (record, facts) = job_record(row)?;
        last = Some(facts.seq);
        jobs.push(record);
    }
    let next = if is_full { last } else { unread(connection, &source, &values)? };
    Ok(JobPage { jobs, next: next.map(|seq| seq.to_string()) })
}

/// The rows that a page looks at. Named jobs and rare states have indexes of their own.
fn source(filter: &JobFilter, values: &mut Vec<Value>) -> String {
    let mut narrow = String::new();
    if !filter.ids.is_empty() {
        let ids = filter.ids.iter().map(|id| id.as_str().to_owned());
        narrow = format!(" AND id IN ({})", placeholders(values, ids));
    } else if !filter.parents.is_empty() {
        let parents = filter.parents.iter().map(|id| id.as_str().to_owned());
        narrow = format!(" AND parent IN ({})", placeholders(values, parents));
    } else if let [state @ (State::Failed | State::Cancelled | State::Running)] = filter.states[..] {
        narrow = format!(" AND state = '{state}'");
    }
    format!("SELECT * FROM jobs WHERE seq < ?1{narrow} ORDER BY seq DESC LIMIT {ROWS_READ}")
}

/// Where the rows end that a page has looked at without filling up; `None` where there are no more.
fn unread(connection: &Connection, source: &str, values: &[Value]) -> rusqlite::Result<Option<i64>> {
    let sql = format!("SELECT min(seq), count(*) FROM ({source})");
    let mut statement = connection.prepare_cached(&sql)?;
    // The source uses the first values only; SQLite wants no more than it uses.
    let used = statement.parameter_count();
    let (last, read): (Option<i64>, i64) =
        statement.query_row(params_from_iter(&values[..used]), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(last.filter(|_| read == ROWS_READ))
}

fn conditions(filter: &JobFilter, values: &mut Vec<Value>) -> String {
    let mut all = vec!["1".to_owned()];
    let mut one_of = |column: &str, words: Vec<String>| {
        if !words.is_empty() {
            all.push(format!("{column} IN ({})", placeholders(values, words.into_iter())));
        }
    };
    one_of("state", filter.states.iter().map(State::to_string).collect());
    one_of("parent", filter.parents.iter().map(|id| id.as_str().to_owned()).collect());
    one_of("kind", filter.kinds.clone());
    one_of("queue", filter.queues.clone());
    for (label, value) in &filter.labels {
        values.push(Value::Text(label.clone()));
        values.push(Value::Text(value.clone()));
        let n = values.len();
        all.push(format!("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?{} AND value = ?{n})", n - 1));
    }
    if let Some(text) = &filter.text {
        values.push(Value::Text(format!("%{}%", escaped(text))));
        let n = values.len();
        let like = |column: &str| format!("{column} LIKE ?{n} ESCAPE '\\'");
        all.push(format!(
            "({} OR {} OR {} OR {})",
            like("id"),
            like("kind"),
            like("args"),
            like("json_extract(errors, '$[#-1].message')")
        ));
    }
    all.join(" AND ")
}

/// Leaves out of a filter what the action does not apply to.
pub(crate) fn narrow(filter: &mut JobFilter, action: Action) {
    let applies = |state: &State| match action {
        Action::Cancel { .. } => !state.is_finished(),
        Action::Retry | Action::Delete => state.is_finished(),
    };
    if filter.states.is_empty() {
        filter.states = State::ALL.to_vec();
    }
    filter.states.retain(applies);
    if filter.states.is_empty() {
        // An empty list would mean every state; an id that no job can have means none.
        filter.ids = vec![longhaul::JobId::from_store(String::new())];
    }
}

fn placeholders(values: &mut Vec<Value>, words: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = words
        .map(|word| {
            values.push(Value::Text(word));
            format!("?{}", values.len())
        })
        .collect();
    names.join(", ")
}

/// Text to be found as it is, not as a pattern.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
