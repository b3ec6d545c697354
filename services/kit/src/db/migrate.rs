use longhaul_sqlite::{SqliteStore, Transaction};
use rusqlite::OptionalExtension;

use super::DbError;

/// One step of a service's schema, forward only. Once released, its text never changes.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// What it does, in a few words.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// The texts are kept whole, so that a changed one is noticed and can be looked at.
const HISTORY: &str = "CREATE TABLE IF NOT EXISTS service_migrations (
    service TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, sql TEXT NOT NULL,
    PRIMARY KEY (service, version))";

/// Migration `i` of the list is version `i + 1`. Each runs in the transaction that notes it, after a look at the
/// notes in the same transaction: of two processes that start together, one runs it and the other sees it done.
pub(crate) async fn migrate(
    store: &SqliteStore,
    service: &'static str,
    migrations: &'static [Migration],
) -> Result<(), DbError> {
    store.transact(prepare).await?.map_err(|reason| DbError::Migration { service, reason })?;
    for (version, migration) in (1_i64..).zip(migrations) {
        store
            .transact(move |tx| apply(tx, service, version, migration))
            .await?
            .map_err(|reason| DbError::Migration { service, reason })?;
    }
    let newest = store
        .read(move |connection| {
            connection.query_row(
                "SELECT coalesce(max(version), 0) FROM service_migrations WHERE service = $1",
                [service],
                |row| row.get::<_, i64>(0),
            )
        })
        .await?;
    if newest > migrations.len() as i64 {
        let reason = format!(
            "they are version {newest} and this binary knows {}: use the newer longhaul that wrote them",
            migrations.len()
        );
        return Err(DbError::Migration { service, reason });
    }
    Ok(())
}

fn prepare(tx: &mut Transaction<'_, '_>) -> Result<(), String> {
    tx.connection().execute_batch(HISTORY).map_err(|e| e.to_string())
}

fn apply(
    tx: &mut Transaction<'_, '_>,
    service: &'static str,
    version: i64,
    migration: &Migration,
) -> Result<(), String> {
    let connection = tx.connection();
    let fault = |e: rusqlite::Error| format!("version {version} ({}): {e}", migration.name);
    let done: Option<String> = connection
        .query_row(
            "SELECT sql FROM service_migrations WHERE service = $1 AND version = $2",
            (service, version),
            |row| row.get(0),
        )
        .optional()
        .map_err(fault)?;
    match done {
        Some(sql) if sql == migration.sql => Ok(()),
        Some(_) => Err(format!("version {version} ({}) has run with another text", migration.name)),
        None => {
            connection.execute_batch(migration.sql).map_err(fault)?;
            connection
                .execute(
                    "INSERT INTO service_migrations (service, version, name, sql) VALUES ($1, $2, $3, $4)",
                    (service, version, migration.name, migration.sql),
                )
                .map_err(fault)?;
            Ok(())
        }
    }
}
