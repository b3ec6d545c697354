use longhaul::{Enqueued, NewJob, Result};
use rusqlite::Connection;

use crate::writer::Batch;

/// The caller's part of a group commit: its own statements and its own jobs, all or nothing.
pub struct Transaction<'a, 'c> {
    batch: &'a mut Batch<'c>,
}

impl<'a, 'c> Transaction<'a, 'c> {
    pub(crate) fn new(batch: &'a mut Batch<'c>) -> Self {
        Self { batch }
    }

    /// The connection, for the caller's own tables. It is inside a transaction and a savepoint: statements that
    /// begin or end one would break the promise made to everybody else in the same commit.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        self.batch.connection()
    }

    /// Enqueues jobs in this transaction; they exist if it commits.
    ///
    /// # Errors
    /// [`longhaul::Error::Invalid`] where a job breaks a bound; a fault of SQLite.
    pub fn enqueue(&mut self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>> {
        for job in &jobs {
            job.validate()?;
        }
        self.batch.enqueue(jobs)
    }
}

impl std::fmt::Debug for Transaction<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction")
    }
}
