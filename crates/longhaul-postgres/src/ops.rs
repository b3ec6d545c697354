use std::time::Duration;

use longhaul::{
    Action, Claim, Enqueued, Finish, FinishAndClaim, JobId, Lease, LeaseStatus, NewJob, Record, Result,
    Swept, WorkerInfo,
};
use tokio::sync::oneshot;

use crate::batch::Batch;

/// Something that the writing thread is asked to do, with who waits for it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) reply: oneshot::Sender<Result<Answer>>,
}

/// What can be asked. Plain data, so that a transaction which met another one can be run again.
#[derive(Debug)]
pub(crate) enum Op {
    Enqueue(Vec<NewJob>),
    Finish(Vec<Finish>),
    /// Finishes, and a claim that may be parked until there is something to take.
    Claim {
        finishes: Vec<Finish>,
        claim: Claim,
    },
    Record(Vec<Record>),
    Heartbeat {
        worker: WorkerInfo,
        leases: Vec<Lease>,
        lease_for: Duration,
    },
    Sweep(usize),
    Act {
        ids: Vec<JobId>,
        action: Action,
    },
    SetQueue {
        queue: String,
        config: String,
    },
    /// Gives back claims that nobody heard of.
    Unclaim(Vec<Lease>),
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Answer {
    Enqueued(Vec<Enqueued>),
    Statuses(Vec<LeaseStatus>),
    FinishAndClaim(FinishAndClaim),
    Swept(Swept),
    Count(u64),
    Done,
}

/// Does what is not done together for many calls; of a claim nothing yet.
pub(crate) async fn apply(batch: &mut Batch<'_>, op: &Op) -> Result<Answer> {
    Ok(match op {
        Op::Enqueue(jobs) => Answer::Enqueued(batch.enqueue(jobs).await?),
        Op::Finish(_) => Answer::Statuses(Vec::new()),
        Op::Claim { .. } => Answer::FinishAndClaim(FinishAndClaim::default()),
        Op::Record(records) => Answer::Statuses(batch.record(records).await?),
        Op::Heartbeat { worker, leases, lease_for } => {
            Answer::Statuses(batch.heartbeat(worker, leases, *lease_for).await?)
        }
        Op::Sweep(limit) => Answer::Swept(batch.sweep(*limit).await?),
        Op::Act { ids, action } => Answer::Count(batch.act(ids, *action).await?),
        Op::SetQueue { queue, config } => {
            batch.rows("configure a queue", include_str!("sql/set_queue.sql"), &[queue, config]).await?;
            Answer::Done
        }
        Op::Unclaim(leases) => {
            batch.unclaim(leases).await?;
            Answer::Done
        }
    })
}

pub(crate) fn enqueue_of(call: &Call) -> Option<&[NewJob]> {
    match &call.op {
        Op::Enqueue(jobs) => Some(jobs),
        _ => None,
    }
}

pub(crate) fn finishes_of(call: &Call) -> Option<&[Finish]> {
    match &call.op {
        Op::Finish(finishes) => Some(finishes),
        Op::Claim { finishes, .. } if !finishes.is_empty() => Some(finishes),
        _ => None,
    }
}

pub(crate) fn claim_of(call: &Call) -> Option<&Claim> {
    match &call.op {
        Op::Claim { claim, .. } => Some(claim),
        _ => None,
    }
}
