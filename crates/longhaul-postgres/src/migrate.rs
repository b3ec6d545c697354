use longhaul::Result;

use crate::connection::Connection;
use crate::error::{failed, fault};
use crate::options::{PostgresOptions, Purpose};

/// Forward only: a migration's place, from 1, is the schema's version once it has run.
///
/// So that a release can follow another without a stop, a migration leaves the statements of the release before it
/// working: it adds tables, columns that may be null or have a default, and indexes; what it no longer needs, the next
/// one removes. `tests/it/previous_release` holds those statements, to be renewed with each release.
const MIGRATIONS: &[Migration] = &[
    Migration { sql: include_str!("migrations/0001_jobs.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0002_room_for_versions.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0003_containment.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0004_people.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0005_limits.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0006_unique.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0007_waits.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0008_queue_limits.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0009_children_in_order.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0010_noted.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0011_unlimited_keys.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0012_expected_children.sql"), oldest: 1 },
];

struct Migration {
    sql: &'static str,
    /// The oldest schema version with whose binaries the tables may be shared once this has run.
    oldest: i32,
}

/// Brings the schema up to this program's version, under a lock, so that processes which start together do it once.
pub(crate) async fn migrate(options: &PostgresOptions) -> Result<()> {
    let connection = Connection::open(options, Purpose::Read, |_| {}).await?;
    let client = &connection.client;
    let schema = &options.schema;
    let fault = fault("migrate");
    // The lock is the transaction's, which is undone where this is dropped: the connection goes with it.
    let begin = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('longhaul migrate', 0));
         CREATE SCHEMA IF NOT EXISTS \"{schema}\";
         CREATE TABLE IF NOT EXISTS \"{schema}\".schema_version (version INT NOT NULL);"
    );
    client.batch_execute(&begin).await.map_err(fault)?;
    let row =
        client.query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[]).await.map_err(fault)?;
    let (present, newest) = (usize::try_from(row.get::<_, i32>(0)).unwrap_or(0), MIGRATIONS.len());
    if present > newest {
        // A newer release has noted how old a binary may still work on its tables.
        let row = client.query_one("SELECT oldest FROM schema_version", &[]).await.map_err(fault)?;
        let oldest: i32 = row.get(0);
        if usize::try_from(oldest).unwrap_or(usize::MAX) > newest {
            let reason = format!(
                "schema {schema} is of version {present}, for which a binary must know version {oldest}, and this one \
                 knows {newest}: use the newer longhaul that wrote it"
            );
            return Err(failed("migrate", reason));
        }
        tracing::info!(present, newest, "the schema is newer than this binary, which may go on with it");
    }
    let missing = &MIGRATIONS[present.min(newest)..];
    for migration in missing {
        client.batch_execute(migration.sql).await.map_err(fault)?;
    }
    if let Some(last) = missing.last() {
        let note = format!(
            "DELETE FROM schema_version; INSERT INTO schema_version (version, oldest) VALUES ({newest}, {})",
            last.oldest
        );
        client.batch_execute(&note).await.map_err(fault)?;
    }
    client.batch_execute("COMMIT").await.map_err(fault)
}
