use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{Auth, Db, DbError, Migration, Outside, PythonApiConfig};
use thiserror::Error;

use crate::external_http::ExternalHttp;
use crate::jobs::Dispatch;
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<App>);

/// What the service is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where its rows live: beside the jobs of `longhaul`, so that a session and its job are one commit.
    pub db: Db,
    /// Where its jobs live.
    pub longhaul: Longhaul,
    /// Who its users are.
    pub auth: Auth,
    /// Its outside systems: the composer writes the keywords that `/api/v1/llm/query` answers.
    pub outside: Outside,
    /// Whom sessions are dispatched to; without a URL, this server's own `/api/v1`.
    pub python_api: PythonApiConfig,
    /// What this process listens on: where its own `/api/v1` is. `None` in a process that serves nothing; there the
    /// documented address of a server on the same machine is taken, `http://127.0.0.1:8000`.
    pub listener: Option<SocketAddr>,
    /// The longest wait that the dispatch's target may ask for: [`service_support::Config::provider_max_wait`].
    pub max_wait: Duration,
    /// The time of rows.
    pub clock: Clock,
}

/// What routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) auth: Auth,
    pub(crate) outside: Outside,
    pub(crate) external_http: ExternalHttp,
    pub(crate) ids: service_support::ObjectIds,
    pub(crate) clock: Clock,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The client of the dispatch's target cannot be made.
    #[error("failed to prepare the dispatch of sessions: {0}")]
    Client(String),
}

const MIGRATIONS: &[Migration] =
    &[Migration { name: "sessions", sql: include_str!("migrations/0001_sessions.sql") }];

impl Sessions {
    /// Brings the tables up to date and makes the service's kinds of job known to `longhaul`.
    ///
    /// # Errors
    /// Where the database cannot be used, or the machine's TLS set-up.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        parts.db.migrate("sessions", MIGRATIONS).await?;
        parts.longhaul.declare::<Dispatch>();
        let external_http =
            ExternalHttp::new(&parts.python_api, parts.listener, parts.max_wait, parts.clock.clone())
                .map_err(|e| OpenError::Client(e.to_string()))?;
        Ok(Self(Arc::new(App {
            db: parts.db,
            longhaul: parts.longhaul,
            auth: parts.auth,
            outside: parts.outside,
            external_http,
            ids: service_support::ObjectIds::default(),
            clock: parts.clock,
        })))
    }

    /// The routes, at the root: `/skills`, `/sessions`, and `/api/v1/llm/query`.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Lets a worker run the service's jobs; they wait in [`QUEUE`](crate::QUEUE), where dozens of slots are right,
    /// because a dispatch does nothing but wait for its answer.
    pub fn register(&self, registry: &mut Registry) {
        registry.register::<Dispatch>(self.clone());
    }

    /// Where sessions are dispatched to, for the log and for `/health`.
    #[must_use]
    pub fn dispatches_to(&self) -> &str {
        self.0.external_http.url()
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
