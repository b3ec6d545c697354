use std::time::Duration;

use super::{Db, DbError, Rows, postgres, sqlite};

/// One step of a service's schema, forward only. Once released, its text never changes.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The name, in a few words.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
    /// The fate of binaries that do not know it.
    pub older: Older,
}

/// The fate of a binary that is older than a migration. One of the last release may run beside this one, and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// It goes on: the migration only adds, and what the binary writes is whole without that.
    GoesOn,
    /// It refuses to start.
    Refused,
}

impl Migration {
    /// The name that it is noted under. A binary looks for newer versions under the service's own name, that of the last release too,
    /// so one with which it may go on is noted under another.
    pub(super) fn noted_under(&self, service: &str) -> String {
        match self.older {
            Older::GoesOn => format!("{service}{ADDED}"),
            Older::Refused => service.to_owned(),
        }
    }
}

/// The end of the name that migrations are noted under which older binaries need not know.
pub(super) const ADDED: char = '+';

/// The texts are kept whole, so that a changed one is noticed and can be looked at.
pub(super) const HISTORY: &str = "CREATE TABLE IF NOT EXISTS service_migrations (
    service TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, sql TEXT NOT NULL,
    PRIMARY KEY (service, version))";

/// The jobs of commits, a commit a row, that are not yet known to be in their own store.
pub(super) const OUTBOX: &str = "CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, jobs TEXT NOT NULL)";

/// Which jobs wait in which entry of the outbox, so that one is found without a look at the others. Entries of the last release have
/// no rows here until they are next delivered, and rows of entries that it has delivered stay until then.
pub(super) const OUTBOX_JOBS: &str = "CREATE TABLE IF NOT EXISTS outbox_jobs (
    job_id TEXT NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (job_id, entry));
    CREATE INDEX IF NOT EXISTS outbox_jobs_by_entry ON outbox_jobs (entry)";

/// The attempts to migrate in a database that was there just now and is unavailable: another process keeps its write lock, or its
/// disk is busy for seconds. Without them a server would end at its start, and be started into the same again.
const ATTEMPTS: u32 = 12;
/// The pause between them. An attempt itself takes seconds.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn migrate(
    db: &Db,
    service: &'static str,
    migrations: &'static [Migration],
) -> Result<(), DbError> {
    for attempt in 1..ATTEMPTS {
        match migrate_once(db, service, migrations).await {
            Err(DbError::Store(error @ longhaul::Error::Unavailable { .. })) => {
                tracing::warn!(service, attempt, %error, "failed to migrate the service's tables, trying again");
            }
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
    migrate_once(db, service, migrations).await
}

/// Migration `i` of the list is version `i + 1`. Each runs in the transaction that notes it, after a look at the
/// notes in the same transaction: of two processes that start together, one runs it and the other sees it done.
async fn migrate_once(
    db: &Db,
    service: &'static str,
    migrations: &'static [Migration],
) -> Result<(), DbError> {
    match &db.rows {
        Rows::Sqlite(store) => {
            sqlite::prepare(store).await?;
            for (version, migration) in (1..).zip(migrations) {
                sqlite::migrate_one(store, service, version, migration).await?;
            }
        }
        Rows::Postgres(store) => {
            postgres::prepare(store).await?;
            for (version, migration) in (1..).zip(migrations) {
                postgres::migrate_one(store, service, version, migration).await?;
            }
        }
    }
    refuse_newer(db, service, service, migrations.len()).await
}

/// Refuses tables of a newer version than this binary knows, of those that are noted under a name.
pub(super) async fn refuse_newer(
    db: &Db,
    service: &'static str,
    noted_under: &str,
    known: usize,
) -> Result<(), DbError> {
    let sql = "SELECT coalesce(max(version), 0) AS newest FROM service_migrations WHERE service = $1";
    let rows = db.read(sql, vec![noted_under.into()]).await?;
    let newest: i64 = rows.first().map_or(Ok(0), |row| row.get("newest"))?;
    if newest > known as i64 {
        let reason = format!(
            "they are version {newest} and this binary knows {known}: use the newer longhaul that wrote them"
        );
        return Err(DbError::Migration { service, reason });
    }
    Ok(())
}

/// Refuses a migration that has run with another text.
pub(super) fn changed_text(sql: &str, version: i64, migration: &Migration) -> Result<(), String> {
    if sql == migration.sql {
        return Ok(());
    }
    Err(format!("version {version} ({}) has run with another text", migration.name))
}
