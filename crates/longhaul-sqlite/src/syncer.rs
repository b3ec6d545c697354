use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, Result};
use parking_lot::{Condvar, Mutex};

use crate::error::broken;
use crate::open::path_beside;

/// Syncs the log of writes within a bound, where writes are answered before they are durable.
///
/// Writes commit with `synchronous=NORMAL`. Of that SQLite says: "WAL mode is always consistent with synchronous=NORMAL, but WAL
/// mode does lose durability. A transaction committed in WAL mode with synchronous=NORMAL might roll back following a power loss or
/// system crash. Transactions are durable across application crashes" (<https://sqlite.org/pragma.html#pragma_synchronous>). The
/// log's checksums end a recovery at the first frame that is not whole, so that what is left is what some transaction left,
/// and all before it. Checkpoints stay safe by themselves: at NORMAL as at FULL, SQLite syncs the log before it writes a page
/// of it to the file, and the file before it begins the log anew (<https://sqlite.org/wal.html#performance_considerations>). So
/// all that is not durable is at the log's end, and one `fdatasync` of the log, by whichever handle, makes it so.
///
/// A thread begins a sync once half of the bound is over since the oldest write that waits for one; the other half is
/// for the sync. If that is not enough, the writer answers no call until the sync has ended ([`Syncer::hold`]).
#[derive(Debug)]
pub(crate) struct Syncer {
    bound: Duration,
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

/// Syncs all committed writes.
pub(crate) type SyncLog = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Times are of the monotonic clock.
#[derive(Debug, Default)]
struct State {
    /// The commit time of the oldest write for which no sync has begun.
    waiting_since: Option<Duration>,
    /// The commit time of the oldest write of the sync that runs.
    syncing_since: Option<Duration>,
    /// The error of a sync that failed.
    failed: Option<String>,
    is_closed: bool,
}

impl State {
    /// The commit time of the oldest write that is not durable.
    fn oldest(&self) -> Option<Duration> {
        self.syncing_since.or(self.waiting_since)
    }
}

impl Syncer {
    pub(crate) fn new(bound: Duration, clock: &Clock) -> Arc<Self> {
        let state = Mutex::default();
        let syncer = Arc::new(Self { bound, clock: clock.clone(), state, changed: Condvar::new() });
        let nudged = Arc::downgrade(&syncer);
        clock.on_advance(move || {
            if let Some(syncer) = nudged.upgrade() {
                // The lock, so that the thread is not between its look at the clock and its wait.
                let _state = syncer.state.lock();
                syncer.changed.notify_all();
            }
        });
        syncer
    }

    /// Syncs the log beside a database.
    pub(crate) fn of_log(database: &Path) -> io::Result<SyncLog> {
        // A handle of its own. SQLite takes no locks on this file, which closing another handle would give up.
        let log: File = OpenOptions::new().read(true).write(true).open(path_beside(database, "-wal"))?;
        Ok(Box::new(move || log.sync_data()))
    }

    /// Notes that something was committed that is not durable.
    pub(crate) fn wrote(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.waiting_since.is_none() {
            state.waiting_since = Some(now);
            self.changed.notify_all();
        }
    }

    /// Waits while a write is older than the bound and not durable, so that nothing more is answered until it is.
    pub(crate) fn hold(&self) {
        let mut state = self.state.lock();
        while state.failed.is_none()
            && !state.is_closed
            && state.oldest().is_some_and(|oldest| self.clock.since(oldest) >= self.bound)
        {
            self.changed.wait(&mut state);
        }
    }

    /// An error once a sync has failed. Whether a later one writes what that one did not is not known (the system may have let go of
    /// it), so nothing is written any more: a restart finds what the disk has.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.state.lock().failed {
            None => Ok(()),
            Some(why) => {
                Err(broken(format!("failed to sync what was answered: {why}: look at the disk, and restart")))
            }
        }
    }

    /// Ends the thread, with a last sync where something waits for one.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// The thread: runs until it is closed.
    pub(crate) fn run(&self, mut sync: SyncLog) {
        let mut state = self.state.lock();
        loop {
            let wait =
                state.waiting_since.map(|since| (self.bound / 2).saturating_sub(self.clock.since(since)));
            match wait {
                None if state.is_closed => return,
                None => self.changed.wait(&mut state),
                Some(wait) if !wait.is_zero() && !state.is_closed => {
                    if self.clock.is_manual() {
                        self.changed.wait(&mut state);
                    } else {
                        self.changed.wait_for(&mut state, wait);
                    }
                }
                Some(_) => {
                    state.syncing_since = state.waiting_since.take();
                    drop(state);
                    let synced = sync();
                    state = self.state.lock();
                    if let Err(error) = synced {
                        tracing::error!("failed to sync what was answered: {error}");
                        state.failed = Some(error.to_string());
                    }
                    state.syncing_since = None;
                    self.changed.notify_all();
                }
            }
        }
    }
}
