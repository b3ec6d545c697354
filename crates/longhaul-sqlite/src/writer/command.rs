use longhaul::{Claim, Error, Finish, FinishAndClaim, Result};
use tokio::sync::oneshot;

use super::write_tx::WriteTx;
use crate::error::copy;

/// Something that the writer is asked to do.
pub(crate) enum Command {
    /// A call, which shares its transaction with others.
    Call(Box<dyn Call>),
    /// Finishes, and a claim that may be parked until there is something to take.
    Claim(Box<ClaimCommand>),
    /// The caller of the claim with this ticket has gone away.
    Withdraw(u64),
}

/// The treatment of a call beside others, and while the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Keeps leases alive: goes before everything that waits.
    Heartbeat,
    /// Makes room or frees what is stuck, so it goes on while the disk is full.
    Maintenance,
    /// Adds to the file.
    Growth,
    /// Runs an application's code in transactions that no other call shares, because that code runs only once.
    Application,
}

/// A piece of work that shares a transaction with others.
pub(crate) trait Call: Send {
    fn class(&self) -> Class;
    /// Does it. It may be called again after its transaction was rolled back.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> Result<()>;
    /// Answers the caller, after the commit or the rollback.
    fn answer(self: Box<Self>, end: Result<(), &Error>);
}

/// A closure with the caller who waits for what it returns.
pub(crate) struct Task<T, F> {
    class: Class,
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Task<T, F>
where
    T: Send,
    F: FnMut(&mut WriteTx<'_>) -> Result<T> + Send,
{
    pub(crate) fn new(class: Class, work: F) -> (Self, oneshot::Receiver<Result<T>>) {
        let (reply, answer) = oneshot::channel();
        (Self { class, work, done: None, reply }, answer)
    }
}

impl<T, F> Call for Task<T, F>
where
    T: Send,
    F: FnMut(&mut WriteTx<'_>) -> Result<T> + Send,
{
    fn class(&self) -> Class {
        self.class
    }

    fn run(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        self.done = Some((self.work)(tx)?);
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
pub(crate) struct ClaimCommand {
    /// Rises with every claim, so that those that wait are served in the order of their arrival.
    pub(crate) ticket: u64,
    pub(crate) finishes: Vec<Finish>,
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Result<FinishAndClaim>>,
}

impl ClaimCommand {
    /// True where it may be parked: a finish wants its answer now.
    pub(super) fn may_wait(&self) -> bool {
        self.finishes.is_empty() && !self.claim.wait.is_zero() && !self.reply.is_closed()
    }

    /// True where it is not answered, and not parked, before all jobs have been looked at.
    pub(super) fn must_look_on(&self) -> bool {
        self.finishes.is_empty() && self.claim.wait.is_zero() && !self.reply.is_closed()
    }
}
