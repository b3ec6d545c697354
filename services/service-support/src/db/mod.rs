//! A service's own tables, in the database that holds the jobs or in another one.

mod migrate;
mod moving;
mod outbox;
mod postgres;
mod sqlite;
mod stamp;
mod value;

pub use migrate::{Migration, Older};
pub use moving::{MoveError, RowExport, RowImport, RowsWritten, Schema, Table, TableRow, TableSort, Tables};
pub use stamp::{Belongs, STAMP};
pub use value::{FromValue, Row, Value};

use std::borrow::Cow;
use std::collections::HashMap;

use futures::future::BoxFuture;
use longhaul::{Enqueued, Full, JobId, JobRecord, Longhaul, NewJob, Store as _};
use longhaul_postgres::PostgresStore;
use longhaul_sqlite::SqliteStore;
use thiserror::Error;

pub(crate) use outbox::Sifted;
pub use outbox::WaitingJob;

use crate::erasure::{Candidate, Deed};

/// One SQL text for a service's rows, with `$1`-style parameters, and the one call that matters: [`commit`] writes
/// rows and enqueues jobs in a single transaction. Cheap to clone.
///
/// The text keeps to what SQLite and Postgres share: JSON as text, times as integers (milliseconds since 1970),
/// `BIGINT` for whole numbers, `BYTEA` for bytes, `ON CONFLICT`.
///
/// Its futures are boxed, because a crate that awaits another's compiles it anew, with all that it awaits in turn: both
/// databases' drivers would be compiled for each service.
///
/// [`commit`]: Db::commit
#[derive(Clone, Debug)]
pub struct Db {
    rows: Rows,
    jobs: Jobs,
}

/// The database of the rows.
#[derive(Clone, Debug)]
enum Rows {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// The store of the jobs.
#[derive(Clone, Debug)]
enum Jobs {
    Beside,
    Elsewhere(Longhaul),
}

/// One statement that changes rows.
#[derive(Clone, Debug)]
pub struct Write {
    sql: Cow<'static, str>,
    params: Vec<Value>,
    guard: Guard,
}

/// The effect on the commit of a write that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// It may.
    None,
    /// It must change a row.
    MustChange,
}

/// The result of a commit. Neither is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done(Committed),
    /// A [guarded](Write::guarded) write changed nothing, so nothing was written and nothing enqueued.
    Refused {
        /// The number of the write, from 0.
        write: usize,
    },
}

/// The effects of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of rows that each write changed, in order.
    pub changed: Vec<u64>,
    /// The result of each job's enqueue, in order.
    pub enqueued: Vec<Enqueued>,
}

/// A job that was committed with rows, wherever it is now.
#[derive(Clone, Debug)]
pub enum RowJob {
    /// In its store.
    Enqueued(Box<JobRecord>),
    /// In the outbox: its store was away or had no room, and does not know it yet.
    Waiting(WaitingJob),
}

/// A fault of the database, or of a statement.
#[derive(Debug, Error)]
pub enum DbError {
    /// The store that holds the rows could not do it.
    // Not transparent, which would leave the store's error out of the causes, where an outage is looked for.
    #[error("{0}")]
    Store(#[from] longhaul::Error),
    /// As many jobs wait in the queue, or of the limit key, of one of the jobs as may. Nothing was written.
    #[error("as many jobs wait in {0} as may")]
    Crowded(Full),
    /// A statement is wrong or breaks a constraint. Nothing was written.
    #[error("failed to run '{sql}': {reason}")]
    Statement {
        /// The statement's first words.
        sql: String,
        /// The database's own words, without the values of the row.
        reason: String,
        /// The driver's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A row does not have the column, or not in the form that was asked for.
    #[error("failed to read column '{column}': {reason}")]
    Column {
        /// The column's name.
        column: String,
        /// Why.
        reason: String,
    },
    /// Entries of the outbox were written by another release, or hold a job that its store refuses. They wait on, and all others were
    /// delivered.
    #[error("{left} entries of the outbox cannot be delivered and wait on; of the first: {source}")]
    Undelivered {
        /// Their number.
        left: u64,
        /// The jobs that were delivered.
        delivered: u64,
        /// The fault of the first of them.
        source: Box<DbError>,
    },
    /// The tables are not those that this binary knows.
    #[error("failed to migrate the tables of {service}: {reason}")]
    Migration {
        /// The service whose tables they are.
        service: &'static str,
        /// Why.
        reason: String,
    },
}

impl Db {
    /// Rows beside the jobs of `store`: a row and its job are one transaction.
    #[must_use]
    pub fn sqlite(store: SqliteStore) -> Self {
        Self { rows: Rows::Sqlite(store), jobs: Jobs::Beside }
    }

    /// Rows beside the jobs of `store`, in its schema: a row and its job are one transaction.
    #[must_use]
    pub fn postgres(store: PostgresStore) -> Self {
        Self { rows: Rows::Postgres(store), jobs: Jobs::Beside }
    }

    /// The same rows, with the jobs in another store than the rows.
    #[must_use]
    pub fn with_jobs_in(self, longhaul: Longhaul) -> Self {
        Self { jobs: Jobs::Elsewhere(longhaul), ..self }
    }

    /// Reads rows, all at once: put a `LIMIT` on what can grow.
    ///
    /// # Errors
    /// A wrong statement, or a fault of the database.
    pub fn read(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> BoxFuture<'_, Result<Vec<Row>, DbError>> {
        self.read_text(sql.into(), params)
    }

    fn read_text(
        &self,
        sql: Cow<'static, str>,
        params: Vec<Value>,
    ) -> BoxFuture<'_, Result<Vec<Row>, DbError>> {
        match &self.rows {
            Rows::Sqlite(store) => Box::pin(sqlite::read(store, sql, params)),
            Rows::Postgres(store) => Box::pin(postgres::read(store, sql, params)),
        }
    }

    /// Writes rows and enqueues jobs: all of it or nothing, durable when this returns.
    ///
    /// Jobs that live in another store go by way of the outbox: the commit writes them beside the rows, they
    /// are enqueued right after it, and should that fail or the process die, by whoever next
    /// [delivers](Self::deliver). A job without an id is given one, so that delivering it twice is harmless; until it
    /// is delivered, its store does not know it.
    ///
    /// A job that finds no room among those that wait refuses the whole commit where the jobs live beside the rows. By way of the
    /// outbox the rows are written by then: the job stays there, is answered as created, and is enqueued once there is room. A
    /// job whose unique key is held and that does not join is answered as rejected, which the caller has asked for; the rest
    /// is written. One that is rejected only when the outbox is delivered later was told to be created, and is kept until its
    /// key is free. (A batch of which a part is refused by then may close before the rest of it has come.)
    ///
    /// # Errors
    /// A wrong statement, a broken constraint, an invalid job, no [room](DbError::Crowded), or a fault of the database. Nothing
    /// was written.
    pub fn commit(&self, writes: Vec<Write>, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Commit, DbError>> {
        match &self.jobs {
            Jobs::Elsewhere(longhaul) if !jobs.is_empty() => {
                Box::pin(outbox::commit(self, longhaul, writes, jobs))
            }
            _ => self.commit_here(writes, jobs),
        }
    }

    /// Fails at once where the rows cannot be written: their store is away, full or broken. For a look before what
    /// goes with a row, a file for one, is made.
    ///
    /// # Errors
    /// The store's outage.
    pub fn ready(&self) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(async move {
            match &self.rows {
                Rows::Sqlite(store) => store.ready().await?,
                Rows::Postgres(store) => store.ready().await?,
            }
            Ok(())
        })
    }

    /// Gives the pages that deleted rows have left back to the file system, a few at a time. Postgres does that by itself.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn give_space_back(&self) -> Result<(), DbError> {
        if let Rows::Sqlite(store) = &self.rows {
            store.give_space_back().await?;
        }
        Ok(())
    }

    /// True if the jobs live beside the rows, so that a commit of both is one transaction.
    #[must_use]
    pub fn holds_jobs(&self) -> bool {
        matches!(self.jobs, Jobs::Beside)
    }

    /// Enqueues what waits in the outbox, and says how many jobs that were. For a start and every minute after it; safe
    /// on every node at once. Nothing ever waits where the jobs live beside the rows.
    ///
    /// # Errors
    /// A fault of the database or of the jobs' store; what was not delivered waits on. [`DbError::Undelivered`] is about some entries
    /// alone.
    pub async fn deliver(&self) -> Result<u64, DbError> {
        match &self.jobs {
            Jobs::Beside => Ok(0),
            Jobs::Elsewhere(longhaul) => outbox::deliver(self, longhaul).await,
        }
    }

    /// The jobs of these ids that were committed with rows and are there, in their store or on their way to it. `look` asks the store.
    /// Those that are not in it are looked for in the outbox, where `may_wait` says so; and as long as the store is away, only those
    /// can be told that are.
    ///
    /// # Errors
    /// A fault of the database or of the store.
    pub async fn find_jobs<L, F>(
        &self,
        ids: Vec<JobId>,
        may_wait: impl Fn(&JobId) -> bool,
        look: L,
    ) -> Result<HashMap<JobId, RowJob>, DbError>
    where
        L: Fn(Vec<JobId>) -> F,
        F: Future<Output = longhaul::Result<Vec<JobRecord>>>,
    {
        let enqueued = |job: JobRecord| (job.id.clone(), RowJob::Enqueued(Box::new(job)));
        let looked = look(ids.clone()).await;
        let is_away = matches!(&looked, Err(error) if error.is_outage());
        let mut found = match looked {
            Err(_) if is_away && !self.holds_jobs() => HashMap::new(),
            looked => looked?.into_iter().map(enqueued).collect(),
        };
        let is_open = |id: &&JobId| !found.contains_key(*id) && (is_away || may_wait(id));
        let unknown: Vec<JobId> = ids.iter().filter(is_open).cloned().collect();
        if self.holds_jobs() || unknown.is_empty() {
            return Ok(found);
        }
        let waiting = outbox::waiting(self, &unknown).await?;
        let rest: Vec<JobId> = unknown.into_iter().filter(|id| !waiting.contains_key(id)).collect();
        found.extend(waiting.into_iter().map(|(id, job)| (id, RowJob::Waiting(job))));
        if !rest.is_empty() {
            // One may have been delivered between the two looks.
            found.extend(look(rest).await?.into_iter().map(enqueued));
        }
        Ok(found)
    }

    /// Counts those jobs of these kinds that wait in the outbox and are to be forgotten, and takes them out where they are.
    pub(crate) async fn undelivered(
        &self,
        deed: Deed,
        is_meant: &(dyn Fn(&Candidate<'_>) -> bool + Sync),
    ) -> Result<Sifted, DbError> {
        match &self.jobs {
            Jobs::Beside => Ok(Sifted::default()),
            Jobs::Elsewhere(_) => outbox::forget(self, deed, is_meant).await,
        }
    }

    fn commit_here(&self, writes: Vec<Write>, jobs: Vec<NewJob>) -> BoxFuture<'_, Result<Commit, DbError>> {
        match &self.rows {
            Rows::Sqlite(store) => Box::pin(sqlite::commit(store, writes, jobs)),
            Rows::Postgres(store) => Box::pin(postgres::commit(store, writes, jobs)),
        }
    }

    /// Brings a service's tables up to date: runs what has not run yet, each in a transaction of its own.
    ///
    /// # Errors
    /// Fails if a migration fails, or the database was migrated by a newer binary or by other texts.
    pub fn migrate(
        &self,
        service: &'static str,
        migrations: &'static [Migration],
    ) -> BoxFuture<'_, Result<(), DbError>> {
        Box::pin(migrate::migrate(self, service, migrations))
    }
}

impl Write {
    /// A statement and its parameters.
    #[must_use]
    pub fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params, guard: Guard::None }
    }

    /// A statement that must change at least one row, or the whole commit is refused: a condition that holds from
    /// the look at the row to the end of the commit.
    #[must_use]
    pub fn guarded(sql: impl Into<Cow<'static, str>>, params: Vec<Value>) -> Self {
        Self { sql: sql.into(), params, guard: Guard::MustChange }
    }
}

impl Commit {
    /// True if it was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Commit::Done(_))
    }
}

/// Enqueues jobs at once in their own store, all of them or none: where one finds no room, those that were created are cancelled.
///
/// # Errors
/// An invalid job, no [room](DbError::Crowded), or a fault of the store.
pub async fn enqueue_all(longhaul: &Longhaul, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, DbError> {
    let enqueued = longhaul.enqueue_many(jobs).await?;
    let Some(full) = first_full(&enqueued) else { return Ok(enqueued) };
    for created in enqueued.iter().filter(|enqueued| enqueued.is_created()) {
        longhaul.cancel(&created.id).await?;
    }
    Err(DbError::Crowded(full))
}

/// The bound that keeps the first refused job of a commit out.
fn first_full(enqueued: &[Enqueued]) -> Option<Full> {
    enqueued.iter().find_map(|enqueued| enqueued.full.clone())
}

/// `$first, $first+1, …`: the place-holders of an `IN (…)` with `count` values.
#[must_use]
pub fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    names.join(", ")
}

fn first_words(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(8).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use longhaul::{JobError, Verdict};

    use super::*;

    #[test]
    fn rows_that_cannot_be_reached_cost_a_job_no_attempt() {
        let away = longhaul::Error::Unavailable { store: "postgres", source: "connection refused".into() };
        let error = JobError::from(DbError::from(away));
        assert!(matches!(error.verdict, Verdict::Snooze(_)), "{error:?}");
        assert_eq!(error.message, "failed to reach the postgres store: connection refused");
    }
}
