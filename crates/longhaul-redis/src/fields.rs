//! A job as the scripts keep it: its fields, which they read and change, and its data, which they carry.

use std::collections::BTreeMap;
use std::time::Duration;

use longhaul::clock::millis;
use longhaul::{Backoff, Idempotency, JobId, JobRecord, Json, NewJob, Start, State, Timestamp};
use serde::Serialize;

use crate::pack::{Item, Packer, Unpacker};

/// Lua counts in 53 bits: no time of ours lies beyond this one, some 140,000 years ahead.
const END_OF_TIME: i64 = 1 << 52;

/// A number of milliseconds that Lua can count with.
pub(crate) fn bounded(duration: Duration) -> i64 {
    millis(duration).min(END_OF_TIME)
}

/// What a script says of a job, in the order of `store.lua`.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) state: State,
    pub(crate) queue: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) version: u32,
    pub(crate) priority: i32,
    pub(crate) max_crashes: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) run_at: Timestamp,
    pub(crate) attempt: u32,
    pub(crate) crashes: u32,
    pub(crate) interruptions: u32,
    pub(crate) token: u64,
    pub(crate) worker: Option<&'a str>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) is_to_stop: bool,
    pub(crate) last_event: u64,
    pub(crate) state_event: u64,
    pub(crate) state_at: Timestamp,
    pub(crate) output: Option<&'a str>,
    pub(crate) limit_key: Option<&'a str>,
    pub(crate) parent: Option<&'a str>,
}

const FIELDS: usize = 30;

/// Packs the fields of a job that is to be created. The script makes its `run_at` of a delay, which is in that field's
/// place, and a time of day, in the place of `state_at`.
pub(crate) fn pack_new(job: &NewJob) -> Vec<u8> {
    let (delay, at) = match job.start {
        Start::Now | Start::AfterChildren => (0, 0),
        Start::After(delay) => (bounded(delay), 0),
        Start::At(at) => (0, at.0.clamp(0, END_OF_TIME)),
    };
    let mut fields = Packer::new();
    fields.list(FIELDS).int(0).int(State::Available as i64).text(&job.queue).text(&job.kind);
    fields.int(job.version.into()).int(job.priority.into()).int(job.max_crashes.into());
    fields.int(0).int(delay).int(0).int(0).int(0);
    // token, worker, started_at, finished_at, lease_until, cancel_by
    fields.int(0).none().none().none().int(0).none();
    // last_event, state_event, state_at, log, steps, errors, progress, output
    fields.int(1).int(1).int(at).int(0).int(0).int(0).none().none();
    let unique = job.unique.as_ref();
    fields.text_or_none(unique.map(|unique| unique.key.as_str()));
    fields.int_or_none(unique.and_then(|unique| unique.period).map(bounded));
    fields.text_or_none(job.limit_key.as_deref());
    fields.text_or_none(job.parent.as_ref().map(JobId::as_str));
    fields.done()
}

impl<'a> Fields<'a> {
    /// `None` where there is something that no script writes.
    pub(crate) fn unpack(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Unpacker(bytes);
        if rest.list()? < FIELDS {
            return None;
        }
        let time = |number: i64| Timestamp(number);
        let _seq = rest.int()?;
        let state = State::ALL.get(usize::try_from(rest.int()?).ok()?).copied()?;
        let (queue, kind) = (rest.text()?, rest.text()?);
        let version = count(rest.int()?);
        let priority = i32::try_from(rest.int()?).ok()?;
        let max_crashes = count(rest.int()?);
        let (created_at, run_at) = (time(rest.int()?), time(rest.int()?));
        let (attempt, crashes, interruptions) = (count(rest.int()?), count(rest.int()?), count(rest.int()?));
        let token = u64::try_from(rest.int()?).ok()?;
        let worker = rest.text_or_none()?;
        let (started_at, finished_at) = (rest.int_or_none()?.map(time), rest.int_or_none()?.map(time));
        let _lease_until = rest.int()?;
        let is_to_stop = rest.int_or_none()?.is_some();
        let last_event = u64::try_from(rest.int()?).ok()?;
        let state_event = u64::try_from(rest.int()?).ok()?;
        let state_at = time(rest.int()?);
        let (_log, _steps, _errors, _progress) = (rest.int()?, rest.int()?, rest.int()?, rest.next()?);
        let output = match rest.next()? {
            Item::Bytes(bytes) => Some(std::str::from_utf8(bytes).ok()?),
            _ => None,
        };
        let (_unique, _period) = (rest.text_or_none()?, rest.int_or_none()?);
        let (limit_key, parent) = (rest.text_or_none()?, rest.text_or_none()?);
        Some(Self {
            state,
            queue,
            kind,
            version,
            priority,
            max_crashes,
            created_at,
            run_at,
            attempt,
            crashes,
            interruptions,
            token,
            worker,
            started_at,
            finished_at,
            is_to_stop,
            last_event,
            state_event,
            state_at,
            output,
            limit_key,
            parent,
        })
    }
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// What never changes of a job and no script looks at.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) args: Json,
    pub(crate) max_attempts: u32,
    pub(crate) timeout: Option<Duration>,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Data {
    pub(crate) fn pack(job: &NewJob) -> Vec<u8> {
        let mut data = Packer::new();
        data.list(5).text(job.args.as_str()).int(job.max_attempts.into());
        data.int_or_none(job.timeout.map(millis));
        data.text_or_none(job.backoff.as_ref().map(json_of).as_deref());
        data.text_or_none((!job.labels.is_empty()).then(|| json_of(&job.labels)).as_deref());
        data.done()
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut rest = Unpacker(bytes);
        rest.list()?;
        let args = Json::parse(rest.text()?.to_owned()).ok()?;
        let max_attempts = count(rest.int()?);
        let timeout = rest.int_or_none()?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        let backoff = rest.text_or_none()?.and_then(|text| serde_json::from_str(text).ok());
        let labels =
            rest.text_or_none()?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Some(Self { args, max_attempts, timeout, backoff, labels })
    }
}

/// Packs what the caller promises of a request; `None` where it promises nothing.
pub(crate) fn pack_keys(idempotency: Option<&Idempotency>) -> Option<Packer> {
    let key = idempotency?;
    let mut keys = Packer::new();
    keys.list(3).text(&key.key).text(&key.fingerprint).int(bounded(key.keep_for));
    Some(keys)
}

/// The JSON of something that has one.
pub(crate) fn json_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

/// The record that fields and data make with what is kept beside them.
pub(crate) fn record(id: JobId, fields: &Fields<'_>, data: Data, beside: Beside) -> JobRecord {
    let output = match (fields.state, fields.output) {
        (State::Completed, Some(short)) => Json::parse(short.to_owned()).ok(),
        (State::Completed, None) => beside.output,
        _ => None,
    };
    JobRecord {
        id,
        kind: fields.kind.to_owned(),
        version: fields.version,
        queue: fields.queue.to_owned(),
        args: data.args,
        state: fields.state,
        priority: fields.priority,
        attempt: fields.attempt,
        max_attempts: data.max_attempts,
        crashes: fields.crashes,
        max_crashes: fields.max_crashes,
        interruptions: fields.interruptions,
        timeout: data.timeout,
        progress: beside.progress,
        output,
        errors: beside.errors,
        cancel_requested: fields.is_to_stop,
        worker: fields.worker.map(str::to_owned),
        position: None,
        created_at: fields.created_at,
        run_at: fields.run_at,
        started_at: fields.started_at,
        finished_at: fields.finished_at,
        last_event: fields.last_event,
        limit_key: fields.limit_key.map(str::to_owned),
        parent: fields.parent.map(|parent| JobId::from_store(parent.to_owned())),
        children: None,
        labels: data.labels,
    }
}

/// What is kept beside a job's fields and data.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) progress: Option<longhaul::Progress>,
    pub(crate) output: Option<Json>,
    pub(crate) errors: Vec<longhaul::AttemptError>,
}
