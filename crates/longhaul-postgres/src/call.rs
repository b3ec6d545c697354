use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{
    Acted, Action, Claim, Enqueued, Finish, FinishAndClaim, JobFilter, JobId, Json, Lease, LeaseStatus,
    NewJob, QueueConfig, Record, Result, Sample, Signalled, Swept,
};
use tokio::sync::oneshot;

use crate::read::Candidate;

/// An operation for a writing connection, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) reply: oneshot::Sender<Result<Answer>>,
    /// Runs since the call was handed over: one that waits for another transaction's lock is given up by it.
    pub(crate) since: Stopwatch,
}

impl Call {
    /// A call, and where its answer is received.
    pub(crate) fn new(op: Op) -> (Self, oneshot::Receiver<Result<Answer>>) {
        let (reply, answer) = oneshot::channel();
        (Self { op, reply, since: Stopwatch::start() }, answer)
    }

    pub(crate) fn jobs(&self) -> Option<&[NewJob]> {
        match &self.op {
            Op::Enqueue(jobs) => Some(jobs),
            _ => None,
        }
    }

    pub(crate) fn finishes(&self) -> Option<&[Finish]> {
        match &self.op {
            Op::Finish(finishes) => Some(finishes),
            Op::Claim { finishes, .. } if !finishes.is_empty() => Some(finishes),
            _ => None,
        }
    }

    pub(crate) fn claim(&self) -> Option<&Claim> {
        match &self.op {
            Op::Claim { claim, .. } => Some(claim),
            _ => None,
        }
    }

    /// True for a claim that may wait: a finish wants its answer now.
    pub(crate) fn may_wait(&self) -> bool {
        let waits = |claim: &Claim| self.finishes().is_none() && !claim.wait.is_zero();
        self.claim().is_some_and(waits) && !self.reply.is_closed()
    }
}

/// Plain data, so that a transaction which met another one can be run again.
#[derive(Debug)]
pub(crate) enum Op {
    Enqueue(Vec<NewJob>),
    Finish(Vec<Finish>),
    /// Finishes, and a claim that may wait until there is something to take.
    Claim {
        finishes: Vec<Finish>,
        claim: Claim,
    },
    Record(Vec<Record>),
    Sweep(usize),
    Act {
        jobs: Vec<Candidate>,
        filter: JobFilter,
        action: Action,
    },
    /// Writes nothing, as a statement that would fail where nothing can be written.
    ProbeWrite,
    SetQueue {
        queue: String,
        /// The configuration that is replaced; `None` is any.
        before: Option<QueueConfig>,
        config: QueueConfig,
    },
    PauseQueue(String),
    ResumeQueue(String),
    SetKey {
        key: String,
        config: Option<String>,
    },
    PauseKey {
        key: String,
        pause: Duration,
    },
    ResumeKey(String),
    PutSamples(Vec<Sample>),
    Signal {
        id: JobId,
        name: String,
        output: Json,
    },
    /// Ends a claimed job whose row cannot be read, with the reason.
    FailUnreadable(Lease, String),
    /// Takes back claims whose callers went away before they were answered.
    TakeBack(Vec<Lease>),
    /// Takes back claims whose answers were lost with a connection, by the numbers of their transactions.
    TakeBackLost(Vec<i64>),
}

/// The result of an operation.
#[derive(Debug)]
pub(crate) enum Answer {
    Enqueued(Vec<Enqueued>),
    Statuses(Vec<LeaseStatus>),
    FinishAndClaim(FinishAndClaim),
    Swept(Swept),
    Count(u64),
    /// True where the configuration was still the one to be replaced.
    Updated(bool),
    Signalled(Signalled),
    /// The numbers of jobs that matched and that were changed; there may be more.
    Acted(Acted),
    Done,
}

/// The end of a call.
#[derive(Debug)]
pub(crate) enum Verdict {
    Answered(Answer),
    Failed(longhaul::Error),
    /// Another transaction holds what it needs: it is tried again by itself.
    Deferred,
}

/// True while a call may wait for others' locks: as long as its caller waits for the answer.
pub(crate) fn may_wait(call: &Call, response_timeout: Duration) -> bool {
    !call.reply.is_closed() && call.since.elapsed() < response_timeout
}
