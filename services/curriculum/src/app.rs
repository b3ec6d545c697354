use std::sync::Arc;

use axum::Router;
use longhaul::{Clock, Keep, Longhaul, Registry, Retention};
use service_support::{Db, DbError, Migration, Outside};
use thiserror::Error;

use crate::jobs::{GenerateModule, QUEUE};
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Curriculum(Arc<App>);

/// What the service is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where its rows live.
    pub db: Db,
    /// Where its jobs live.
    pub longhaul: Longhaul,
    /// Its outside systems, of which it uses the composer.
    pub outside: Outside,
    /// The time of rows.
    pub clock: Clock,
}

/// What routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) outside: Outside,
    pub(crate) clock: Clock,
    pub(crate) ids: service_support::ObjectIds,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its queue cannot be set up.
    #[error(transparent)]
    Store(#[from] longhaul::Error),
}

const MIGRATIONS: &[Migration] =
    &[Migration { name: "workflows", sql: include_str!("migrations/0001_workflows.sql") }];

/// How many completed jobs are kept.
const KEPT_COMPLETED: u64 = 100;
/// How many failed jobs are kept, and as many cancelled ones.
const KEPT_FAILED: u64 = 200;

impl Curriculum {
    /// Brings the tables up to date, sets how much of the queue's history is kept where nobody has set it yet, and makes
    /// the service's kind of job known to `longhaul`.
    ///
    /// # Errors
    /// Where the database or the jobs' store cannot be used.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        parts.db.migrate("curriculum", MIGRATIONS).await?;
        keep_history(&parts.longhaul).await?;
        parts.longhaul.declare::<GenerateModule>();
        let Parts { db, longhaul, outside, clock } = parts;
        Ok(Self(Arc::new(App { db, longhaul, outside, clock, ids: service_support::ObjectIds::default() })))
    }

    /// The routes, under `/api/v3/workflow`.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Lets a worker run the service's jobs; they wait in [`QUEUE`]. They wait for a model most of the time, so several
    /// slots are right; the modules of one workflow never share them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register::<GenerateModule>(self.clone());
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}

/// Whoever runs the server may have chosen another retention, which a restart must not undo.
async fn keep_history(longhaul: &Longhaul) -> Result<(), longhaul::Error> {
    let queues = longhaul.store().queues().await?;
    let present = queues.into_iter().find(|queue| queue.name == QUEUE);
    let mut config = present.map(|queue| queue.config).unwrap_or_default();
    if config.retention != Retention::default() {
        return Ok(());
    }
    let newest = |count| Keep { age: None, count: Some(count) };
    config.retention = Retention {
        completed: newest(KEPT_COMPLETED),
        failed: newest(KEPT_FAILED),
        cancelled: newest(KEPT_FAILED),
    };
    longhaul.store().set_queue(QUEUE, &config).await
}
