use std::collections::BTreeMap;

use longhaul::{AttemptError, Claim, Claimed, Finish, JobId, Json, Lease, LeaseStatus, Result, Timestamp};
use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use crate::answer::{bytes, int, json, list, text};
use crate::changes::{Notes, OnAnswer};
use crate::driver::{Alone, Driver, JOBS_PER_CALL, Request, Route, Undo};
use crate::due::Due;
use crate::error::{closed, fault, is_answer_lost, is_outage, unreadable};
use crate::fields::{Data, Fields, bounded, token_of};
use crate::finish::{error_tail, fail, finish, have_follow_ups, pack_finishes, statuses};
use crate::pack::Packer;
use crate::scripts::{self, Script};
use crate::sweep::{numbers, sweep};

/// The answer to a claim.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) claimed: Vec<Claimed>,
    /// Jobs that were claimed and cannot be read, with the field at fault.
    unreadable: Vec<(Lease, &'static str)>,
    /// The time at which the next scheduled job falls due, if nothing was found and the claim waits.
    pub(crate) next_due: Option<Due>,
    /// True if not everything was looked at, because very many jobs are asked for or paused.
    has_more: bool,
    /// True if so many jobs are past their time that nothing is claimed before a sweep has ended them.
    needs_sweep: bool,
    /// True where ends are to be counted by very many dependants.
    may_settle: bool,
}

/// The values of an answer that stand before the jobs; the last of them are the changes that the script has noted.
pub(crate) const BEFORE_JOBS: usize = 4;

/// Says if the caller waits where there is nothing, and must be notified of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    Leaves,
}

/// Takes what is there.
pub(crate) async fn claim(driver: &Driver, claim: &Claim, patience: Patience) -> Result<Taken> {
    let packed = pack_claim(claim, patience, driver.reporter.notes());
    let worker = &claim.worker.id;
    driver.lost_claims.take_back(driver, worker).await?;
    loop {
        let on_answer = driver.reporter.on_claimed();
        let answer =
            send(driver, worker, &scripts::CLAIM, vec![packed.clone()], undo_claim, on_answer).await?;
        let answer = answer.map_err(|error| fault(scripts::CLAIM.operation, error))?;
        let taken = taken(answer).ok_or_else(|| unreadable(scripts::CLAIM.operation))?;
        driver.lost_claims.answered(worker, &taken.claimed);
        fail_unreadable(driver, &taken.unreadable).await;
        if taken.needs_sweep {
            sweep(driver, JOBS_PER_CALL).await?;
        } else if taken.may_settle && taken.claimed.is_empty() {
            settle(driver).await?;
        } else if !taken.has_more || !taken.claimed.is_empty() {
            return Ok(taken);
        }
    }
}

/// Has dependants count ends, a part of those that are left.
async fn settle(driver: &Driver) -> Result<()> {
    numbers::<1>(driver, &scripts::SETTLE, vec![driver.reporter.notes().argument()]).await.map(drop)
}

/// Sends a script that claims. A lost answer is noted, because its jobs may be claimed without a worker that knows it.
async fn send(
    driver: &Driver,
    worker: &str,
    script: &'static Script,
    arguments: Vec<Vec<u8>>,
    undo: Undo,
    on_answer: Option<OnAnswer>,
) -> Result<RedisResult<Value>> {
    let floor = driver.lost_claims.floor();
    let answer = driver.call_undoable(script, arguments, undo, on_answer)?;
    let answer = ClaimAnswer { driver, answer, undo }.delivered().await?;
    if answer.as_ref().is_err_and(is_answer_lost) {
        driver.lost_claims.lose(worker, floor);
    }
    Ok(answer)
}

/// Ends claimed jobs as failed of which something cannot be read. The claim that met one goes on whatever becomes of that.
async fn fail_unreadable(driver: &Driver, unreadable: &[(Lease, &'static str)]) {
    for (lease, field) in unreadable {
        let reason = format!("failed to read the stored job: its {field} cannot be read");
        if let Err(error) = fail(driver, lease, &reason).await {
            tracing::warn!(job = %lease.id, "failed to end a job that cannot be read: {error}");
        }
    }
}

/// Ends runs, and then takes what is there. All but the last hundred of the ends go ahead by themselves.
pub(crate) async fn finish_and_claim(
    driver: &Driver,
    mut finishes: Vec<Finish>,
    claim: &Claim,
) -> Result<(Vec<LeaseStatus>, Vec<Claimed>)> {
    let last = finishes.split_off(finishes.len().saturating_sub(JOBS_PER_CALL));
    let mut finished = finish(driver, finishes).await?;
    let worker = &claim.worker.id;
    driver.lost_claims.take_back(driver, worker).await?;
    let (packed, endings) = pack_finishes(driver, &last);
    let mut arguments = vec![pack_claim(claim, Patience::Leaves, driver.reporter.notes())];
    arguments.extend(packed);
    let on_answer = driver.reporter.on_finish_and_claim(endings);
    let script =
        if have_follow_ups(&last) { &scripts::FINISH_FOLLOW_AND_CLAIM } else { &scripts::FINISH_AND_CLAIM };
    let answer = send(driver, worker, script, arguments, undo_finish_and_claim, on_answer).await?;
    let read = |answer| {
        let mut parts = list(answer)?.into_iter();
        let ended = statuses(&list(parts.next()?)?)?;
        Some((ended, taken(parts.next()?)))
    };
    let answer = match answer {
        Err(error) if is_outage(&error) => return Err(fault(script.operation, error)),
        answer => answer.ok().and_then(read),
    };
    let taken = match answer {
        Some((ended, taken)) => {
            finished.extend(ended);
            taken
        }
        // One of the ends or of the jobs is at fault, and must not keep the others from being stored.
        None => {
            finished.extend(finish(driver, last).await?);
            None
        }
    };
    if let Some(taken) = &taken {
        driver.lost_claims.answered(worker, &taken.claimed);
        fail_unreadable(driver, &taken.unreadable).await;
    }
    match taken.filter(|taken| !taken.has_more || !taken.claimed.is_empty()) {
        Some(taken) => Ok((finished, taken.claimed)),
        // The ends are stored, and their answers are needed whether or not this call fails.
        None => {
            let taken = self::claim(driver, claim, Patience::Leaves).await;
            let taken = taken.inspect_err(|error| tracing::warn!("failed to claim after a finish: {error}"));
            Ok((finished, taken.map(|taken| taken.claimed).unwrap_or_default()))
        }
    }
}

/// The pending answer to a claim. If its caller goes away after the answer has come and before it is read, the jobs in
/// it are released on drop; if the caller goes away earlier, the driver releases them.
struct ClaimAnswer<'a> {
    driver: &'a Driver,
    answer: oneshot::Receiver<RedisResult<Value>>,
    undo: fn(&Value) -> Option<Alone>,
}

impl ClaimAnswer<'_> {
    async fn delivered(mut self) -> Result<RedisResult<Value>> {
        (&mut self.answer).await.map_err(|_| closed())
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        // From here on the driver notices the closed channel.
        self.answer.close();
        if let Ok(Ok(answer)) = self.answer.try_recv()
            && let Some(undo) = (self.undo)(&answer)
        {
            let on_answer = self.driver.reporter.on_noted();
            let _ = self.driver.send(Request::Alone(Alone { on_answer, ..undo }));
        }
    }
}

fn pack_claim(claim: &Claim, patience: Patience, notes: Notes) -> Vec<u8> {
    let mut wanted = Packer::new();
    wanted.list(7).text(&claim.worker.id).int(bounded(claim.lease_for));
    wanted.list(claim.queues.len());
    for queue in &claim.queues {
        // More could not be carried in one answer.
        wanted.list(2).text(&queue.queue).int(i64::try_from(queue.slots.min(10_000)).unwrap_or(0));
    }
    wanted.list(claim.kinds.len());
    for kind in &claim.kinds {
        wanted.list(2).text(&kind.kind).int(kind.version.into());
    }
    match patience {
        Patience::Waits => wanted.yes(),
        Patience::Leaves => wanted.none(),
    };
    match notes {
        Notes::Wanted | Notes::Beside => wanted.yes(),
        Notes::Unwanted => wanted.none(),
    };
    wanted.list(claim.worker.labels.len());
    for (label, value) in &claim.worker.labels {
        wanted.text(&format!("{label}={value}"));
    }
    wanted.done()
}

fn undo_claim(answer: &Value) -> Option<Alone> {
    let Value::Array(answer) = answer else { return None };
    let mut arguments = vec![error_tail(&AttemptError::cancelled()).into_bytes()];
    for job in answer.get(BEFORE_JOBS..)?.chunks_exact(4) {
        let lease = lease(job)?;
        arguments.extend([lease.id.as_str().as_bytes().to_vec(), lease.token.to_string().into_bytes()]);
    }
    if arguments.len() == 1 {
        return None;
    }
    Some(Alone {
        script: &scripts::UNCLAIM,
        arguments,
        reply: oneshot::channel().0,
        undo: None,
        route: Route::Work,
        on_answer: None,
    })
}

fn undo_finish_and_claim(answer: &Value) -> Option<Alone> {
    match answer {
        Value::Array(parts) => undo_claim(parts.get(1)?),
        _ => None,
    }
}

fn taken(answer: Value) -> Option<Taken> {
    let answer = list(answer)?;
    let now = Timestamp(int(answer.first()?)?);
    let next_due = Some(int(answer.get(1)?)?).filter(|due| *due >= 0);
    let next_due = next_due.map(|due| Due { at: Timestamp(due), now });
    let more = int(answer.get(2)?)?;
    let mut taken = Taken {
        claimed: Vec::new(),
        unreadable: Vec::new(),
        next_due,
        has_more: more != 0,
        needs_sweep: more == 2,
        may_settle: more == 3,
    };
    for job in answer[BEFORE_JOBS..].chunks_exact(4) {
        let lease = lease(job)?;
        match claimed(&lease, job, now) {
            Ok(claimed) => taken.claimed.push(claimed),
            Err(field) => taken.unreadable.push((lease, field)),
        }
    }
    Some(taken)
}

/// The lease of a claimed job, which the script has just written.
pub(crate) fn lease(job: &[Value]) -> Option<Lease> {
    Some(Lease { id: JobId::from_store(text(&job[0])?.to_owned()), token: token_of(bytes(&job[1])?)? })
}

/// A claimed job, or the field of it that cannot be read.
fn claimed(lease: &Lease, job: &[Value], now: Timestamp) -> Result<Claimed, &'static str> {
    let fields = bytes(&job[1]).and_then(Fields::unpack).ok_or("record")?;
    let data = match Data::unpack(bytes(&job[2]).ok_or("data")?) {
        (data, None) => data,
        (_, Some(field)) => return Err(field),
    };
    Ok(Claimed {
        lease: lease.clone(),
        kind: fields.kind.to_owned(),
        version: fields.version,
        queue: fields.queue.to_owned(),
        args: data.args,
        attempt: fields.attempt,
        max_attempts: data.max_attempts,
        policy: data.policy,
        created_at: fields.created_at,
        deadline_in: fields.deadline.map(|deadline| deadline.since(now)),
        labels: data.labels,
        steps: steps(&job[3]).ok_or("steps")?,
    })
}

fn steps(value: &Value) -> Option<BTreeMap<String, Json>> {
    let Value::Array(values) = value else { return Some(BTreeMap::new()) };
    let step = |pair: &[Value]| Some((text(&pair[0])?.to_owned(), json(&pair[1])?));
    values.chunks_exact(2).map(step).collect()
}
