//! What is read on the pool's connections: no reader ever waits for the writer.

mod events;
mod get;
mod list;
mod queues;

use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use longhaul::Result;
use longhaul::clock::Stopwatch;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::{SILENCE, fault, unavailable};

pub(crate) use events::events;
pub(crate) use get::get;
pub(crate) use list::{list, narrow};
pub(crate) use queues::{queues, workers};

/// A connection of the pool, for some statements.
struct Reader {
    /// `None` once it has not answered in time.
    client: Option<Object>,
    /// How long all of the statements may take together, and since when they do.
    patience: Duration,
    since: Stopwatch,
    operation: &'static str,
}

impl Reader {
    async fn of(pool: &Pool, operation: &'static str) -> Result<Self> {
        let since = Stopwatch::start();
        let client = Some(connection(pool, operation).await?);
        Ok(Self { client, patience: patience(pool), since, operation })
    }

    async fn rows(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let Some(client) = &self.client else { return Err(unavailable(SILENCE)) };
        let read = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, values).await
        };
        match tokio::time::timeout(self.patience.saturating_sub(self.since.elapsed()), read).await {
            Ok(rows) => rows.map_err(fault(self.operation)),
            Err(_) => {
                // Whoever was given this connection next would wait behind what it still has to answer.
                self.client.take().map(Object::take);
                Err(unavailable(SILENCE))
            }
        }
    }
}

/// A connection of the pool, in time or not at all.
pub(crate) async fn connection(pool: &Pool, operation: &'static str) -> Result<Object> {
    let client = tokio::time::timeout(patience(pool), pool.get()).await;
    client.map_err(|_| unavailable(SILENCE))?.map_err(|error| match error {
        PoolError::Backend(error) => fault(operation)(error),
        other => unavailable(other.to_string()),
    })
}

fn patience(pool: &Pool) -> Duration {
    pool.timeouts().wait.unwrap_or(Duration::MAX)
}
