use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{
    Auth, Db, Deps, EraseError, Erased, Erasure, Migration, Older, OpenError, Providers, Queue, Repeats,
    Schema, Service, Table, Turns,
};
use utoipa::openapi::OpenApi;

use crate::error::Nest;
use crate::external_http::ExternalHttp;
use crate::jobs::{Dispatch, QUEUE};
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<App>);

/// The state that routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) repeats: Repeats,
    pub(crate) auth: Auth,
    pub(crate) providers: Providers,
    pub(crate) external_http: ExternalHttp,
    pub(crate) ids: service_support::ObjectIds,
    pub(crate) turns: Turns,
    pub(crate) clock: Clock,
}

const MIGRATIONS: &[Migration] = &[
    Migration { name: "sessions", sql: include_str!("migrations/0001_sessions.sql"), older: Older::Refused },
    Migration {
        name: "dispatches",
        sql: include_str!("migrations/0002_dispatches.sql"),
        older: Older::Refused,
    },
];

const TABLES: &[Table] = &[Table::of("skills"), Table::of("sessions"), Table::of("session_members")];

#[async_trait]
impl Service for Sessions {
    fn name() -> &'static str {
        "sessions"
    }

    fn about() -> &'static str {
        "Learning sessions and skills, and their dispatch to a language model"
    }

    fn schema() -> Schema {
        Schema { migrations: MIGRATIONS, tables: TABLES }
    }

    /// Beside that it lets hosts take turns.
    async fn open(deps: Deps) -> Result<Self, OpenError> {
        let turns = Turns::new(&deps, "sessions:user:", &[QUEUE]);
        let Deps { env, db, longhaul, auth, repeats, providers, listener, clock, .. } = deps;
        let external_http = ExternalHttp::from_env(&env, listener, providers.max_wait, clock.clone())?;
        db.migrate("sessions", MIGRATIONS).await?;
        longhaul.declare::<Dispatch>();
        let ids = service_support::ObjectIds;
        turns.open().await?;
        let app = App { db, longhaul, repeats, auth, providers, external_http, ids, turns, clock };
        Ok(Self(Arc::new(app)))
    }

    /// `/skills`, `/sessions`, and `/api/v1/llm/query`.
    fn router(&self) -> Router {
        self.0.repeats.around::<Nest>(routes::router(Arc::clone(&self.0)))
    }

    fn document(&self) -> OpenApi {
        routes::document()
    }

    fn register(&self, registry: &mut Registry) {
        registry.register::<Dispatch>(self.clone());
    }

    async fn start(&self) -> Result<(), OpenError> {
        Ok(self.0.turns.start().await?)
    }

    /// A dispatch does nothing but wait for its answer.
    fn queues(&self) -> Vec<Queue> {
        vec![Queue::waiting(QUEUE)]
    }

    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }

    fn health(&self) -> Vec<(&'static str, String)> {
        vec![("dispatch", self.0.external_http.url().to_owned())]
    }
}

impl Sessions {
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
