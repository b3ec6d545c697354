use deadpool_postgres::Pool;
use longhaul::{Action, Error, JobFilter, JobId, JobPage, Json, Page, Result, State};
use tokio_postgres::types::ToSql;

use super::Reader;
use crate::row::{JOB_COLUMNS, job_record};

/// The most rows that one page reads, so that a filter which fits few jobs costs a page no more than any other.
const ROWS_READ: i64 = 10_000;

type Values = Vec<Box<dyn ToSql + Sync + Send>>;

/// A page of jobs, newest first.
pub(crate) async fn list(pool: &Pool, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let before: i64 = match &page.cursor {
        None => i64::MAX,
        Some(cursor) => cursor.parse().map_err(|_| Error::Invalid {
            field: "cursor".into(),
            reason: "must be the `next` of an earlier page".into(),
        })?,
    };
    let limit = page.limit.clamp(1, 1_000);
    let mut reader = Reader::of(pool, "list jobs").await?;
    let mut values: Values = vec![Box::new(before)];
    let source = source(filter, &mut values);
    let used = values.len();
    let conditions = conditions(filter, &mut values)?;
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM ({source}) AS read WHERE {conditions} ORDER BY seq DESC LIMIT {}",
        limit + 1
    );
    let values: Vec<&(dyn ToSql + Sync)> =
        values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
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
    Ok(JobPage { jobs, next: next.map(|seq| seq.to_string()) })
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

/// Where the rows end that a page has looked at without filling up; `None` where there are no more.
async fn unread(reader: &mut Reader, source: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<i64>> {
    let sql = format!("SELECT min(seq), count(*) FROM ({source}) AS read");
    let rows = reader.rows(&sql, values).await?;
    let last = rows.first().filter(|row| row.get::<_, i64>(1) == ROWS_READ);
    Ok(last.and_then(|row| row.get(0)))
}

fn conditions(filter: &JobFilter, values: &mut Values) -> Result<String> {
    let mut all = vec!["true".to_owned()];
    let mut one_of = |column: &str, words: Vec<String>| {
        if !words.is_empty() {
            all.push(format!("{column} = ANY ({})", list_of(values, words)));
        }
    };
    one_of("state", filter.states.iter().map(State::to_string).collect());
    one_of("parent", words(&filter.parents));
    one_of("kind", filter.kinds.clone());
    one_of("queue", filter.queues.clone());
    for (label, value) in &filter.labels {
        // Labels are kept as JSON's text, in which this can be nothing but the label: a quotation mark within a text
        // has a backslash before it.
        let pair = format!("{}:{}", Json::new(label)?.as_str(), Json::new(value)?.as_str());
        values.push(Box::new(pair));
        all.push(format!("strpos(labels, ${}::text) > 0", values.len()));
    }
    if let Some(text) = &filter.text {
        values.push(Box::new(format!("%{}%", escaped(text))));
        let n = values.len();
        let like = |column: &str| format!("{column} ILIKE ${n}::text");
        all.push(format!(
            "({} OR {} OR {} OR {})",
            like("id"),
            like("kind"),
            like("args"),
            like("last_error")
        ));
    }
    Ok(all.join(" AND "))
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
        filter.ids = vec![JobId::from_store(String::new())];
    }
}

fn words(ids: &[JobId]) -> Vec<String> {
    ids.iter().map(|id| id.as_str().to_owned()).collect()
}

fn list_of(values: &mut Values, words: Vec<String>) -> String {
    values.push(Box::new(words));
    format!("${}::text[]", values.len())
}

/// Text to be found as it is, not as a pattern. What the server's text cannot hold is in no job's.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('\0', "\u{fffd}")
}
