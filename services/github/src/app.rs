use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{
    Auth, Db, Deps, EraseError, Erased, Erasure, Migration, Older, OpenError, Queue, Repeats, Schema,
    Service, Table, TrustedProxies, Turns,
};
use utoipa::openapi::OpenApi;

use crate::client::Client;
use crate::config::GithubConfig;
use crate::error::Detail;
use crate::jobs::{Analyze, BATCH_QUEUE, Batch, Member, QUEUE};
use crate::outage::Outage;
use crate::routes;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Github(Arc<App>);

/// The state that routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) repeats: Repeats,
    pub(crate) auth: Auth,
    pub(crate) proxies: TrustedProxies,
    pub(crate) config: GithubConfig,
    pub(crate) client: Client,
    /// In front of links.
    pub(crate) base_path: String,
    pub(crate) clock: Clock,
    pub(crate) outage: Outage,
    pub(crate) turns: Turns,
}

const MIGRATIONS: &[Migration] = &[Migration {
    name: "tasks, results and etags",
    sql: include_str!("migrations/0001_github.sql"),
    older: Older::Refused,
}];

const TABLES: &[Table] = &[
    Table::of("github_etags"),
    Table::of("github_calls"),
    Table::of("github_tasks"),
    Table::of("github_results"),
];

#[async_trait]
impl Service for Github {
    fn name() -> &'static str {
        "github"
    }

    fn about() -> &'static str {
        "GitHub profile analysis"
    }

    fn schema() -> Schema {
        Schema { migrations: MIGRATIONS, tables: TABLES }
    }

    /// Beside that it lets tasks take turns, and not their callers: an analysis does not say who has asked for it. A caller has a
    /// bounded number of tasks, and a batch of any length is one.
    async fn open(deps: Deps) -> Result<Self, OpenError> {
        let turns = Turns::new(&deps, "github:", &[QUEUE, BATCH_QUEUE]);
        let Deps { env, config: shared, db, longhaul, auth, repeats, providers, base_path, clock, .. } = deps;
        let proxies = shared.trusted_proxies;
        let config = GithubConfig::from_env(&env)?;
        let client = Client::new(config.clone(), providers.max_wait, db.clone(), clock.clone())?;
        db.migrate("github", MIGRATIONS).await?;
        longhaul.declare::<Analyze>();
        longhaul.declare::<Member>();
        longhaul.declare::<Batch>();
        let outage = Outage::default();
        turns.open().await?;
        Ok(Self(Arc::new(App {
            db,
            longhaul,
            repeats,
            auth,
            proxies,
            config,
            client,
            base_path,
            clock,
            outage,
            turns,
        })))
    }

    /// `/api/v1/github/…`, and `/task/{task_id}` at the root. Callers without a token are identified by their address, if the server
    /// serves with `into_make_service_with_connect_info::<SocketAddr>()`.
    fn router(&self) -> Router {
        self.0.repeats.around::<Detail>(routes::router(Arc::clone(&self.0)))
    }

    fn document(&self) -> OpenApi {
        routes::document()
    }

    fn register(&self, registry: &mut Registry) {
        registry.register::<Analyze>(self.clone());
        registry.register::<Member>(self.clone());
        registry.register::<Batch>(self.clone());
    }

    /// An analysis makes at most three calls at once and waits for the network. A batch only waits for analyses, so it
    /// has a queue of its own: a slot for each name that is to be analyzed side by side.
    fn queues(&self) -> Vec<Queue> {
        vec![Queue::waiting(QUEUE), Queue::waiting(BATCH_QUEUE)]
    }

    async fn start(&self) -> Result<(), OpenError> {
        Ok(self.0.turns.start().await?)
    }

    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }
}

impl Github {
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}
