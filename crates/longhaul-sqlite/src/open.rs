use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{STORE, fault, full};

/// Forward only: a migration's place, from 1, is the schema's version once it has run.
///
/// So that a release can follow another without a stop, a migration leaves the statements of the release before it
/// working: it adds tables, columns that may be null or have a default, and indexes; what it no longer needs, the next
/// one removes. `tests/it/previous_release` holds those statements, to be renewed with each release.
const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("migrations/0001_jobs.sql"), oldest: 1 },
    // A binary that knows no batches would end their children without counting them.
    Migration { sql: include_str!("migrations/0002_limits_and_batches.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0003_compatibility.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0004_containment.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0005_pauses_steps_samples.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0006_limit_keys.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0007_unique_and_ends.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0008_waits_and_dependencies.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0009_queue_limits.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0010_counts_due.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0011_last_dependants.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0012_expected_children.sql"), oldest: 2 },
    Migration { sql: include_str!("migrations/0013_ends_in_order.sql"), oldest: 2 },
];

struct Migration {
    sql: &'static str,
    /// The oldest schema version with whose binaries the file may be shared once this has run.
    oldest: u32,
}

/// Opens the connection that writes. `synchronous=FULL` is what makes an answer durable. Until [`opened`] it waits long for the
/// write lock.
pub(crate) fn writing(path: &Path) -> Result<Connection> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| open_fault(path, &e))?;
    }
    let connection = Connection::open(path).map_err(sqlite_fault(path))?;
    connection.busy_timeout(OPENING_PATIENCE).map_err(sqlite_fault(path))?;
    // `auto_vacuum` counts only before the first table is made, and takes the write lock each time.
    let pages: u32 = connection
        .query_row("SELECT page_count FROM pragma_page_count", [], |row| row.get(0))
        .map_err(sqlite_fault(path))?;
    if pages == 0 {
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL").map_err(sqlite_fault(path))?;
    }
    // The cache is small on purpose: balancing an index makes SQLite look through all of it at the next commit, and what it
    // does not hold is in the system's.
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8192;
             PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA journal_size_limit = 67108864;
             PRAGMA foreign_keys = ON;"
        ))
        .map_err(sqlite_fault(path))?;
    prepare(&connection).map_err(sqlite_fault(path))?;
    Ok(connection)
}

/// From here on the connection serves calls.
pub(crate) fn opened(connection: &Connection) -> Result<()> {
    connection.busy_timeout(CALL_PATIENCE).map_err(fault("open a file"))
}

/// The length of the log, in pages, at which it is folded back into the file.
pub(crate) const LOG_PAGES: u32 = 1000;
/// The same where commits are synced later. A checkpoint syncs both files while the writer waits, and is the only sync that it waits
/// for there, so there are fewer of them.
pub(crate) const LOG_PAGES_SYNCED_LATER: u32 = 4000;

/// Lets commits return before they are synced, which a [`Syncer`](crate::syncer::Syncer) sees to. Checkpoints go on syncing.
pub(crate) fn sync_later(connection: &Connection) -> Result<()> {
    let sql = format!("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {LOG_PAGES_SYNCED_LATER};");
    connection.execute_batch(&sql).map_err(fault("sync later"))
}

/// The path of a file beside a database: its name with something behind it.
pub(crate) fn path_beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = OsString::from(database);
    path.push(suffix);
    path.into()
}

/// Opens a connection that can only read.
pub(crate) fn reading(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite_fault(path))?;
    prepare(&connection).map_err(sqlite_fault(path))?;
    opened(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(128);
    // Without this, SQLite plans a statement anew whenever a bound that its plan looked at is bound again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// The longest that a call waits for the write lock that another process holds.
const CALL_PATIENCE: Duration = Duration::from_secs(15);
/// The same while a store opens: on a disk that is busy for seconds a process that gave up would only be started again.
const OPENING_PATIENCE: Duration = Duration::from_secs(60);

/// Brings the schema up to this binary's version, under the write lock, so that two processes that start
/// together do it once. A schema that is there already is only read, whoever holds the lock.
pub(crate) fn migrate(connection: &Connection) -> Result<()> {
    let (present, newest) = (version(connection)?, MIGRATIONS.len());
    if present >= newest {
        return check_compatibility(connection, present, newest);
    }
    connection.execute_batch("BEGIN IMMEDIATE").map_err(fault("begin a migration"))?;
    let done = migrate_locked(connection);
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    connection.execute_batch(end).map_err(fault("end a migration"))?;
    done
}

fn version(connection: &Connection) -> Result<usize> {
    let version: u32 = connection
        .query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))
        .map_err(fault("read the schema's version"))?;
    Ok(version as usize)
}

fn migrate_locked(connection: &Connection) -> Result<()> {
    let (present, newest) = (version(connection)?, MIGRATIONS.len());
    if present >= newest {
        // Another process was first.
        return check_compatibility(connection, present, newest);
    }
    for migration in &MIGRATIONS[present..] {
        connection.execute_batch(migration.sql).map_err(fault("migrate"))?;
    }
    if let Some(last) = MIGRATIONS[present..].last() {
        connection
            .execute("INSERT OR REPLACE INTO compatibility (one, oldest) VALUES (1, ?1)", [last.oldest])
            .map_err(fault("note which releases may share the file"))?;
        connection
            .execute_batch(&format!("PRAGMA user_version = {newest}"))
            .map_err(fault("note the schema's version"))?;
    }
    Ok(())
}

/// Where a newer release has migrated the file, it has noted in it how old a binary may still work on it.
fn check_compatibility(connection: &Connection, present: usize, newest: usize) -> Result<()> {
    if present == newest {
        return Ok(());
    }
    let oldest: u32 = connection
        .query_row("SELECT oldest FROM compatibility", [], |row| row.get(0))
        .map_err(fault("read which releases may share the file"))?;
    if oldest as usize <= newest {
        tracing::info!(
            present,
            newest,
            "the file's schema is newer than this binary, which may go on with it"
        );
        return Ok(());
    }
    let source = format!(
        "the file's schema is version {present}, for which a binary must know version {oldest}, and this one knows \
         {newest}: use the newer longhaul that wrote it"
    );
    Err(Error::Store { store: STORE, operation: "migrate", source: source.into() })
}

/// A failure of SQLite to open a file; a full disk is an error of its own.
fn sqlite_fault(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    move |error| {
        let text = error.to_string();
        match fault("open a file")(error) {
            Error::Full { .. } => full(format!("{}: {text}", path.display())),
            _ => open_fault(path, &text),
        }
    }
}

pub(crate) fn open_fault(path: &Path, error: &dyn std::fmt::Display) -> Error {
    let source = format!("{}: {error}", path.display());
    Error::Store { store: STORE, operation: "open a file", source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn what_a_migration_asks_of_older_binaries_never_falls() {
        assert!(MIGRATIONS.is_sorted_by_key(|migration| migration.oldest));
        let known = (1..).zip(MIGRATIONS);
        assert!(known.into_iter().all(|(version, migration)| migration.oldest <= version));
    }
}
