use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

use super::Op;

/// What waits for the writer. A batch is taken by swapping two vectors under one short lock, which is what
/// makes it cheap for many callers to share one transaction.
#[derive(Debug)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    /// Bounds what may wait; a caller beyond it waits its turn instead of filling the memory.
    room: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    ops: Vec<Op>,
    nudged: bool,
    closed: bool,
    sleeping: bool,
}

/// What the writer found in its inbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Operations, a nudge, or the time is over: look around.
    Awake,
    /// The store is gone and nothing waits any more.
    Closed,
}

/// The most operations that may wait.
const CAPACITY: usize = 16_384;

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), room: Semaphore::new(CAPACITY) }
    }

    /// Hands an operation to the writer without waiting for room, for code that cannot wait: a `Drop`.
    pub(crate) fn push_now(&self, op: Op) {
        let mut state = self.state.lock();
        state.ops.push(op);
        self.arrived.notify_one();
    }

    /// Hands an operation to the writer; answers it back where the writer has stopped.
    pub(crate) async fn push(&self, op: Op) -> Result<(), Op> {
        match self.room.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(op),
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(op);
        }
        state.ops.push(op);
        // A signal costs a system call, so only a writer that sleeps gets one.
        if state.sleeping {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Makes the writer look at its clock and its parked claims.
    pub(crate) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.arrived.notify_one();
    }

    /// Lets the writer end once it has done what waits.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.room.close();
        self.arrived.notify_one();
    }

    /// Waits until something arrives, or for `patience`, and takes all of it into `ops`, which is empty.
    pub(crate) fn take(&self, ops: &mut Vec<Op>, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        if state.ops.is_empty() && !state.nudged && !state.closed {
            state.sleeping = true;
            match patience {
                Some(patience) => {
                    self.arrived.wait_for(&mut state, patience);
                }
                None => self.arrived.wait(&mut state),
            }
            state.sleeping = false;
        }
        state.nudged = false;
        std::mem::swap(&mut state.ops, ops);
        if ops.is_empty() && state.closed {
            return Taken::Closed;
        }
        self.room.add_permits(ops.len().min(CAPACITY.saturating_sub(self.room.available_permits())));
        Taken::Awake
    }
}
