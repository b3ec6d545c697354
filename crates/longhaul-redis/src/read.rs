use longhaul::{AttemptError, Timestamp, lifecycle};
use longhaul::{
    Error, Event, EventBody, JobFilter, JobId, JobPage, JobRecord, Lookup, MAX_POSITION, Page, Payloads,
    Result, UniqueKey,
};
use redis::Value;

use crate::answer::{bytes, int, json, list, parsed, text};
use crate::claim::Patience;
use crate::driver::{Driver, JOBS_PER_CALL};
use crate::error::unreadable;
use crate::fields::{Beside, Data, Fields, record};
use crate::filter::{Narrowed, Rows};
use crate::scripts;

/// The most jobs that one page looks at, so that a filter which fits few costs a page no more than any other.
const SCANNED_PER_PAGE: u64 = 10_000;
/// The same where all of each job has to be read.
const SEARCHED_PER_PAGE: u64 = 5_000;
/// The bytes of rows after which a page ends.
const BYTES_PER_PAGE: u64 = 8 << 20;
/// And one call.
const SCANNED_PER_CALL: usize = 500;

/// Looks jobs up by id.
pub(crate) async fn get(driver: &Driver, ids: &[JobId]) -> Result<Vec<Lookup>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(JOBS_PER_CALL) {
        let mut arguments = vec![MAX_POSITION.to_string().into_bytes()];
        arguments.extend(ids.iter().map(|id| id.as_str().as_bytes().to_vec()));
        let answers = list(driver.call(&scripts::GET, arguments).await?).unwrap_or_default();
        let read = ids.iter().zip(answers).map(|(id, answer)| lookup(id, answer));
        found.extend(read.collect::<Option<Vec<_>>>().ok_or_else(|| unreadable(scripts::GET.operation))?);
    }
    if found.len() == ids.len() { Ok(found) } else { Err(unreadable(scripts::GET.operation)) }
}

fn lookup(id: &JobId, answer: Value) -> Option<Lookup> {
    match answer {
        Value::Int(0) => Some(Lookup::Unknown),
        Value::Int(1) => Some(Lookup::Gone),
        Value::Array(row) => {
            let position = u64::try_from(int(row.get(7)?)?).ok();
            // A record that cannot be read is unknown until a claim or a sweep meets it, and ends it as failed.
            let holder = text(row.get(8)?).map(|id| JobId::from_store(id.to_owned()));
            let with_looks = |record: JobRecord| {
                let unique = record.unique.map(|unique| UniqueKey { holder, ..unique });
                Lookup::Found(Box::new(JobRecord { position, unique, ..record }))
            };
            Some(shown(id.clone(), &row).map_or(Lookup::Unknown, with_looks))
        }
        _ => None,
    }
}

/// The record that the answer of `shown` in `reading.lua` makes.
fn shown(id: JobId, row: &[Value]) -> Option<JobRecord> {
    let fields = Fields::unpack(bytes(row.first()?)?)?;
    let args_bytes = size(row.get(5)?);
    let (data, _) = Data::unpack(bytes(row.get(1)?)?);
    let errors = match row.get(4)? {
        Value::Array(errors) => errors.iter().filter_map(parsed).collect(),
        _ => Vec::new(),
    };
    let beside = Beside { progress: parsed(row.get(2)?), output: json(row.get(3)?), errors };
    let output_bytes = size(row.get(6)?);
    Some(JobRecord { args_bytes, output_bytes, ..record(id, &fields, data, beside) })
}

/// The size of what was left out of a row; 0 is nothing.
fn size(value: &Value) -> Option<u64> {
    u64::try_from(int(value)?).ok().filter(|bytes| *bytes > 0)
}

/// A page of jobs, newest first.
pub(crate) async fn list_jobs(driver: &Driver, filter: &JobFilter, page: &Page) -> Result<JobPage> {
    let Some(narrowed) = Narrowed::new(filter) else { return Ok(JobPage::default()) };
    let rows = match (page.payloads, narrowed.looks_at()) {
        (Payloads::Whole, _) => Rows::Whole,
        (Payloads::Short, Rows::None) => Rows::Short,
        (Payloads::Short, looked_at) => looked_at,
    };
    let listed = list_rows(driver, &narrowed, page, rows).await?;
    let mut jobs: Vec<JobRecord> = listed.rows.into_iter().filter_map(|row| row.record).collect();
    if page.payloads == Payloads::Short {
        jobs.iter_mut().for_each(JobRecord::shorten);
    }
    Ok(JobPage { jobs, next: listed.next, searched: listed.searched })
}

/// A job among those that are listed.
pub(crate) struct Row {
    pub(crate) id: JobId,
    pub(crate) seq: i64,
    /// The number of its last change of state.
    pub(crate) state_event: i64,
    record: Option<JobRecord>,
}

/// A page of rows.
#[derive(Default)]
pub(crate) struct Listed {
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
    /// The jobs that were looked at, fitting or not.
    searched: u64,
}

/// A page of rows, newest first.
pub(crate) async fn list_rows(driver: &Driver, filter: &Narrowed, page: &Page, rows: Rows) -> Result<Listed> {
    let mut before: Option<u64> = match &page.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse().map_err(|_| Error::Invalid {
            field: "cursor".into(),
            reason: "must be one that an earlier page gave".into(),
        })?),
    };
    let limit = page.limit.clamp(1, 1_000);
    let wanted = filter.packed();
    let mut listed = Listed::default();
    let mut bytes = 0;
    loop {
        // Where rows are held against terms here, few may be left of those that a script answers.
        let (most, most_searched) = match filter.looks_at() {
            Rows::None => (limit - listed.rows.len(), SCANNED_PER_PAGE),
            Rows::Whole | Rows::Args | Rows::Short => (SCANNED_PER_CALL, SEARCHED_PER_PAGE),
        };
        let mut arguments = vec![
            before.map(|seq| seq.to_string()).unwrap_or_default().into_bytes(),
            SCANNED_PER_CALL.to_string().into_bytes(),
            most.to_string().into_bytes(),
            wanted.clone(),
            match rows {
                Rows::Whole => "whole".into(),
                Rows::Args => "args".into(),
                Rows::Short => "short".into(),
                Rows::None => "none".into(),
            },
        ];
        arguments.extend(filter.ids());
        let answer = driver.call(&scripts::LIST, arguments).await?;
        let part = read_part(answer).ok_or_else(|| unreadable(scripts::LIST.operation))?;
        let is_wanted = |row: &Row| match &row.record {
            Some(record) => filter.fits(record),
            // A row that was asked for and cannot be read.
            None => rows == Rows::None,
        };
        listed.searched += part.looked_at;
        bytes += part.bytes;
        before = part.last_seen.or(before);
        let mut has_more = part.has_more;
        let mut found = part.rows.into_iter();
        while let Some(row) = found.next() {
            if !is_wanted(&row) {
                continue;
            }
            let seq = row.seq;
            listed.rows.push(row);
            if listed.rows.len() == limit && found.len() > 0 {
                (before, has_more) = (u64::try_from(seq).ok(), true);
                break;
            }
        }
        listed.next = before.filter(|_| has_more).map(|seq| seq.to_string());
        let is_enough =
            listed.rows.len() == limit || listed.searched >= most_searched || bytes >= BYTES_PER_PAGE;
        if !has_more || is_enough {
            return Ok(listed);
        }
    }
}

/// The answer to one call.
struct Part {
    rows: Vec<Row>,
    last_seen: Option<u64>,
    has_more: bool,
    looked_at: u64,
    /// The bytes of the rows.
    bytes: u64,
}

fn read_part(answer: Value) -> Option<Part> {
    let [last_seen, more, rows, looked_at, bytes] = <[Value; 5]>::try_from(list(answer)?).ok()?;
    let row = |row: Value| {
        let [id, seq, state_event, row] = <[Value; 4]>::try_from(list(row)?).ok()?;
        let id = JobId::from_store(text(&id)?.to_owned());
        let record = list(row).and_then(|row| shown(id.clone(), &row));
        Some(Row { id, seq: int(&seq)?, state_event: int(&state_event)?, record })
    };
    Some(Part {
        rows: list(rows)?.into_iter().map(row).collect::<Option<_>>()?,
        last_seen: u64::try_from(int(&last_seen)?).ok(),
        has_more: int(&more)? == 1,
        looked_at: u64::try_from(int(&looked_at)?).ok()?,
        bytes: u64::try_from(int(&bytes)?).ok()?,
    })
}

/// A piece of a job's log.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// True where the job has ended, so that nothing more will come.
    pub(crate) is_finished: bool,
}

/// A job's log after event `after`, with its present state among it; `None` where there is no such job.
pub(crate) async fn events(
    driver: &Driver,
    id: &JobId,
    after: u64,
    limit: usize,
    patience: Patience,
) -> Result<Option<Log>> {
    let waits = if patience == Patience::Waits { "1" } else { "0" };
    let arguments = [id.as_str(), &after.to_string(), &limit.max(1).to_string(), waits];
    let arguments = arguments.iter().map(|text| text.as_bytes().to_vec()).collect();
    let answer = driver.call(&scripts::EVENTS, arguments).await?;
    if answer == Value::Nil {
        return Ok(None);
    }
    let log = read_log(answer, after, limit.max(1));
    log.map(Some).ok_or_else(|| unreadable(scripts::EVENTS.operation))
}

fn read_log(answer: Value, after: u64, limit: usize) -> Option<Log> {
    let [fields, output, error, cut, entries] = <[Value; 5]>::try_from(list(answer)?).ok()?;
    let cut = text(&cut).and_then(|cut| cut.parse().ok()).unwrap_or(0);
    let fields = Fields::unpack(bytes(&fields)?)?;
    let mut events: Vec<Event> = list(entries)?.into_iter().filter_map(entry).collect();
    if fields.last_event > after {
        events.extend(present(&fields, &output, &error, cut).into_iter().filter(|event| event.seq > after));
        events.sort_by_key(|event| event.seq);
        events.truncate(limit);
    }
    Some(Log { events, is_finished: fields.state.is_finished() })
}

/// An entry of the stream: its id, and names and values.
pub(crate) fn entry(value: Value) -> Option<Event> {
    let [id, values] = <[Value; 2]>::try_from(list(value)?).ok()?;
    let values = list(values)?;
    Some(Event {
        seq: text(&id)?.split('-').next()?.parse().ok()?,
        at: Timestamp(text(values.get(1)?)?.parse().ok()?),
        attempt: text(values.get(3)?)?.parse().ok()?,
        body: parsed(values.get(5)?)?,
    })
}

/// The events that are not written: the gap of a log that has lost those to number `cut`, the output of a completed job, and
/// the state.
fn present(fields: &Fields<'_>, long_output: &Value, error: &Value, cut: u64) -> Vec<Event> {
    let event = |seq, body| Event { seq, at: fields.state_at, attempt: fields.attempt, body };
    let output = match fields.output {
        Some(short) => longhaul::Json::parse(short.to_owned()).ok(),
        None => json(long_output),
    };
    // While it runs, and once it has completed, its last attempt has not failed.
    let has_failed = !matches!(fields.state, longhaul::State::Running | longhaul::State::Completed);
    let error = parsed::<AttemptError>(error).filter(|_| has_failed);
    let (children, cancel_reason) = (fields.children, fields.cancel_reason);
    let state = EventBody::State { state: fields.state, error, children, cancel_reason };
    let output = output.map(|output| event(fields.state_event - 1, EventBody::Output { output }));
    let gap = lifecycle::gap_event(cut).map(|seq| event(seq, EventBody::Gap));
    let state = event(lifecycle::state_event(fields.state_event, cut), state);
    gap.into_iter().chain(output).chain([state]).collect()
}
