use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longhaul::{Enqueued, Entry, Json, Lease, LeaseStatus, NewJob, Record, Result, admit};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::error::fault;
use crate::writer::{SAVEPOINT, WriteTx};

/// The caller's part of a group commit: its own statements and its own jobs, all or nothing.
pub struct Transaction<'a, 'c> {
    tx: &'a mut WriteTx<'c>,
}

impl<'a, 'c> Transaction<'a, 'c> {
    pub(crate) fn new(tx: &'a mut WriteTx<'c>) -> Self {
        Self { tx }
    }

    /// The connection, for the caller's own tables. It is inside a transaction that others share: statements that begin
    /// or end one are refused; savepoints may be used.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.tx.connection()
    }

    /// Enqueues jobs in this transaction; they exist if it commits.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where a job breaks a bound; a fault of SQLite.
    pub fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        let asked = jobs.len();
        let mut enqueued = self.tx.enqueue(&admit::with_deliveries(jobs)?)?;
        enqueued.truncate(asked);
        Ok(enqueued)
    }

    /// Records a step of a running job as done, in this transaction: the step and the caller's own rows are there together, or
    /// neither is. The first output of a name stays. Where the answer is [`Lost`](LeaseStatus::Lost), the job runs elsewhere by
    /// now and nothing is recorded: return an `Err`, which undoes what the step's code has written.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where the name or the output cannot be kept; a fault of SQLite.
    pub fn finish_step(&mut self, lease: &Lease, name: &str, output: &Json) -> Result<LeaseStatus> {
        admit::step_name(name)?;
        output.check("output", admit::MAX_STEP_BYTES)?;
        let step = Entry::Step { name: name.to_owned(), output: output.clone(), took: Duration::ZERO };
        self.tx.record_one(&Record { lease: lease.clone(), entries: vec![step] })
    }
}

impl std::fmt::Debug for Transaction<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction")
    }
}

/// Keeps an application's code from ending the transaction that it shares with others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// Has SQLite ask the guard whenever it prepares a statement.
    pub(crate) fn install(&self, connection: &mut Connection) -> Result<()> {
        let guard = self.clone();
        let authorize = move |context: AuthContext<'_>| {
            let is_refused = guard.0.load(Ordering::Relaxed) && ends_transaction(&context.action);
            if is_refused { Authorization::Deny } else { Authorization::Allow }
        };
        connection.authorizer(Some(authorize)).map_err(fault("guard transactions"))
    }

    /// Runs an application's code, which may panic.
    pub(crate) fn watch<T>(&self, code: impl FnOnce() -> T) -> T {
        struct Unwatch<'g>(&'g AtomicBool);
        impl Drop for Unwatch<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        self.0.store(true, Ordering::Relaxed);
        let _unwatch = Unwatch(&self.0);
        code()
    }
}

fn ends_transaction(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Transaction { .. } => true,
        AuthAction::Savepoint { savepoint_name, .. } => savepoint_name.eq_ignore_ascii_case(SAVEPOINT),
        // It would move an error of this code to the commit of all.
        AuthAction::Pragma { pragma_name, .. } => pragma_name.eq_ignore_ascii_case("defer_foreign_keys"),
        _ => false,
    }
}
