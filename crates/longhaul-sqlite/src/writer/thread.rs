use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use longhaul::{Clock, Result, Signals};
use rusqlite::Connection;

use super::parked::Woken;
use super::queue::{CommandQueue, Taken};
use super::session::Session;
use crate::error::panicked;
use crate::lock::Role;
use crate::volume::Volume;

/// The thread that writes, with what it needs.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<CommandQueue>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) clock: Clock,
    pub(crate) volume: Arc<Volume>,
    /// Held until the last write is done, so that a successor never meets it.
    pub(crate) role: Arc<Role>,
}

/// How soon a change by another process is noticed.
pub(super) const FOREIGN_CHANGES_WITHIN: Duration = Duration::from_millis(100);

impl Writer {
    /// Runs until the store is dropped.
    pub(crate) fn run(self) {
        let _abandon = AbandonOnDrop(&self.queue);
        // A panic of the writer's own code costs the callers of one transaction, who are told. Where it comes back
        // before a transaction has gone well, the thread ends, which all callers are told at once.
        loop {
            let mut transactions = 0;
            match catch_unwind(AssertUnwindSafe(|| self.serve(&mut transactions))) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => return tracing::error!("the writer has ended: {error}"),
                Err(panic) => tracing::error!("{}", panicked("write", &*panic)),
            }
            if transactions == 0 {
                return tracing::error!("the writer has ended: it panicked twice in a row");
            }
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                return tracing::error!("the writer has ended: failed to roll back: {error}");
            }
        }
    }

    fn serve(&self, transactions: &mut u64) -> Result<()> {
        let mut session = Session::new(self)?;
        let mut version = self.data_version();
        loop {
            let patience = session.patience();
            if self.queue.take(&mut session.waiting, patience) == Taken::Closed {
                return Ok(());
            }
            session.forget_withdrawn();
            let mut woken = Woken::Affected;
            if session.waiting.is_empty() && !session.is_quiet() {
                let seen = self.data_version();
                if seen != version {
                    version = seen;
                    woken = Woken::All;
                    self.signals.send_all();
                }
            }
            if session.turn(woken) {
                *transactions += 1;
            }
        }
    }

    /// A number that changes when another connection has committed.
    fn data_version(&self) -> i64 {
        let read = self.connection.prepare_cached("PRAGMA data_version");
        read.and_then(|mut read| read.query_row([], |row| row.get(0))).unwrap_or(0)
    }
}

/// Answers everybody when the thread ends, however it ends.
struct AbandonOnDrop<'a>(&'a CommandQueue);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
