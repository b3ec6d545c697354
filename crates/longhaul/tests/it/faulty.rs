//! A store in memory that can be told to fail.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use longhaul::testing::{Answer, Call, Intercept};
use longhaul::{Clock, Error, FinishAndClaim, Longhaul, MemoryStore, Result, Store};
use parking_lot::{Condvar, Mutex};

use crate::script::OnDrop;

/// The faults of a store.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faults: Mutex<HashMap<Operation, (Fault, usize)>>,
    /// Heartbeats that were answered and had a lease with them.
    beats: Mutex<usize>,
    beaten: Condvar,
    last_words: Mutex<Option<OnDrop>>,
}

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Claim,
    Heartbeat,
    Record,
    Finish,
    Sweep,
}

/// The way in which it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, because the store cannot be reached.
    Refuse,
    /// It is not done, and the store is there.
    Reject,
    /// It is done, and an error is all that the caller hears.
    LoseAnswer,
    /// No answer ever comes.
    Hang,
    /// The store's code panics.
    Panic,
}

impl Faults {
    /// A store on `clock`, and what can be made to fail in it.
    pub(crate) fn start(clock: Clock) -> (Longhaul, Arc<Self>) {
        let faults = Arc::new(Self::default());
        let hook = Arc::clone(&faults);
        let store = Intercept::new(MemoryStore::with_clock(clock), move |store, call| {
            let faults = Arc::clone(&hook);
            async move { faults.around(store, call).await }
        });
        (Longhaul::new(store), faults)
    }

    /// Lets the next `times` calls of an operation fail.
    pub(crate) fn inflict(&self, operation: Operation, fault: Fault, times: usize) {
        self.faults.lock().insert(operation, (fault, times));
    }

    /// The number of calls of an operation that are still to fail.
    pub(crate) fn left(&self, operation: Operation) -> usize {
        self.faults.lock().get(&operation).map_or(0, |(_, left)| *left)
    }

    /// Blocks this thread until the next heartbeat with leases has been answered.
    pub(crate) fn block_for_beat(&self) {
        let mut beats = self.beats.lock();
        let seen = *beats;
        while *beats == seen {
            let waited = self.beaten.wait_for(&mut beats, Duration::from_secs(60));
            assert!(!waited.timed_out(), "waited in vain for a heartbeat");
        }
    }

    /// The same, from async code.
    pub(crate) async fn next_beat(self: &Arc<Self>) {
        let faults = Arc::clone(self);
        tokio::task::spawn_blocking(move || faults.block_for_beat()).await.unwrap();
    }

    /// Tells when nobody has this store any more.
    pub(crate) fn tell_when_dropped(&self, last_words: OnDrop) {
        *self.last_words.lock() = Some(last_words);
    }

    async fn around(&self, store: Arc<dyn Store>, call: Call) -> Result<Answer> {
        let operation = match &call {
            Call::Claim(_) => Operation::Claim,
            Call::Heartbeat(..) => Operation::Heartbeat,
            Call::Record(_) => Operation::Record,
            Call::Finish(_) => Operation::Finish,
            Call::Sweep(_) => Operation::Sweep,
            Call::FinishAndClaim(finishes, claim) => {
                let finished = store.finish(finishes.clone());
                let finished = self.pass(Operation::Finish, finished).await?;
                let claimed = self.pass(Operation::Claim, store.claim(claim.clone())).await?;
                return Ok(Answer::FinishedAndClaimed(FinishAndClaim { finished, claimed }));
            }
            _ => return call.on(store.as_ref()).await,
        };
        let has_leases = matches!(&call, Call::Heartbeat(_, leases, _) if !leases.is_empty());
        let answer = self.pass(operation, call.on(store.as_ref())).await?;
        if has_leases {
            *self.beats.lock() += 1;
            self.beaten.notify_all();
        }
        Ok(answer)
    }

    async fn pass<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next_fault(operation) {
            None => call.await,
            Some(Fault::Refuse) => Err(unavailable()),
            Some(Fault::Reject) => Err(rejected()),
            Some(Fault::LoseAnswer) => {
                call.await?;
                Err(unavailable())
            }
            Some(Fault::Hang) => pending().await,
            Some(Fault::Panic) => panic!("in the store"),
        }
    }

    fn next_fault(&self, operation: Operation) -> Option<Fault> {
        let mut faults = self.faults.lock();
        let (fault, left) = faults.get_mut(&operation).filter(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(*fault)
    }
}

pub(crate) fn unavailable() -> Error {
    Error::Unavailable { store: "faulty", source: "it was told to fail".into() }
}

pub(crate) fn rejected() -> Error {
    Error::Store { store: "faulty", operation: "do it", source: "it was told to refuse this".into() }
}
