use longhaul::{Idempotency, JobId, State};
use rusqlite::{OptionalExtension, params};

use super::write_tx::WriteTx;
use crate::row::Columns;

/// The job that holds a unique key.
pub(super) struct Holder {
    pub(super) id: JobId,
    pub(super) seq: i64,
    pub(super) state: State,
}

/// The holders of keys. Jobs take and leave them in the transaction that creates or ends them.
impl WriteTx<'_> {
    /// The job that holds a unique key now.
    pub(super) fn unique_holder(&self, key: &str) -> rusqlite::Result<Option<Holder>> {
        self.connection
            .prepare_cached(include_str!("../sql/unique_holder.sql"))?
            .query_row(params![key, self.now.0], |row| {
                let mut columns = Columns::new(row);
                Ok(Holder { id: columns.id(), seq: columns.next(), state: columns.state() })
            })
            .optional()
    }

    /// Gives the key to a job, in place of one whose time with it is over.
    pub(super) fn hold_unique_key(&self, key: &str, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO unique_keys (key, job) VALUES (?1, ?2)")?
            .execute(params![key, seq])?;
        Ok(())
    }

    /// Lets a completed job hold its key for its period more.
    pub(super) fn expire_unique_key(&self, key: &str, seq: i64, period: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE unique_keys SET expires_at = ?3 WHERE key = ?1 AND job = ?2")?
            .execute(params![key, seq, self.now.0.saturating_add(period)])?;
        Ok(())
    }

    /// Takes the key from a job, where it is the job's.
    pub(super) fn free_unique_key(&self, key: &str, seq: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("DELETE FROM unique_keys WHERE key = ?1 AND job = ?2")?
            .execute(params![key, seq])?;
        Ok(())
    }

    /// The job that an idempotency key stands for, and the digest of the request.
    pub(super) fn idempotency_holder(&self, key: &Idempotency) -> rusqlite::Result<Option<(JobId, String)>> {
        self.connection
            .prepare_cached(include_str!("../sql/idempotency_holder.sql"))?
            .query_row(params![key.key, self.now.0], |row| Ok((JobId::from_store(row.get(0)?), row.get(1)?)))
            .optional()
    }

    /// Remembers how a request was answered.
    pub(super) fn hold_idempotency_key(&self, key: &Idempotency, id: &JobId) -> rusqlite::Result<()> {
        let expires_at = self.now.plus(key.keep_for).0;
        self.connection.prepare_cached(include_str!("../sql/hold_idempotency_key.sql"))?.execute(params![
            key.key,
            id.as_str(),
            key.fingerprint,
            expires_at
        ])?;
        Ok(())
    }
}
