use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use service_support::{
    Auth, Db, DbError, Deps, EraseError, Erased, Erasure, Load, Migration, Older, OpenError, Providers,
    Queue, Repeats, Schema, Service, Table, Turns, Write, placeholders, refused,
};
use utoipa::openapi::OpenApi;

use crate::error::Detail;
use crate::extract::{self, Limits};
use crate::jobs::{self, Embed, Index, Process, Purge, PurgeCourse, QUEUE};
use crate::quota::Quota;
use crate::routes;
use crate::shares::{Shares, USERS};
use crate::storage::Storage;

/// The service: its routes and its jobs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Materials(Arc<App>);

/// The state that routes and jobs share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) longhaul: Longhaul,
    pub(crate) repeats: Repeats,
    pub(crate) auth: Auth,
    pub(crate) providers: Providers,
    pub(crate) storage: Storage,
    pub(crate) limits: Limits,
    pub(crate) quota: Quota,
    pub(crate) shares: Shares,
    pub(crate) turns: Turns,
    /// In front of links.
    pub(crate) base_path: String,
    pub(crate) clock: Clock,
}

const MIGRATIONS: &[Migration] = &[
    Migration { name: "courses", sql: include_str!("migrations/0001_courses.sql"), older: Older::Refused },
    Migration { name: "pages", sql: include_str!("migrations/0002_pages.sql"), older: Older::Refused },
    Migration { name: "search", sql: include_str!("migrations/0003_search.sql"), older: Older::Refused },
    Migration { name: "settings", sql: include_str!("migrations/0004_settings.sql"), older: Older::GoesOn },
];

/// Materials and chats refer to their course.
const TABLES: &[Table] = &[
    Table::set_up("material_settings"),
    Table::of("courses"),
    Table::of("materials"),
    Table::of("material_pages"),
    Table::of("material_chunks"),
    Table::of("material_terms"),
    Table::of("material_vectors"),
    Table::of("course_chats"),
];

#[async_trait]
impl Service for Materials {
    fn name() -> &'static str {
        "materials"
    }

    fn about() -> &'static str {
        "Course materials: upload, text extraction with OCR, search, chat"
    }

    fn schema() -> Schema {
        Schema { migrations: MIGRATIONS, tables: TABLES }
    }

    /// Beside that it clears away what uploads of dead processes left in the folder of files, and lets users take turns.
    async fn open(deps: Deps) -> Result<Self, OpenError> {
        let turns = Turns::new(&deps, USERS, &[QUEUE]);
        let Deps { env, db, longhaul, auth, repeats, providers, base_path, clock, .. } = deps;
        let storage = Storage::from_env(&env, clock.clone()).await?;
        db.migrate("materials", MIGRATIONS).await?;
        storage.check_owner(&db).await?;
        longhaul.declare::<Process>();
        longhaul.declare::<Embed>();
        longhaul.declare::<Index>();
        longhaul.declare::<Purge>();
        longhaul.declare::<PurgeCourse>();
        let languages = env.text("OCR_LANGUAGES").unwrap_or(Limits::default().languages);
        if !extract::is_list_of_languages(&languages) {
            return Err(refused("OCR_LANGUAGES", "must be languages of tesseract, as in eng+deu").into());
        }
        let limits = Limits { languages, ..Limits::default() };
        let (quota, shares) = (Quota::from_env(&env)?, Shares::default());
        let app = App {
            db,
            longhaul,
            repeats,
            auth,
            providers,
            storage,
            limits,
            quota,
            shares,
            turns,
            base_path,
            clock,
        };
        app.take_over_note().await?;
        app.turns.open().await?;
        Ok(Self(Arc::new(app)))
    }

    /// `/courses/…` and `/materials/…`, at the root and the same under `/api`.
    fn router(&self) -> Router {
        self.0.repeats.around::<Detail>(routes::router(Arc::clone(&self.0)))
    }

    fn document(&self) -> OpenApi {
        routes::document()
    }

    fn register(&self, registry: &mut Registry) {
        registry.register::<Process>(self.clone());
        registry.register::<Embed>(self.clone());
        registry.register::<Index>(self.clone());
        registry.register::<Purge>(self.clone());
        registry.register::<PurgeCourse>(self.clone());
    }

    /// Reading a scan keeps a core busy.
    fn queues(&self) -> Vec<Queue> {
        vec![Queue { name: QUEUE, load: Load::Core }]
    }

    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError> {
        self.0.erase(erasure).await
    }

    async fn start(&self) -> Result<(), OpenError> {
        self.0.turns.start().await?;
        self.reconcile().await.map(|_| ())
    }

    fn health(&self) -> Vec<(&'static str, String)> {
        let search = match &self.0.providers.embedder {
            Some(embedder) => format!("hybrid, with vectors of {}", embedder.model()),
            None => "lexical, for there is no embedding model: see EMBEDDING_MODEL_DIR".into(),
        };
        let missing = extract::missing_parts(&self.0.limits).join(", ");
        let extraction = match &self.0.providers.ai_brain {
            Some(_) => "AI Brain".into(),
            None if missing.is_empty() => format!("on this machine ({})", self.0.limits.languages),
            None => format!("on this machine, without {missing} (scripts/install-tools installs them)"),
        };
        vec![("search", search), ("extraction", extraction)]
    }
}

impl Materials {
    /// Brings files, rows and vectors together after a start: warns if AI Brain does not answer, clears away files that
    /// no row knows, and enqueues the embedding of whatever another model, or none, has embedded.
    ///
    /// # Errors
    /// Fails if the database or the folder cannot be used.
    pub async fn reconcile(&self) -> Result<Started, OpenError> {
        if let Some(brain) = &self.0.providers.ai_brain
            && let Err(error) = brain.check_health().await
        {
            tracing::warn!("AI Brain does not answer; documents that need it will wait: {error}");
        }
        let missing = extract::missing_parts(&self.0.limits);
        if self.0.providers.ai_brain.is_none() && !missing.is_empty() {
            tracing::warn!(
                "documents that need it will fail; missing on this machine: {}",
                missing.join(", ")
            );
        }
        let orphans = self.0.clear_orphans().await?;
        jobs::enqueue_indexing(&self.0).await?;
        Ok(Started { orphans, embeds: jobs::enqueue_embeds(&self.0).await? })
    }

    pub(crate) fn app(&self) -> &Arc<App> {
        &self.0
    }
}

/// The effects of [`Materials::reconcile`].
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
    /// Takes the note that users take turns out of the table in which the last release kept it.
    async fn take_over_note(&self) -> Result<(), DbError> {
        let sql = "SELECT name FROM material_settings WHERE name = 'fair'";
        if self.db.read(sql, vec![]).await?.is_empty() {
            return Ok(());
        }
        self.turns.note().await?;
        let forget = Write::new("DELETE FROM material_settings WHERE name = 'fair'", vec![]);
        self.db.commit(vec![forget], vec![]).await.map(|_| ())
    }

    /// Removes files that no row knows: a crash between an upload's file and its row leaves one.
    async fn clear_orphans(&self) -> Result<usize, OpenError> {
        let fault = |source| OpenError::Folder { folder: self.storage.described().to_owned(), source };
        let mut removed = 0;
        for ids in self.storage.ids().await.map_err(fault)?.chunks(FILES) {
            let known = self.known(ids).await?;
            for id in ids.iter().filter(|id| !known.contains(*id)) {
                // An upload holds its file until its row is written. So a file has no row for good only if a look that
                // holds the file finds none.
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
