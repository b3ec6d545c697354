use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{Db, DbError, Migration, Outside};
use thiserror::Error;

use crate::estimate::Estimator;
use crate::jobs::Generate;
use crate::routes;
use crate::wikipedia::Wikipedia;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lessons(Arc<App>);

/// What the service is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where its lessons are kept.
    pub db: Db,
    /// Where its jobs live, which are its tasks.
    pub longhaul: Longhaul,
    /// Its outside systems: the composer writes the lessons.
    pub outside: Outside,
    /// Where Wikipedia is: [`service_support::Config::wikipedia_url`].
    pub wikipedia_url: String,
    /// For how long a task can be asked about after it has ended: [`service_support::Config::lesson_task_ttl`].
    pub task_ttl: Duration,
    /// The longest wait that a provider may ask for: [`service_support::Config::provider_max_wait`].
    pub max_wait: Duration,
    /// The time of rows and of the tasks' end.
    pub clock: Clock,
}

/// What routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) outside: Outside,
    pub(crate) wikipedia: Wikipedia,
    pub(crate) estimator: Estimator,
    pub(crate) task_ttl: Duration,
    pub(crate) clock: Clock,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Wikipedia's client cannot be made.
    #[error("failed to prepare the look-ups in Wikipedia: {0}")]
    Wikipedia(String),
}

const MIGRATIONS: &[Migration] =
    &[Migration { name: "lessons", sql: include_str!("migrations/0001_lessons.sql") }];

impl Lessons {
    /// Brings the tables up to date and makes the service's kind of job known to `longhaul`.
    ///
    /// # Errors
    /// Where the database cannot be used, the machine's TLS set-up, or Wikipedia's address.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        parts.db.migrate("lessons", MIGRATIONS).await?;
        parts.longhaul.declare::<Generate>();
        let wikipedia = Wikipedia::new(&parts.wikipedia_url, parts.max_wait, parts.clock.clone())
            .map_err(OpenError::Wikipedia)?;
        Ok(Self(Arc::new(App {
            db: parts.db,
            longhaul: parts.longhaul,
            outside: parts.outside,
            wikipedia,
            estimator: Estimator::default(),
            task_ttl: parts.task_ttl,
            clock: parts.clock,
        })))
    }

    /// The routes, at the root: `/lessons` and what is under it, and `/search_lessons`.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Lets a worker run the service's jobs; they wait in [`QUEUE`](crate::QUEUE), where a handful of slots is right,
    /// because a job does nothing but wait for Wikipedia and the language model: as many as that writes at once.
    pub fn register(&self, registry: &mut Registry) {
        registry.register::<Generate>(self.clone());
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
