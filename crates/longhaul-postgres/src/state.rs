use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use longhaul::{Clock, Error, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{copy, unavailable};
use crate::server_clock::{Now, ServerClock};
use crate::uncommitted::Uncommitted;

/// Shared by the connections and by callers.
#[derive(Debug, Default)]
pub(crate) struct DriverState {
    /// Wakes the writer without a call: the clock has moved, or jobs have become available elsewhere.
    pub(crate) nudge: Notify,
    /// Queues in which waiting claims may find something.
    look: Mutex<Look>,
    /// Set while the server cannot be reached. The writer tries again by itself.
    pub(crate) is_away: AtomicBool,
    /// Set while other processes' notifications are received.
    pub(crate) is_listening: AtomicBool,
    /// Arrivals that were folded in since the tables that they leave were last vacuumed.
    folded: AtomicU64,
    /// True once so many were folded in that these tables are to be vacuumed.
    vacuum_is_due: AtomicBool,
    /// Changes of applications' own transactions.
    pub(crate) uncommitted: Uncommitted,
    server_clock: Mutex<Option<ServerClock>>,
    /// The last write's failure, where the server had no room or could not write, and since when it is known.
    write_fault: Mutex<Option<(Error, Stopwatch)>>,
}

/// Queues in which jobs may have become available.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) queues: BTreeSet<String>,
    /// Set where it is not known which.
    pub(crate) everywhere: bool,
    /// Set where limits are to be looked after, and jobs with limit keys looked for, in a while: another transaction was
    /// at it.
    pub(crate) fold_later: bool,
    /// Set where ends of jobs are left that not all dependants have counted.
    pub(crate) unsettled: bool,
}

impl Look {
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty() && !self.everywhere && !self.fold_later && !self.unsettled
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.queues.extend(other.queues);
        self.everywhere |= other.everywhere;
        self.fold_later |= other.fold_later;
        self.unsettled |= other.unsettled;
    }
}

/// Arrivals that a transaction has folded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) count: u64,
    /// Some are left.
    pub(crate) is_partial: bool,
}

impl DriverState {
    /// Wakes the writer because the clock has moved.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Notes queues in which waiting claims may find something, for the writer.
    pub(crate) fn look(&self, look: Look) {
        if !look.is_empty() {
            self.look.lock().merge(look);
            self.nudge.notify_one();
        }
    }

    pub(crate) fn take_look(&self) -> Look {
        std::mem::take(&mut *self.look.lock())
    }

    /// Fails at once while the server is away: callers that each waited for it would pile up.
    pub(crate) fn reach(&self) -> Result<()> {
        if self.is_away.load(Ordering::SeqCst) { Err(unavailable("the server is away")) } else { Ok(()) }
    }

    /// Notes the result of a write: [`can_write`] fails after one that the server had no room for, or could not do.
    ///
    /// [`can_write`]: Self::can_write
    pub(crate) fn note_write(&self, result: Result<(), &Error>) {
        let fault = match result {
            Err(error @ (Error::Full { .. } | Error::Broken { .. })) => {
                Some((copy(error), Stopwatch::start()))
            }
            Err(_) => return,
            Ok(()) => None,
        };
        *self.write_fault.lock() = fault;
    }

    /// Fails at once where the last write has, a short while ago, for want of room or of a disk that can be written.
    pub(crate) fn can_write(&self) -> Result<()> {
        self.reach()?;
        match &*self.write_fault.lock() {
            Some((error, since)) if since.elapsed() < WRITE_FAULT_HOLDS => Err(copy(error)),
            _ => Ok(()),
        }
    }

    /// The time of the store's clock. The server's is read with every transaction and goes on by this machine's, so that
    /// no statement waits for a reading of its own.
    pub(crate) fn now(&self, clock: &Clock) -> Now {
        match &*self.server_clock.lock() {
            Some(server) if !clock.is_manual() => server.now(Stopwatch::start().started()),
            _ => Now::exactly(clock.now()),
        }
    }

    /// Notes a reading of the server's clock, in microseconds, that was asked for at `asked`.
    pub(crate) fn read_clock(&self, micros: i64, asked: Stopwatch) {
        let mut server = self.server_clock.lock();
        *server = Some(ServerClock::read(*server, micros, asked.started(), Stopwatch::start().started()));
    }

    /// Notes arrivals that were folded in. While some are left in the last pages of their table, a vacuum cannot cut it short, and waits.
    pub(crate) fn note_folded(&self, folded: Folded) {
        let count = self.folded.fetch_add(folded.count, Ordering::Relaxed) + folded.count;
        let bound = if folded.is_partial { VACUUM_BACKLOG_AFTER } else { VACUUM_AFTER };
        if count >= bound {
            self.folded.store(0, Ordering::Relaxed);
            self.vacuum_is_due.store(true, Ordering::Relaxed);
        }
    }

    /// Has the next fold that leaves nothing ask for a vacuum.
    pub(crate) fn vacuum_again(&self) {
        self.folded.fetch_add(VACUUM_AFTER, Ordering::Relaxed);
    }

    /// True once after each time that a vacuum has come due.
    pub(crate) fn take_due_vacuum(&self) -> bool {
        self.vacuum_is_due.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn has_read_lately(&self) -> bool {
        self.server_clock.lock().is_some_and(|server| server.was_read_lately(Stopwatch::start().started()))
    }
}

/// Arrivals whose pages, about 100, a fold reads in a tenth of a millisecond.
const VACUUM_AFTER: u64 = 10_000;
/// The same where arrivals come faster than they are folded in.
const VACUUM_BACKLOG_AFTER: u64 = 100_000;
/// A failed write counts for so long where no other has been tried since.
const WRITE_FAULT_HOLDS: Duration = Duration::from_secs(5);

/// Measures how often something may be done.
pub(crate) struct Throttle {
    every: Duration,
    last: Option<Stopwatch>,
}

impl Throttle {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Sleeps until it may be done again, and counts from then.
    pub(crate) async fn wait(&mut self) {
        if let Some(last) = self.last {
            tokio::time::sleep(self.every.saturating_sub(last.elapsed())).await;
        }
        self.last = Some(Stopwatch::start());
    }
}
