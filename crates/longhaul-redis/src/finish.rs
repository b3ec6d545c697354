use std::time::Duration;

use longhaul::{
    AttemptError, Entry, Error, ErrorKind, EventBody, Finish, JobId, Lease, LeaseStatus, NewJob, Outcome,
    Record, Result, Timestamp, TraceParent, WaitsFor, WorkerInfo,
};
use redis::Value;
use serde::Serialize;

use crate::act::number_of;
use crate::answer::{int, list};
use crate::changes::{Ending, Notes, OnAnswer, with_time};
use crate::driver::{Driver, JOBS_PER_CALL};
use crate::error::unreadable;
use crate::fields::{MayExist, bounded, json_of, number_of_wait, pack_new};
use crate::pack::Packer;
use crate::scripts::{self, Script};

/// Ends runs, in calls of a hundred: each run stands alone.
pub(crate) async fn finish(driver: &Driver, finishes: Vec<Finish>) -> Result<Vec<LeaseStatus>> {
    let mut found = Vec::with_capacity(finishes.len());
    for finishes in finishes.chunks(JOBS_PER_CALL) {
        if let Some(statuses) = end(driver, finishes).await? {
            found.extend(statuses);
            continue;
        }
        for finish in finishes {
            let status = end(driver, std::slice::from_ref(finish)).await?;
            found.push(match status {
                Some(status) => status[0],
                None => fail(driver, &finish.lease, "failed to store the end of the run").await?,
            });
        }
    }
    Ok(found)
}

/// Adds entries to runs.
pub(crate) async fn record(driver: &Driver, records: Vec<Record>) -> Result<Vec<LeaseStatus>> {
    let mut found = Vec::with_capacity(records.len());
    for records in records.chunks(JOBS_PER_CALL) {
        let packed = records.iter().map(pack_record).collect();
        if let Some(statuses) = share(driver, &scripts::RECORD, packed, None).await? {
            found.extend(statuses);
            continue;
        }
        for record in records {
            let status = share(driver, &scripts::RECORD, vec![pack_record(record)], None).await?;
            if status.is_none() {
                fail(driver, &record.lease, "failed to store what the run has recorded").await?;
            }
            found.push(status.map_or(LeaseStatus::Lost, |status| status[0]));
        }
    }
    Ok(found)
}

/// Ends a running job as failed, for a reason that lies in what is stored. Where even that fails, the job is lost to its
/// worker, and maintenance meets it when its lease ends.
pub(crate) async fn fail(driver: &Driver, lease: &Lease, reason: &str) -> Result<LeaseStatus> {
    tracing::error!(job = %lease.id, "{reason}: the job fails");
    let error = AttemptError::new(ErrorKind::Fatal, reason);
    let finish = Finish {
        lease: lease.clone(),
        outcome: Outcome::Failed { error },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    };
    let status = end(driver, &[finish]).await?;
    Ok(status.map_or(LeaseStatus::Lost, |status| status[0]))
}

/// Ends runs in one call, and answers nothing where one of them is at fault.
async fn end(driver: &Driver, finishes: &[Finish]) -> Result<Option<Vec<LeaseStatus>>> {
    let (packed, endings) = pack_finishes(driver, finishes);
    let script = if have_follow_ups(finishes) { &scripts::FINISH_AND_FOLLOW } else { &scripts::FINISH };
    share(driver, script, packed, driver.reporter.on_ended(endings)).await
}

/// True where a script must be able to create jobs.
pub(crate) fn have_follow_ups(finishes: &[Finish]) -> bool {
    finishes.iter().any(|finish| !finish.follow_ups.is_empty())
}

/// Runs a script over packed runs, and answers nothing where one of them is at fault.
async fn share(
    driver: &Driver,
    script: &'static Script,
    packed: Vec<Vec<u8>>,
    on_answer: Option<OnAnswer>,
) -> Result<Option<Vec<LeaseStatus>>> {
    let jobs = packed.len();
    match driver.share(script, packed, jobs, on_answer).await {
        Ok(answers) => statuses(&answers).map(Some).ok_or_else(|| unreadable(script.operation)),
        Err(error @ Error::Store { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reports a worker as alive, and extends its leases.
pub(crate) async fn heartbeat(
    driver: &Driver,
    worker: &WorkerInfo,
    leases: &[Lease],
    lease_for: Duration,
) -> Result<Vec<LeaseStatus>> {
    let mut found = Vec::with_capacity(leases.len());
    // An idle worker has no leases, and is to be known all the same.
    let mut calls: Vec<&[Lease]> = leases.chunks(JOBS_PER_CALL).collect();
    if calls.is_empty() {
        calls.push(&[]);
    }
    let arguments = |leases: &[Lease]| {
        let id = worker.id.clone().into_bytes();
        let mut arguments =
            vec![id, json_of(worker).into_bytes(), bounded(lease_for).to_string().into_bytes()];
        for lease in leases {
            arguments.extend([lease.id.as_str().as_bytes().to_vec(), lease.token.to_string().into_bytes()]);
        }
        arguments
    };
    for leases in calls {
        let answer = driver.call_ahead(&scripts::HEARTBEAT, arguments(leases)).await?;
        let answered = list(answer).and_then(|answers| statuses(&answers));
        found.extend(answered.ok_or_else(|| unreadable(scripts::HEARTBEAT.operation))?);
    }
    Ok(found)
}

/// The result of a finish: the status of the lease, and the time of the end, if it ended by this very call.
/// `finishing.lua` defines the encoding.
pub(crate) fn ended(answer: &Value) -> Option<(LeaseStatus, Option<Timestamp>)> {
    let answer = match answer {
        Value::Array(parts) => parts.first()?,
        answer => answer,
    };
    match with_time(answer) {
        Some((at, status)) => Some((*STATUSES.get(status)?, Some(at))),
        None => Some((*STATUSES.get(usize::try_from(int(answer)?).ok()?)?, None)),
    }
}

const STATUSES: [LeaseStatus; 3] = [LeaseStatus::Held, LeaseStatus::CancelRequested, LeaseStatus::Lost];

/// The statuses of leases that a script answers.
pub(crate) fn statuses(answers: &[Value]) -> Option<Vec<LeaseStatus>> {
    answers.iter().map(|answer| Some(ended(answer)?.0)).collect()
}

/// Packs the ends of runs, with the notes that each needs if changes are observed.
pub(crate) fn pack_finishes(driver: &Driver, finishes: &[Finish]) -> (Vec<Vec<u8>>, Vec<Ending>) {
    let endings = driver.reporter.endings(finishes);
    let notes = |place: usize| endings.get(place).map_or(Notes::Unwanted, |end| end.notes(&driver.reporter));
    let packed = finishes.iter().enumerate().map(|(place, finish)| pack_finish(finish, notes(place)));
    (packed.collect(), endings)
}

/// Packs the end of a run as `finish` in `finishing.lua` reads it.
fn pack_finish(finish: &Finish, notes: Notes) -> Vec<u8> {
    let stopped = || error_tail(&AttemptError::cancelled());
    let (outcome, said, delay) = match &finish.outcome {
        Outcome::Completed { output } => ("completed", output.as_str().to_owned(), Duration::ZERO),
        Outcome::Retry { error, delay } => ("retry", error_tail(error), *delay),
        Outcome::Failed { error } => ("failed", error_tail(error), Duration::ZERO),
        Outcome::Cancelled { reason, .. } => {
            let error = AttemptError::new(ErrorKind::Cancelled, reason.as_str());
            ("cancelled", error_tail(&error), Duration::ZERO)
        }
        Outcome::Snoozed { delay } => ("snoozed", stopped(), *delay),
        Outcome::RateLimited { delay } => ("limited", stopped(), *delay),
        Outcome::Released => ("released", stopped(), Duration::ZERO),
        Outcome::Waits { error, .. } => {
            ("waits", error.as_ref().map_or_else(stopped, error_tail), Duration::ZERO)
        }
    };
    let mut packed = pack_lease(11, &finish.lease);
    packed.text(outcome).text(&said).int(bounded(delay));
    // Most runs have neither, and an empty list is one more thing for Lua to make and look through.
    if finish.entries.is_empty() {
        packed.none();
    } else {
        pack_entries(&mut packed, &finish.entries);
    }
    if finish.follow_ups.is_empty() {
        packed.none();
    } else {
        packed.list(finish.follow_ups.len());
        finish.follow_ups.iter().for_each(|next| pack_follow_up(&mut packed, next));
    }
    match notes {
        Notes::Wanted => packed.int(1),
        Notes::Beside => packed.int(2),
        Notes::Unwanted => packed.none(),
    };
    packed.int_or_none(finish.cost.map(i64::from));
    match &finish.outcome {
        Outcome::Cancelled { cancel_reason, .. } => packed.int(number_of(*cancel_reason) as i64),
        _ => packed.none(),
    };
    match &finish.outcome {
        Outcome::Waits { on, timeout, error } => pack_wait(&mut packed, on, *timeout, error.is_some()),
        _ => {
            packed.none();
        }
    }
    packed.done()
}

/// Packs what a run waits for, in the order of `waits` in `finishing.lua`.
fn pack_wait(packed: &mut Packer, on: &WaitsFor, timeout: Option<Duration>, has_failed: bool) {
    let signal = if let WaitsFor::Signal(name) = on { name.as_str() } else { "" };
    // A person is waited for without end.
    let timeout = timeout.filter(|_| *on != WaitsFor::Person);
    packed.list(4).int(number_of_wait(on)).text(signal).int_or_none(timeout.map(bounded));
    if has_failed {
        packed.yes();
    } else {
        packed.none();
    }
}

fn pack_lease(len: usize, lease: &Lease) -> Packer {
    let mut packed = Packer::new();
    packed.list(len).text(lease.id.as_str()).int(i64::try_from(lease.token).unwrap_or(i64::MAX));
    packed
}

fn pack_record(record: &Record) -> Vec<u8> {
    let mut packed = pack_lease(3, &record.lease);
    pack_entries(&mut packed, &record.entries);
    packed.done()
}

fn pack_follow_up(packed: &mut Packer, next: &NewJob) {
    let id = next.id.clone().unwrap_or_else(JobId::random);
    let new = pack_new(&id, MayExist::Yes, next);
    packed.list(new.len());
    for part in &new {
        packed.bytes(part);
    }
}

fn pack_entries(packed: &mut Packer, entries: &[Entry]) {
    packed.list(entries.len());
    for entry in entries {
        match entry {
            Entry::Step { name, output, took } => {
                packed.list(4).text("s").text(name).text(output.as_str()).int(bounded(*took))
            }
            Entry::Progress(progress) => {
                let body = json_of(&EventBody::Progress(progress.clone()));
                packed.list(3).text("p").text(&body).text(&json_of(progress))
            }
            Entry::Log { level, message } => {
                let body = EventBody::Log { level: *level, message: message.clone() };
                packed.list(2).text("e").text(&json_of(&body))
            }
            Entry::Chunk { data } => {
                packed.list(2).text("e").text(&json_of(&EventBody::Chunk { data: data.clone() }))
            }
        };
    }
}

/// The part of an error's JSON that the store does not set: all after the attempt and the time.
pub(crate) fn error_tail(error: &AttemptError) -> String {
    #[derive(Serialize)]
    struct Tail<'a> {
        message: &'a str,
        kind: ErrorKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<TraceParent>,
    }
    let tail = json_of(&Tail { message: &error.message, kind: error.kind, traceparent: error.traceparent });
    tail.trim_start_matches('{').to_owned()
}
