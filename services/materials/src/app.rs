use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{Auth, Db, DbError, Migration, Outside, placeholders};
use thiserror::Error;

use crate::extract::Limits;
use crate::jobs::{self, Embed, Process, Purge};
use crate::routes;
use crate::storage::Storage;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Materials(Arc<App>);

/// What the service is built from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Where its rows live: beside the jobs of `longhaul`, so that a row and its job are one commit.
    pub db: Db,
    /// Where its jobs live.
    pub longhaul: Longhaul,
    /// Who its users are.
    pub auth: Auth,
    /// Its outside systems.
    pub outside: Outside,
    /// The folder that files are kept in: [`service_support::Config::storage`].
    pub storage: std::path::PathBuf,
    /// What reading one document may cost.
    pub limits: Limits,
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
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Its folder cannot be used.
    #[error("failed to prepare {folder}: {source}")]
    Storage {
        /// The folder.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
}

const MIGRATIONS: &[Migration] =
    &[Migration { name: "courses", sql: include_str!("migrations/0001_courses.sql") }];

impl Materials {
    /// Brings the tables up to date, prepares the folder, clears away what uploads of dead processes left in it,
    /// and makes the service's kinds of job known to `longhaul`.
    ///
    /// # Errors
    /// Where the database or the folder cannot be used.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        parts.db.migrate("materials", MIGRATIONS).await?;
        let folder = parts.storage.display().to_string();
        let storage =
            Storage::open(parts.storage).await.map_err(|source| OpenError::Storage { folder, source })?;
        parts.longhaul.declare::<Process>();
        parts.longhaul.declare::<Embed>();
        parts.longhaul.declare::<Purge>();
        Ok(Self(Arc::new(App {
            db: parts.db,
            longhaul: parts.longhaul,
            auth: parts.auth,
            outside: parts.outside,
            storage,
            limits: parts.limits,
            clock: parts.clock,
        })))
    }

    /// The routes, at the root and the same under `/api`.
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.0))
    }

    /// Lets a worker run the service's jobs; they wait in [`QUEUE`](crate::QUEUE), where one slot per core is
    /// right, because reading a scan keeps a core busy.
    pub fn register(&self, registry: &mut Registry) {
        registry.register::<Process>(self.clone());
        registry.register::<Embed>(self.clone());
        registry.register::<Purge>(self.clone());
    }

    /// What a starting server does beside serving, once: looks whether AI Brain answers (a warning if not), clears
    /// away files that no row knows, and enqueues the embedding of whatever another model, or none, has embedded.
    ///
    /// # Errors
    /// Where the database or the folder cannot be used.
    pub async fn start(&self) -> Result<Started, OpenError> {
        if let Some(brain) = &self.0.outside.ai_brain
            && let Err(error) = brain.check_health().await
        {
            tracing::warn!("AI Brain does not answer; documents that need it will wait: {error}");
        }
        let orphans = self.0.clear_orphans().await?;
        Ok(Started { orphans, embeds: jobs::enqueue_embeds(&self.0).await? })
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}

/// What [`Materials::start`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Files without a row that were removed.
    pub orphans: usize,
    /// Materials whose embedding was enqueued.
    pub embeds: usize,
}

/// Files that are compared with the rows at a time.
const FILES: usize = 500;

impl App {
    /// Removes files that no row knows: a crash between an upload's file and its row leaves one.
    async fn clear_orphans(&self) -> Result<usize, OpenError> {
        let fault =
            |source| OpenError::Storage { folder: self.storage.folder().display().to_string(), source };
        let mut removed = 0;
        for ids in self.storage.ids().await.map_err(fault)?.chunks(FILES) {
            let known = self.known(ids).await?;
            for id in ids.iter().filter(|id| !known.contains(*id)) {
                // Whoever uploads holds the file until its row is there. So only a look at the row that is taken while
                // nobody holds the file tells that it will never have one.
                let Some(_held) = self.storage.hold(id).await.map_err(fault)? else { continue };
                if self.known(std::slice::from_ref(id)).await?.is_empty() {
                    tracing::warn!(material = id, "removing a file that no material owns");
                    self.storage.remove(id).await.map_err(fault)?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Those of `ids` that have a row.
    async fn known(&self, ids: &[String]) -> Result<HashSet<String>, DbError> {
        let sql = format!("SELECT id FROM materials WHERE id IN ({})", placeholders(1, ids.len()));
        let rows = self.db.read(sql, ids.iter().map(|id| id.as_str().into()).collect()).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }
}
