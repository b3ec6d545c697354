use std::collections::BTreeMap;

use longhaul::{Claim, Claimed, Finish, JobId, Json, Lease, LeaseStatus, Result, Timestamp};
use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use crate::answer::{bytes, int, json, list, statuses, text};
use crate::driver::{Alone, Driver, JOBS_PER_CALL, Request};
use crate::error::{closed, fault, unreadable};
use crate::fields::{Data, Fields, bounded};
use crate::finish::pack_finish;
use crate::pack::Packer;
use crate::scripts;

/// What a claim found.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) claimed: Vec<Claimed>,
    /// The store's time.
    pub(crate) now: Timestamp,
    /// Where nothing was found, and the claim waits: when the next scheduled job falls due.
    pub(crate) next_due: Option<Timestamp>,
    /// Whether nothing was found so far, and not all was looked at: very many jobs are paused.
    has_more: bool,
}

/// The values of an answer that stand before the jobs.
const BEFORE_JOBS: usize = 3;

/// Whether whoever asks will wait where there is nothing, and must hear of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Waits,
    Leaves,
}

/// Takes what is there.
pub(crate) async fn claim(driver: &Driver, claim: &Claim, patience: Patience) -> Result<Taken> {
    let packed = pack_claim(claim, patience);
    loop {
        let answer = driver.call_undoable(&scripts::CLAIM, vec![packed.clone()], undo_claim)?;
        let answer = ClaimAnswer { driver, answer, undo: undo_claim }.heard().await?;
        let answer = answer.map_err(|error| fault(scripts::CLAIM.operation, error))?;
        let taken = taken(answer).ok_or_else(|| unreadable(scripts::CLAIM.operation))?;
        if !taken.has_more {
            return Ok(taken);
        }
    }
}

/// Ends runs, and then takes what is there. All but the last hundred of the ends go ahead by themselves.
pub(crate) async fn turn(
    driver: &Driver,
    mut finishes: Vec<Finish>,
    claim: &Claim,
) -> Result<(Vec<LeaseStatus>, Vec<Claimed>)> {
    let last = finishes.split_off(finishes.len().saturating_sub(JOBS_PER_CALL));
    let mut finished = crate::finish::finish(driver, finishes).await?;
    let mut arguments = vec![pack_claim(claim, Patience::Leaves)];
    arguments.extend(last.iter().map(pack_finish));
    let answer = driver.call_undoable(&scripts::TURN, arguments, undo_turn)?;
    let answer = ClaimAnswer { driver, answer, undo: undo_turn }.heard().await?;
    let answer = answer.map_err(|error| fault(scripts::TURN.operation, error))?;
    let read = || {
        let mut parts = list(answer)?.into_iter();
        let ended = statuses(&list(parts.next()?)?)?;
        Some((ended, taken(parts.next()?)?))
    };
    let (ended, mut taken) = read().ok_or_else(|| unreadable(scripts::TURN.operation))?;
    finished.extend(ended);
    if taken.has_more {
        // The ends have happened, and their answers must be heard whatever becomes of this.
        taken = self::claim(driver, claim, Patience::Leaves).await.unwrap_or(taken);
    }
    Ok((finished, taken.claimed))
}

/// The answer to a claim on its way. Where its caller goes away after it has come and before it was read, the jobs in
/// it are given back; where it goes away earlier, the driver sees to that.
struct ClaimAnswer<'a> {
    driver: &'a Driver,
    answer: oneshot::Receiver<RedisResult<Value>>,
    undo: fn(&Value) -> Option<Alone>,
}

impl ClaimAnswer<'_> {
    async fn heard(mut self) -> Result<RedisResult<Value>> {
        (&mut self.answer).await.map_err(|_| closed())
    }
}

impl Drop for ClaimAnswer<'_> {
    fn drop(&mut self) {
        // From here on the driver notices by itself that nobody listens.
        self.answer.close();
        if let Ok(Ok(answer)) = self.answer.try_recv()
            && let Some(undo) = (self.undo)(&answer)
        {
            let _ = self.driver.send(Request::Alone(undo));
        }
    }
}

fn pack_claim(claim: &Claim, patience: Patience) -> Vec<u8> {
    let mut wanted = Packer::new();
    wanted.list(5).text(&claim.worker.id).int(bounded(claim.lease_for));
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
    wanted.done()
}

fn undo_claim(answer: &Value) -> Option<Alone> {
    let Value::Array(answer) = answer else { return None };
    let mut arguments = Vec::new();
    for job in answer.get(BEFORE_JOBS..)?.chunks_exact(4) {
        let token = Fields::unpack(bytes(&job[1])?)?.token;
        arguments.extend([bytes(&job[0])?.to_vec(), token.to_string().into_bytes()]);
    }
    if arguments.is_empty() {
        return None;
    }
    Some(Alone { script: &scripts::UNCLAIM, arguments, reply: oneshot::channel().0, undo: None })
}

fn undo_turn(answer: &Value) -> Option<Alone> {
    match answer {
        Value::Array(parts) => undo_claim(parts.get(1)?),
        _ => None,
    }
}

fn taken(answer: Value) -> Option<Taken> {
    let answer = list(answer)?;
    let now = Timestamp(int(answer.first()?)?);
    let next_due = Some(int(answer.get(1)?)?).filter(|due| *due >= 0).map(Timestamp);
    let has_more = int(answer.get(2)?)? == 1;
    let claimed = answer[BEFORE_JOBS..].chunks_exact(4).map(claimed).collect::<Option<_>>()?;
    Some(Taken { claimed, now, next_due, has_more })
}

fn claimed(job: &[Value]) -> Option<Claimed> {
    let fields = Fields::unpack(bytes(&job[1])?)?;
    let data = Data::unpack(bytes(&job[2])?)?;
    Some(Claimed {
        lease: Lease { id: JobId::from_store(text(&job[0])?.to_owned()), token: fields.token },
        kind: fields.kind.to_owned(),
        version: fields.version,
        queue: fields.queue.to_owned(),
        args: data.args,
        attempt: fields.attempt,
        max_attempts: data.max_attempts,
        timeout: data.timeout,
        backoff: data.backoff,
        created_at: fields.created_at,
        labels: data.labels,
        steps: steps(&job[3])?,
    })
}

fn steps(value: &Value) -> Option<BTreeMap<String, Json>> {
    let Value::Array(values) = value else { return Some(BTreeMap::new()) };
    let step = |pair: &[Value]| Some((text(&pair[0])?.to_owned(), json(&pair[1])?));
    values.chunks_exact(2).map(step).collect()
}
