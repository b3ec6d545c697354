use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Keep, Longhaul, QueueConfig, Registry, Retention};
use service_support::{
    Auth, Db, Deps, EraseError, Erased, Erasure, Migration, Older, OpenError, Providers, Queue, Repeats,
    Schema, Service, Table, Turns,
};
use utoipa::openapi::OpenApi;

use crate::error::Unsuccessful;
use crate::jobs::{GenerateModule, QUEUE, RewriteLesson};
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Curriculum(Arc<App>);

/// The state that routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) repeats: Repeats,
    pub(crate) auth: Auth,
    pub(crate) providers: Providers,
    pub(crate) clock: Clock,
    pub(crate) ids: service_support::ObjectIds,
    pub(crate) turns: Turns,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "workflows",
        sql: include_str!("migrations/0001_workflows.sql"),
        older: Older::Refused,
    },
    Migration { name: "edits", sql: include_str!("migrations/0002_edits.sql"), older: Older::Refused },
    Migration { name: "owners", sql: include_str!("migrations/0003_owners.sql"), older: Older::GoesOn },
];

/// A module refers to its workflow.
const TABLES: &[Table] = &[Table::of("curriculum_workflows"), Table::of("curriculum_modules")];

/// The number of completed jobs that are kept.
const KEPT_COMPLETED: u64 = 100;
/// The number of failed jobs that are kept, and of cancelled ones.
const KEPT_FAILED: u64 = 200;

#[async_trait]
impl Service for Curriculum {
    fn name() -> &'static str {
        "curriculum"
    }

    fn about() -> &'static str {
        "Curriculum generation: lesson plans, module after module"
    }

    fn schema() -> Schema {
        Schema { migrations: MIGRATIONS, tables: TABLES }
    }

    /// Beside that it sets how much of the queue's history is kept, unless somebody has set it, and lets users take turns.
    async fn open(deps: Deps) -> Result<Self, OpenError> {
        let turns = Turns::new(&deps, "curriculum:user:", &[QUEUE]);
        let Deps { db, longhaul, repeats, auth, providers, clock, .. } = deps;
        db.migrate("curriculum", MIGRATIONS).await?;
        // A store that is away is asked again in the background.
        match keep_history(&longhaul).await {
            Err(error) if error.is_outage() => {
                tracing::warn!("failed to set how much history is kept: {error}")
            }
            done => done?,
        }
        turns.open().await?;
        longhaul.declare::<GenerateModule>();
        longhaul.declare::<RewriteLesson>();
        let ids = service_support::ObjectIds;
        Ok(Self(Arc::new(App { db, longhaul, repeats, auth, providers, clock, ids, turns })))
    }

    /// `/api/v3/workflow/…`.
    fn router(&self) -> Router {
        self.0.repeats.around::<Unsuccessful>(routes::router(Arc::clone(&self.0)))
    }

    fn document(&self) -> OpenApi {
        routes::document()
    }

    fn register(&self, registry: &mut Registry) {
        registry.register::<GenerateModule>(self.clone());
        registry.register::<RewriteLesson>(self.clone());
    }

    async fn start(&self) -> Result<(), OpenError> {
        while let Err(error) = keep_history(&self.0.longhaul).await {
            match error.is_outage() {
                true => self.0.clock.sleep(RETRY_PAUSE).await,
                false => return Err(error.into()),
            }
        }
        Ok(self.0.turns.start().await?)
    }

    /// Jobs wait for a model most of the time; the modules of one workflow never run side by side.
    fn queues(&self) -> Vec<Queue> {
        vec![Queue::waiting(QUEUE)]
    }

    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }
}

impl Curriculum {
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}

/// The pause between two tries to reach the jobs' store.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Sets the queue's retention unless an operator has chosen another one, which a restart must not undo.
async fn keep_history(longhaul: &Longhaul) -> Result<(), longhaul::Error> {
    let newest = |count| Keep { age: None, count: Some(count) };
    let change = |config: &mut QueueConfig| {
        if config.retention == Retention::default() {
            config.retention = Retention {
                completed: newest(KEPT_COMPLETED),
                failed: newest(KEPT_FAILED),
                cancelled: newest(KEPT_FAILED),
            };
        }
        Ok(())
    };
    longhaul.change_queue(QUEUE, change).await
}
