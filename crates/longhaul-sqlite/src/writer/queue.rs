use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

use super::command::{Call, ClaimCommand, Class, Command};

/// The commands that wait for the writer. They are taken by swapping vectors under one short lock, which is what
/// makes it cheap for many callers to share one transaction.
#[derive(Debug)]
pub(crate) struct CommandQueue {
    state: Mutex<State>,
    arrived: Condvar,
    /// Bounds what may wait; a caller beyond it waits its turn instead of filling the memory.
    room: Semaphore,
    /// True from the beginning of a transaction until its last heartbeats are taken: see
    /// [`is_transaction_open`](Self::is_transaction_open).
    is_open: AtomicBool,
    /// True while heartbeats wait, so that a transaction without any takes no lock for them.
    has_heartbeats: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: Waiting,
    nudged: bool,
    closed: bool,
    sleeping: bool,
    next_ticket: u64,
}

/// Commands by how they are run.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) heartbeats: VecDeque<Box<dyn Call>>,
    pub(super) calls: VecDeque<Box<dyn Call>>,
    pub(super) application: VecDeque<Box<dyn Call>>,
    pub(super) claims: Vec<ClaimCommand>,
    pub(super) withdrawn: Vec<u64>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.heartbeats.is_empty() && self.withdrawn.is_empty()
    }

    /// The commands that take up room in the queue.
    fn len(&self) -> usize {
        self.calls.len() + self.application.len() + self.claims.len()
    }

    fn add(&mut self, command: Command) {
        match command {
            Command::Call(call) => match call.class() {
                Class::Heartbeat => self.heartbeats.push_back(call),
                Class::Maintenance | Class::Growth => self.calls.push_back(call),
                Class::Application => self.application.push_back(call),
            },
            Command::Claim(claim) => self.claims.push(*claim),
            Command::Withdraw(ticket) => self.withdrawn.push(ticket),
        }
    }
}

/// The state in which the writer found its queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Commands, a nudge, or the time is over: look around.
    Awake,
    /// The store is gone and nothing waits any more.
    Closed,
}

/// The most commands that may wait.
const CAPACITY: usize = 16_384;

impl CommandQueue {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            arrived: Condvar::new(),
            room: Semaphore::new(CAPACITY),
            is_open: AtomicBool::new(false),
            has_heartbeats: AtomicBool::new(false),
        }
    }

    /// Hands a command to the writer once there is room; answers it back where the writer has stopped.
    pub(crate) async fn push(&self, command: Command) -> Result<(), Command> {
        match self.room.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(command),
        }
        self.push_now(command)
    }

    /// Hands a command to the writer without waiting for room: a heartbeat, which must not wait, or what a `Drop`
    /// says, which cannot.
    pub(crate) fn push_now(&self, command: Command) -> Result<(), Command> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(command);
        }
        state.waiting.add(command);
        self.note_heartbeats(&state);
        // A signal costs a system call, so only a writer that sleeps gets one.
        if state.sleeping {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// The number of a new claim.
    pub(crate) fn ticket(&self) -> u64 {
        let mut state = self.state.lock();
        state.next_ticket += 1;
        state.next_ticket
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

    /// Ends the queue with the writer: waiting callers are answered at once, because the commands' channels close.
    pub(super) fn abandon(&self) {
        self.close();
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        drop(waiting);
    }

    /// True where no command is taken any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// True while the writer holds the file's write lock and will apply every waiting heartbeat before it releases the
    /// lock. No other call can end a lease in between, so that such a heartbeat may be answered already.
    pub(crate) fn is_transaction_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    pub(super) fn transaction_began(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// The heartbeats that go into the transaction that is about to end.
    pub(super) fn last_heartbeats(&self) -> VecDeque<Box<dyn Call>> {
        // In this order, and `push_now` before `is_transaction_open`: either the heartbeat is seen here, or its caller sees
        // that the transaction is over.
        self.is_open.store(false, Ordering::SeqCst);
        if !self.has_heartbeats.load(Ordering::SeqCst) {
            return VecDeque::new();
        }
        let mut state = self.state.lock();
        let heartbeats = std::mem::take(&mut state.waiting.heartbeats);
        self.note_heartbeats(&state);
        heartbeats
    }

    fn note_heartbeats(&self, state: &State) {
        self.has_heartbeats.store(!state.waiting.heartbeats.is_empty(), Ordering::SeqCst);
    }

    /// Waits until something arrives, or for `patience`, and takes it. While `waiting` still has commands of an earlier
    /// time, only what must not wait is added, so that the queue's bound holds.
    pub(super) fn take(&self, waiting: &mut Waiting, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        if waiting.is_empty() && state.waiting.is_empty() && !state.nudged && !state.closed {
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
        if waiting.is_empty() {
            std::mem::swap(&mut state.waiting, waiting);
            let free = CAPACITY.saturating_sub(self.room.available_permits());
            self.room.add_permits(waiting.len().min(free));
        } else {
            waiting.heartbeats.append(&mut state.waiting.heartbeats);
            waiting.withdrawn.append(&mut state.waiting.withdrawn);
        }
        self.note_heartbeats(&state);
        if waiting.is_empty() && state.closed { Taken::Closed } else { Taken::Awake }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiting({} commands, {} heartbeats)", self.len(), self.heartbeats.len())
    }
}
