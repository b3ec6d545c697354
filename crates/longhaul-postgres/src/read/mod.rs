//! What is read on the pool's connections: no reader ever waits for the writer.

mod events;
mod get;
mod list;
mod queues;

use deadpool_postgres::{Pool, PoolError};
use longhaul::Result;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::{fault, unavailable};

pub(crate) use events::events;
pub(crate) use get::get;
pub(crate) use list::{list, narrow};
pub(crate) use queues::{queues, workers};

/// A connection of the pool, for some statements.
struct Reader {
    client: deadpool_postgres::Object,
    operation: &'static str,
}

impl Reader {
    async fn of(pool: &Pool, operation: &'static str) -> Result<Self> {
        let client = pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => fault(operation)(error),
            other => unavailable(other.to_string()),
        })?;
        Ok(Self { client, operation })
    }

    async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let statement = self.client.prepare_cached(sql).await.map_err(fault(self.operation))?;
        self.client.query(&statement, values).await.map_err(fault(self.operation))
    }
}
