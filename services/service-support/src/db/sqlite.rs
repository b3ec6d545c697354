//! Rows in the SQLite file of a [`SqliteStore`].

use std::sync::Arc;

use longhaul::NewJob;
use longhaul_sqlite::{SqliteStore, Transaction};
use rusqlite::{Connection, OptionalExtension, Statement};

use super::migrate::{HISTORY, Migration, OUTBOX, OUTBOX_JOBS, changed_text};
use super::{Commit, Committed, DbError, Guard, Row, Value, Write, first_full, first_words};
use crate::once::{TABLE as ANSWERS, USER_COLUMN as ANSWERS_USER};

pub(super) async fn read(
    store: &SqliteStore,
    sql: std::borrow::Cow<'static, str>,
    params: Vec<Value>,
) -> Result<Vec<Row>, DbError> {
    store
        .read(move |connection| Ok(select(connection, &sql, &params).map_err(|error| statement(&sql, error))))
        .await?
}

pub(super) async fn commit(
    store: &SqliteStore,
    writes: Vec<Write>,
    jobs: Vec<NewJob>,
) -> Result<Commit, DbError> {
    match store.transact(move |tx| apply(tx, &writes, jobs)).await? {
        Ok(committed) => Ok(Commit::Done(committed)),
        Err(Undone::Refused { write }) => Ok(Commit::Refused { write }),
        Err(Undone::Fault(error)) => Err(error),
    }
}

pub(super) async fn prepare(store: &SqliteStore) -> Result<(), DbError> {
    store.transact(|tx| prepare_tables(tx.connection()).map_err(|error| statement(HISTORY, error))).await?
}

fn prepare_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("{HISTORY}; {OUTBOX}; {OUTBOX_JOBS}; {ANSWERS}"))?;
    // `ADD COLUMN` knows no `IF NOT EXISTS` here.
    let kept = "SELECT 1 FROM sqlite_schema WHERE name = 'answers' AND sql LIKE '%user_id%'";
    if !connection.prepare(kept)?.exists([])? {
        connection.execute_batch(ANSWERS_USER)?;
    }
    Ok(())
}

/// Runs one migration, unless it has run, in the transaction that notes it.
pub(super) async fn migrate_one(
    store: &SqliteStore,
    service: &'static str,
    version: i64,
    migration: &'static Migration,
) -> Result<(), DbError> {
    store
        .transact(move |tx| migrate(tx.connection(), service, version, migration))
        .await?
        .map_err(|reason| DbError::Migration { service, reason })
}

fn migrate(
    connection: &Connection,
    service: &'static str,
    version: i64,
    migration: &Migration,
) -> Result<(), String> {
    let fault = |e: rusqlite::Error| format!("version {version} ({}): {e}", migration.name);
    let noted_under = migration.noted_under(service);
    let done: Option<String> = connection
        .query_row(
            "SELECT sql FROM service_migrations WHERE service IN ($1, $2) AND version = $3",
            (service, &noted_under, version),
            |row| row.get(0),
        )
        .optional()
        .map_err(fault)?;
    if let Some(sql) = done {
        return changed_text(&sql, version, migration);
    }
    connection.execute_batch(migration.sql).map_err(fault)?;
    connection
        .execute(
            "INSERT INTO service_migrations (service, version, name, sql) VALUES ($1, $2, $3, $4)",
            (&noted_under, version, migration.name, migration.sql),
        )
        .map_err(fault)?;
    Ok(())
}

/// A fault of the whole database is an outage, whatever statement met it.
pub(super) fn statement(sql: &str, error: rusqlite::Error) -> DbError {
    use longhaul::Error::{Broken, Full, Unavailable};
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure,
    };
    let (store, code, reason) = ("sqlite", error.sqlite_error_code(), error.to_string());
    let source = error.into();
    DbError::Store(match code {
        Some(DatabaseBusy | DatabaseLocked) => Unavailable { store, source },
        Some(DiskFull) => Full { store, source },
        Some(ReadOnly | CannotOpen | SystemIoFailure) => Broken { store, source },
        _ => return DbError::Statement { sql: first_words(sql), reason, source },
    })
}

/// The reason why a transaction was rolled back.
pub(super) enum Undone {
    Refused { write: usize },
    Fault(DbError),
}

fn apply(tx: &mut Transaction<'_, '_>, writes: &[Write], jobs: Vec<NewJob>) -> Result<Committed, Undone> {
    let mut changed = Vec::with_capacity(writes.len());
    for (number, write) in writes.iter().enumerate() {
        let count =
            execute(tx.connection(), write).map_err(|error| Undone::Fault(statement(&write.sql, error)))?;
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
    if let Some(full) = first_full(&enqueued) {
        return Err(Undone::Fault(DbError::Crowded(full)));
    }
    Ok(Committed { changed, enqueued })
}

fn execute(connection: &Connection, write: &Write) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(&write.sql)?;
    bind(&mut statement, &write.params)?;
    Ok(statement.raw_execute()? as u64)
}

pub(super) fn select(connection: &Connection, sql: &str, params: &[Value]) -> rusqlite::Result<Vec<Row>> {
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

#[cfg(test)]
mod tests {
    use longhaul::Error;

    use super::*;

    fn fault_after(pragma: &str) -> DbError {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&format!("CREATE TABLE notes (text TEXT); {pragma}")).unwrap();
        let insert = "INSERT INTO notes (text) VALUES (hex(zeroblob(100000)))";
        statement(insert, connection.execute(insert, []).unwrap_err())
    }

    #[test]
    fn a_database_that_cannot_be_written_is_an_outage_and_a_wrong_statement_is_none() {
        let full = fault_after("PRAGMA max_page_count = 4");
        assert!(matches!(full, DbError::Store(Error::Full { .. })), "{full}");
        let read_only = fault_after("PRAGMA query_only = ON");
        assert!(matches!(read_only, DbError::Store(Error::Broken { .. })), "{read_only}");
        let wrong = fault_after("DROP TABLE notes");
        assert!(matches!(wrong, DbError::Statement { .. }), "{wrong}");
    }
}
