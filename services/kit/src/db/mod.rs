//! A service's own tables, in the database that holds the jobs.

mod migrate;
mod value;

pub use migrate::Migration;
pub use value::{FromValue, Row, Value};

use std::borrow::Cow;
use std::sync::Arc;

use longhaul::{Enqueued, NewJob};
use longhaul_sqlite::{SqliteStore, Transaction};
use rusqlite::{Connection, Statement};
use thiserror::Error;

/// One SQL text for a service's rows, with `$1`-style parameters, and the one call that matters: [`commit`] writes
/// rows and enqueues jobs in a single transaction. Cheap to clone.
///
/// The text keeps to what SQLite and Postgres share: JSON as text, times as integers (milliseconds since 1970),
/// `BYTEA` for bytes, `ON CONFLICT`. Today the rows live beside the jobs in SQLite; another database becomes
/// another form of this struct, and no caller changes.
///
/// [`commit`]: Db::commit
#[derive(Clone, Debug)]
pub struct Db {
    store: SqliteStore,
}

/// One statement that changes rows.
#[derive(Clone, Debug)]
pub struct Write {
    sql: Cow<'static, str>,
    params: Vec<Value>,
    guard: Guard,
}

/// Whether a write that changes nothing undoes the commit that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// It may.
    None,
    /// It must change a row.
    MustChange,
}

/// What became of a commit. Neither is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done(Committed),
    /// A [guarded](Write::guarded) write changed nothing, so nothing was written and nothing enqueued.
    Refused {
        /// Which one, from 0.
        write: usize,
    },
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How many rows each write changed, in order.
    pub changed: Vec<u64>,
    /// What became of each job, in order.
    pub enqueued: Vec<Enqueued>,
}

/// A fault of the database, or of a statement.
#[derive(Debug, Error)]
pub enum DbError {
    /// The store that holds the rows could not do it.
    #[error(transparent)]
    Store(#[from] longhaul::Error),
    /// A statement is wrong or breaks a constraint. Nothing was written.
    #[error("failed to run '{sql}': {source}")]
    Statement {
        /// The statement's first words.
        sql: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// A row does not have the column, or not in the form that was asked for.
    #[error("failed to read column '{column}': {reason}")]
    Column {
        /// Which column.
        column: String,
        /// Why.
        reason: String,
    },
    /// The tables are not those that this binary knows.
    #[error("failed to migrate the tables of {service}: {reason}")]
    Migration {
        /// Whose tables.
        service: &'static str,
        /// Why.
        reason: String,
    },
}

impl Db {
    /// Rows beside the jobs of `store`.
    #[must_use]
    pub fn sqlite(store: SqliteStore) -> Self {
        Self { store }
    }

    /// Reads rows, all at once: put a `LIMIT` on what can grow.
    ///
    /// # Errors
    /// A wrong statement, or a fault of the database.
    pub async fn read(
        &self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Value>,
    ) -> Result<Vec<Row>, DbError> {
        let sql = sql.into();
        self.store
            .read(move |connection| {
                Ok(select(connection, &sql, &params)
                    .map_err(|source| DbError::Statement { sql: first_words(&sql), source }))
            })
            .await?
    }

    /// Writes rows and enqueues jobs: all of it or nothing, durable when this returns.
    ///
    /// # Errors
    /// A wrong statement, a broken constraint, an invalid job, or a fault of the database. Nothing was written.
    pub async fn commit(&self, writes: Vec<Write>, jobs: Vec<NewJob>) -> Result<Commit, DbError> {
        let done = self.store.transact(move |tx| apply(tx, &writes, jobs)).await?;
        match done {
            Ok(committed) => Ok(Commit::Done(committed)),
            Err(Undone::Refused { write }) => Ok(Commit::Refused { write }),
            Err(Undone::Fault(error)) => Err(error),
        }
    }

    /// Brings a service's tables up to date: runs what has not run yet, each in a transaction of its own.
    ///
    /// # Errors
    /// Where a migration fails, or the database was migrated by a newer binary or by other texts.
    pub async fn migrate(
        &self,
        service: &'static str,
        migrations: &'static [Migration],
    ) -> Result<(), DbError> {
        migrate::migrate(&self.store, service, migrations).await
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
    /// Whether it was written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Commit::Done(_))
    }
}

/// `$first, $first+1, …`: the place-holders of an `IN (…)` with `count` values.
#[must_use]
pub fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|number| format!("${number}")).collect();
    names.join(", ")
}

/// Why a transaction was rolled back.
enum Undone {
    Refused { write: usize },
    Fault(DbError),
}

fn apply(tx: &mut Transaction<'_, '_>, writes: &[Write], jobs: Vec<NewJob>) -> Result<Committed, Undone> {
    let mut changed = Vec::with_capacity(writes.len());
    for (number, write) in writes.iter().enumerate() {
        let count = execute(tx.connection(), write)
            .map_err(|source| Undone::Fault(DbError::Statement { sql: first_words(&write.sql), source }))?;
        if count == 0 && write.guard == Guard::MustChange {
            return Err(Undone::Refused { write: number });
        }
        changed.push(count);
    }
    let enqueued = if jobs.is_empty() {
        Vec::new()
    } else {
        tx.enqueue(jobs).map_err(|error| Undone::Fault(error.into()))?
    };
    Ok(Committed { changed, enqueued })
}

fn execute(connection: &Connection, write: &Write) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(&write.sql)?;
    bind(&mut statement, &write.params)?;
    Ok(statement.raw_execute()? as u64)
}

fn select(connection: &Connection, sql: &str, params: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut rows = Vec::new();
    let mut found = statement.raw_query();
    while let Some(row) = found.next()? {
        let values = (0..columns.len()).map(|i| row.get(i)).collect::<rusqlite::Result<_>>()?;
        rows.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(rows)
}

/// Binds by name, because SQLite numbers `$n` by where it first stands in the text.
fn bind(statement: &mut Statement<'_>, params: &[Value]) -> rusqlite::Result<()> {
    if statement.parameter_count() != params.len() {
        return Err(rusqlite::Error::InvalidParameterCount(params.len(), statement.parameter_count()));
    }
    for (number, value) in params.iter().enumerate() {
        let name = format!("${}", number + 1);
        let index = statement.parameter_index(&name)?;
        let index = index.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        statement.raw_bind_parameter(index, value)?;
    }
    Ok(())
}

fn first_words(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(8).collect();
    words.join(" ")
}
