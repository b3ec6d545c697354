//! Rows in the Postgres database of a [`PostgresStore`], in its schema.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use longhaul::NewJob;
use longhaul_postgres::PostgresStore;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{IsolationLevel, Transaction};

use super::migrate::{HISTORY, Migration, OUTBOX, OUTBOX_JOBS, changed_text};
use super::{Commit, Committed, DbError, Guard, Row, Value, Write, first_full, first_words};
use crate::once::{TABLE as ANSWERS, USER_COLUMN as ANSWERS_USER};

/// The number of tries for a commit that conflicts with others.
const TRIES: u32 = 10;
/// The longest pause after the first conflict; each further one adds as much.
const STEP: Duration = Duration::from_millis(10);

pub(super) async fn read(
    store: &PostgresStore,
    sql: Cow<'static, str>,
    params: Vec<Value>,
) -> Result<Vec<Row>, DbError> {
    within(store, async |client| {
        let fault = |error| statement(&sql, error);
        let prepared = client.prepare_cached(&sql).await.map_err(fault)?;
        let rows = client.query(&prepared, &borrowed(&params)).await.map_err(fault)?;
        let columns: Arc<[String]> =
            prepared.columns().iter().map(|column| column.name().to_owned()).collect();
        let values = |row: &tokio_postgres::Row| {
            (0..columns.len()).map(|i| column(row, i)).collect::<Result<Vec<Value>, _>>()
        };
        rows.iter().map(|row| Ok(Row::new(Arc::clone(&columns), values(row).map_err(fault)?))).collect()
    })
    .await
}

/// Commits one after the other is what SQLite does and what callers are written for, so these are serializable, and are
/// tried again where Postgres finds that they would not have been.
pub(super) async fn commit(
    store: &PostgresStore,
    writes: Vec<Write>,
    jobs: Vec<NewJob>,
) -> Result<Commit, DbError> {
    within(store, async |client| {
        let mut tries = 1;
        loop {
            match try_commit(store, client, &writes, jobs.clone()).await {
                Err(error) if tries < TRIES && is_conflict(&error) => {
                    // Those that met would meet again if none of them stepped aside for the others.
                    tokio::time::sleep(STEP.mul_f64(rand::random::<f64>() * f64::from(tries))).await;
                    tries += 1;
                }
                ended => return ended,
            }
        }
    })
    .await
}

/// Does something on a connection, for as long as the store would wait for its own statements. Whoever was given a
/// connection that has not answered by then would wait behind what it still has to answer, so it is closed.
async fn within<T>(
    store: &PostgresStore,
    work: impl AsyncFnOnce(&mut Object) -> Result<T, DbError>,
) -> Result<T, DbError> {
    let mut client = store.connection().await?;
    match tokio::time::timeout(store.options().response_timeout, work(&mut client)).await {
        Ok(done) => done,
        Err(_) => {
            drop(Object::take(client));
            Err(unavailable("no answer in time"))
        }
    }
}

async fn try_commit(
    store: &PostgresStore,
    client: &mut Object,
    writes: &[Write],
    jobs: Vec<NewJob>,
) -> Result<Commit, DbError> {
    let begin = |error| statement("BEGIN", error);
    let tx = client.build_transaction().isolation_level(IsolationLevel::Serializable).start().await;
    let tx = tx.map_err(begin)?;
    let mut changed = Vec::with_capacity(writes.len());
    for (number, write) in writes.iter().enumerate() {
        let fault = |error| statement(&write.sql, error);
        let prepared = tx.prepare_cached(&write.sql).await.map_err(fault)?;
        let count = tx.execute(&prepared, &borrowed(&write.params)).await.map_err(fault)?;
        if count == 0 && write.guard == Guard::MustChange {
            // Dropping the transaction rolls it back.
            return Ok(Commit::Refused { write: number });
        }
        changed.push(count);
    }
    let enqueued = if jobs.is_empty() { Vec::new() } else { store.enqueue_in(&tx, jobs).await? };
    if let Some(full) = first_full(&enqueued) {
        return Err(DbError::Crowded(full));
    }
    tx.commit().await.map_err(|error| statement("COMMIT", error))?;
    Ok(Commit::Done(Committed { changed, enqueued }))
}

/// True if the same commit may succeed when it is tried again. A broken unique constraint is one of these once in a
/// while: of two that chose the same next number, the slower one is told so instead of being told to try again.
fn is_conflict(error: &DbError) -> bool {
    let (DbError::Statement { source, .. } | DbError::Store(longhaul::Error::Unavailable { source, .. })) =
        error
    else {
        return false;
    };
    let code = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| {
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION]
            .contains(code)
    })
}

pub(super) async fn prepare(store: &PostgresStore) -> Result<(), DbError> {
    let client = store.connection().await?;
    // `IF NOT EXISTS` alone does not keep two from making the same table at once.
    // A look before the change, which would wait for all that read the table, and keep others waiting meanwhile.
    let user_column = format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = current_schema() \
         AND table_name = 'answers' AND column_name = 'user_id') THEN {ANSWERS_USER}; END IF; END $$"
    );
    let sql = format!(
        "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {HISTORY}; {OUTBOX}; {OUTBOX_JOBS}; {ANSWERS}; {user_column}; COMMIT"
    );
    client.batch_execute(&sql).await.map_err(|error| statement(HISTORY, error))
}

/// The advisory lock of processes that migrate services' tables: an arbitrary number of ours.
const LOCK: i64 = 0x6c6f_6e67_6b69_7401;

/// Runs one migration, unless it has run, in the transaction that notes it.
pub(super) async fn migrate_one(
    store: &PostgresStore,
    service: &'static str,
    version: i64,
    migration: &'static Migration,
) -> Result<(), DbError> {
    let mut client = store.connection().await?;
    let fault = |e: tokio_postgres::Error| DbError::Migration {
        service,
        reason: format!("version {version} ({}): {}", migration.name, detail(&e)),
    };
    let tx = client.transaction().await.map_err(fault)?;
    migrate(&tx, service, version, migration)
        .await
        .map_err(fault)?
        .map_err(|reason| DbError::Migration { service, reason })?;
    tx.commit().await.map_err(fault)
}

async fn migrate(
    tx: &Transaction<'_>,
    service: &str,
    version: i64,
    migration: &Migration,
) -> Result<Result<(), String>, tokio_postgres::Error> {
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let noted_under = migration.noted_under(service);
    let sql = "SELECT sql FROM service_migrations WHERE service IN ($1, $2) AND version = $3";
    if let Some(row) = tx.query_opt(sql, &[&service, &noted_under, &version]).await? {
        return Ok(changed_text(row.get(0), version, migration));
    }
    tx.batch_execute(migration.sql).await?;
    let sql = "INSERT INTO service_migrations (service, version, name, sql) VALUES ($1, $2, $3, $4)";
    tx.execute(sql, &[&noted_under, &version, &migration.name, &migration.sql]).await?;
    Ok(Ok(()))
}

pub(super) fn statement(sql: &str, error: tokio_postgres::Error) -> DbError {
    if longhaul_postgres::is_unavailable(&error) {
        unavailable(error)
    } else {
        DbError::Statement { sql: first_words(sql), reason: detail(&error), source: error.into() }
    }
}

fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DbError {
    DbError::Store(longhaul::Error::Unavailable { store: "postgres", source: source.into() })
}

/// Postgres's own words; the driver's say only that there was an error.
fn detail(error: &tokio_postgres::Error) -> String {
    // Its `DETAIL` quotes the row, which may be a document's text.
    error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}

pub(super) fn borrowed(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

pub(super) fn column(row: &tokio_postgres::Row, i: usize) -> Result<Value, tokio_postgres::Error> {
    let kind = row.columns()[i].type_();
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(i)?.into(),
        Type::INT4 => row.try_get::<_, Option<i32>>(i)?.map(i64::from).into(),
        Type::INT2 => row.try_get::<_, Option<i16>>(i)?.map(i64::from).into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(i)?.map(i64::from).into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(i)?.into(),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(i)?.map(f64::from).into(),
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(i)?.into(),
        // Sums of BIGINT are NUMERIC here: whoever sums says CAST(.. AS BIGINT), which both databases know.
        _ => row.try_get::<_, Option<String>>(i)?.into(),
    })
}

/// A value fits the parameter that it is for: the same text runs where every whole number has one type.
impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) => match *kind {
                Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
                Type::INT2 => i16::try_from(*number)?.to_sql(kind, out),
                Type::FLOAT8 => (*number as f64).to_sql(kind, out),
                Type::BOOL => (*number != 0).to_sql(kind, out),
                Type::TEXT | Type::VARCHAR => number.to_string().to_sql(kind, out),
                _ => number.to_sql(kind, out),
            },
            Value::Real(number) => match *kind {
                Type::FLOAT4 => (*number as f32).to_sql(kind, out),
                _ => number.to_sql(kind, out),
            },
            Value::Text(text) => text.to_sql(kind, out),
            Value::Blob(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
