//! Reads, on the pool's connections: no reader ever waits for the writer.

mod dependants;
mod events;
mod filter;
mod get;
mod keys;
mod list;
mod queues;
mod samples;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use longhaul::Result;
use longhaul::clock::Stopwatch;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection::{cancel, tls};
use crate::error::{SILENCE, failed, fault, unavailable};
use crate::options::{PostgresOptions, Purpose};
use crate::state::DriverState;

pub(crate) use dependants::dependants;
pub(crate) use events::events;
pub(crate) use filter::{Values, conditions, references};
pub(crate) use get::get;
pub(crate) use keys::keys;
pub(crate) use list::{Candidate, candidates, list};
pub(crate) use queues::{lanes, queues, workers};
pub(crate) use samples::samples;
pub(crate) use steps::steps;

/// The connections that read.
pub(crate) struct Reads {
    pub(crate) pool: Pool,
    tls: MakeRustlsConnect,
    state: Arc<DriverState>,
    /// The longest that the statements of one call may take together.
    patience: Duration,
}

impl Reads {
    pub(crate) fn new(options: &PostgresOptions, state: Arc<DriverState>) -> Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = tls(options)?;
        let manager = Manager::from_config(options.connecting(Purpose::Read), tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(options.connect_timeout))
            .wait_timeout(Some(options.response_timeout))
            .build()
            .map_err(|error| failed("open", error.to_string()))?;
        Ok(Self { pool, tls, state, patience: options.response_timeout })
    }

    /// A connection of the pool, in time or not at all; an error at once while the server is known to be away.
    pub(crate) async fn connection(&self, operation: &'static str) -> Result<Object> {
        self.state.reach()?;
        let client = tokio::time::timeout(self.patience, self.pool.get()).await;
        client.map_err(|_| unavailable(SILENCE))?.map_err(|error| match error {
            PoolError::Backend(error) => fault(operation)(error),
            other => unavailable(other.to_string()),
        })
    }
}

/// A connection of the pool, for some statements.
struct Reader<'r> {
    reads: &'r Reads,
    /// `None` once it has not answered in time.
    client: Option<Object>,
    since: Stopwatch,
    operation: &'static str,
}

impl<'r> Reader<'r> {
    async fn of(reads: &'r Reads, operation: &'static str) -> Result<Self> {
        let since = Stopwatch::start();
        let client = Some(reads.connection(operation).await?);
        Ok(Self { reads, client, since, operation })
    }

    async fn rows(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let Some(client) = &self.client else { return Err(unavailable(SILENCE)) };
        let read = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, values).await
        };
        let left = self.reads.patience.saturating_sub(self.since.elapsed());
        match tokio::time::timeout(left, read).await {
            Ok(rows) => rows.map_err(fault(self.operation)),
            Err(_) => {
                // The server stops working on it, so that no call waits for the rest of the answer on this connection.
                cancel(client, self.reads.tls.clone());
                self.client.take().map(Object::take);
                Err(unavailable(SILENCE))
            }
        }
    }
}
