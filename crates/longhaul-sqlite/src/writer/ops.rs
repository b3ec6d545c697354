use std::fmt;

use longhaul::{Claim, Error, Finish, FinishAndClaim, LeaseStatus, Result};
use tokio::sync::oneshot;

use super::Batch;
use crate::error::copy;

/// Something that the writer is asked to do.
pub(crate) enum Op {
    /// Anything that is done when its transaction commits.
    Work(Box<dyn Work>),
    /// Finishes, and a claim that may be parked until there is something to take.
    Claim(Box<ClaimOp>),
}

/// A piece of work that shares a transaction with others.
pub(crate) trait Work: Send {
    /// Does it. An error is a fault, and rolls back the whole transaction.
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<()>;
    /// Tells the caller, after the commit or the rollback.
    fn answer(self: Box<Self>, end: Result<(), &Error>);
}

/// A closure with the caller who waits for what it returns.
pub(crate) struct Task<T, F> {
    work: Option<F>,
    done: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<T> + Send,
{
    pub(crate) fn new(work: F) -> (Self, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { work: Some(work), done: None, reply }, answer)
    }
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Batch<'_>) -> Result<T> + Send,
{
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<()> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(batch)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), &Error>) {
        let answer = match (end, self.done) {
            (Ok(()), Some(done)) => Ok(done),
            (Err(error), _) => Err(copy(error)),
            (Ok(()), None) => return,
        };
        // A caller who has gone away does not want to know.
        let _ = self.reply.send(answer);
    }
}

/// A claim with the finishes that come before it.
pub(crate) struct ClaimOp {
    pub(crate) finishes: Vec<Finish>,
    pub(crate) finished: Vec<LeaseStatus>,
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Result<FinishAndClaim>>,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Work(_) => f.write_str("Work"),
            Op::Claim(op) => f.debug_tuple("Claim").field(&op.claim).finish(),
        }
    }
}
