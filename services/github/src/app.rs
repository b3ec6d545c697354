use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{Auth, Db, DbError, GithubConfig, Migration, ProviderError};
use thiserror::Error;

use crate::client::Client;
use crate::jobs::{Analyze, Batch, Member};
use crate::outage::Outage;
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Github(Arc<App>);

/// What the service is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where its rows live.
    pub db: Db,
    /// Where its jobs live.
    pub longhaul: Longhaul,
    /// Who its callers are, where they say so: the limit of tasks in flight is theirs.
    pub auth: Auth,
    /// Where GitHub is, and how much of it is used.
    pub config: GithubConfig,
    /// The longest wait for one of GitHub's limits: [`service_support::Config::provider_max_wait`].
    pub max_wait: Duration,
    /// The time of rows, task ids and caches.
    pub clock: Clock,
}

/// What routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) auth: Auth,
    pub(crate) config: GithubConfig,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) outage: Outage,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its client cannot be made.
    #[error("failed to prepare the client of GitHub: {0}")]
    Client(ProviderError),
}

const MIGRATIONS: &[Migration] =
    &[Migration { name: "tasks, results and etags", sql: include_str!("migrations/0001_github.sql") }];

impl Github {
    /// Brings the tables up to date and makes the service's kinds of job known to `longhaul`. GitHub is not contacted.
    ///
    /// # Errors
    /// Where the database cannot be used, or the machine's TLS set-up.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        parts.db.migrate("github", MIGRATIONS).await?;
        parts.longhaul.declare::<Analyze>();
        parts.longhaul.declare::<Member>();
        parts.longhaul.declare::<Batch>();
        let client = Client::new(parts.config.clone(), parts.max_wait, parts.db.clone(), parts.clock.clone());
        Ok(Self(Arc::new(App {
            client: client.map_err(OpenError::Client)?,
            db: parts.db,
            longhaul: parts.longhaul,
            auth: parts.auth,
            config: parts.config,
            clock: parts.clock,
            outage: Outage::default(),
        })))
    }

    /// The routes under `/api/v1/github`, and `/task/{task_id}` at the root. Callers without a token are told apart by
    /// their address, where the server serves with `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Lets a worker run the service's jobs. Analyses wait in [`QUEUE`](crate::QUEUE); each makes at most three calls
    /// at once and waits for the network, so many slots are right. Batches wait in [`BATCH_QUEUE`](crate::BATCH_QUEUE),
    /// whose jobs only wait for analyses: give it a slot for each name that is to be analyzed side by side.
    pub fn register(&self, registry: &mut Registry) {
        registry.register::<Analyze>(self.clone());
        registry.register::<Member>(self.clone());
        registry.register::<Batch>(self.clone());
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
