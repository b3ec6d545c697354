use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{
    Db, Deps, EraseError, Erased, Erasure, Migration, Older, OpenError, Providers, Queue, Repeats, Schema,
    Service, Table, Turns,
};
use utoipa::openapi::OpenApi;

use crate::error::Suggesting;
use crate::estimate::Estimator;
use crate::jobs::{Generate, QUEUE};
use crate::routes;
use crate::wikipedia::Wikipedia;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lessons(Arc<App>);

/// The state that routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) repeats: Repeats,
    pub(crate) providers: Providers,
    pub(crate) wikipedia: Wikipedia,
    pub(crate) estimator: Estimator,
    pub(crate) turns: Turns,
    /// `LESSON_TASK_TTL`: for how long a task can be asked about after it has ended.
    pub(crate) task_ttl: Duration,
    /// In front of links.
    pub(crate) base_path: String,
    pub(crate) clock: Clock,
    /// Held by the one who counts the tasks.
    pub(crate) counting: tokio::sync::Mutex<()>,
}

const MIGRATIONS: &[Migration] = &[
    Migration { name: "lessons", sql: include_str!("migrations/0001_lessons.sql"), older: Older::Refused },
    Migration { name: "erasures", sql: include_str!("migrations/0002_erasures.sql"), older: Older::GoesOn },
];

/// A topic names the number of its newest lesson, which must not fall behind the lessons that are there.
const TABLES: &[Table] =
    &[Table::newest("lesson_topics", "newest"), Table::of("lessons"), Table::of("lesson_erasures")];

#[async_trait]
impl Service for Lessons {
    fn name() -> &'static str {
        "lessons"
    }

    fn about() -> &'static str {
        "Lesson generation"
    }

    fn schema() -> Schema {
        Schema { migrations: MIGRATIONS, tables: TABLES }
    }

    /// Beside that it lets users take turns.
    async fn open(deps: Deps) -> Result<Self, OpenError> {
        let turns = Turns::new(&deps, "lessons:user:", &[QUEUE]);
        let Deps { env, db, longhaul, repeats, providers, base_path, clock, .. } = deps;
        let wikipedia = Wikipedia::from_env(&env, providers.max_wait, clock.clone())?;
        let task_ttl = env.seconds("LESSON_TASK_TTL", 3600.0)?;
        db.migrate("lessons", MIGRATIONS).await?;
        longhaul.declare::<Generate>();
        let estimator = Estimator::default();
        let counting = tokio::sync::Mutex::default();
        let app = App {
            db,
            longhaul,
            repeats,
            providers,
            wikipedia,
            estimator,
            turns,
            task_ttl,
            base_path,
            clock,
            counting,
        };
        app.turns.open().await?;
        Ok(Self(Arc::new(app)))
    }

    /// `/lessons` and what is under it, and `/search_lessons`.
    fn router(&self) -> Router {
        self.0.repeats.around::<Suggesting>(routes::router(Arc::clone(&self.0)))
    }

    fn document(&self) -> OpenApi {
        routes::document()
    }

    fn register(&self, registry: &mut Registry) {
        registry.register::<Generate>(self.clone());
    }

    async fn start(&self) -> Result<(), OpenError> {
        Ok(self.0.turns.start().await?)
    }

    /// A job does nothing but wait for Wikipedia and the language model.
    fn queues(&self) -> Vec<Queue> {
        vec![Queue::waiting(QUEUE)]
    }

    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }
}

impl Lessons {
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
