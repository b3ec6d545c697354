use longhaul::Result;

use crate::connection::Connection;
use crate::error::{failed, fault};
use crate::options::{PostgresOptions, Purpose};

/// Forward only: a file's number is the schema's version once it has run.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_jobs.sql")];

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
        let reason = format!(
            "schema {schema} is of version {present} and this program knows {newest}: use the newer longhaul that wrote it"
        );
        return Err(failed("migrate", reason));
    }
    for migration in &MIGRATIONS[present..] {
        client.batch_execute(migration).await.map_err(fault)?;
    }
    if present < newest {
        let note = format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({newest})");
        client.batch_execute(&note).await.map_err(fault)?;
    }
    client.batch_execute("COMMIT").await.map_err(fault)
}
