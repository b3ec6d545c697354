use std::fmt::Debug;
use std::net::SocketAddr;

use async_trait::async_trait;
use axum::Router;
use longhaul::{Clock, Longhaul, Registry};
use thiserror::Error;
use utoipa::openapi::OpenApi;

use crate::auth::Auth;
use crate::config::Config;
use crate::db::{Db, DbError, Schema};
use crate::env::{ConfigError, Env};
use crate::erasure::{EraseError, Erased, Erasure};
use crate::once::Repeats;
use crate::provider::ProviderError;
use crate::providers::Providers;

/// A service as a server sees it: tables, routes and kinds of job over one store.
#[async_trait]
pub trait Service: Debug + Send + Sync + 'static {
    /// The name that `--services` selects it by.
    fn name() -> &'static str
    where
        Self: Sized;

    /// A line about it for `longhaul serve --help`.
    fn about() -> &'static str
    where
        Self: Sized;

    /// Its tables and what makes them. It has no default, so that nobody adds a table without asking how it is moved to another
    /// database.
    fn schema() -> Schema
    where
        Self: Sized;

    /// Reads the service's own variables, brings its tables up to date and declares its kinds of job.
    ///
    /// # Errors
    /// Fails if a variable, the database or the machine's TLS set-up cannot be used.
    async fn open(deps: Deps) -> Result<Self, OpenError>
    where
        Self: Sized;

    /// Its routes, from the root.
    fn router(&self) -> Router;

    /// The OpenAPI document of its routes, with its own form of errors.
    fn document(&self) -> OpenApi;

    /// Registers its jobs with a worker's registry.
    fn register(&self, registry: &mut Registry);

    /// The queues that its jobs wait in.
    fn queues(&self) -> Vec<Queue>;

    /// Erases what it keeps of a user, or counts it: rows, files, and jobs with all that they say. What is not the user's alone
    /// stays, and is told. Each write can be done again, so that an erasure that was cut off is gone on with from its
    /// beginning: what leads to other things (a row with the name of a file) goes after them. It has no default, so that nobody
    /// adds a service without asking what it keeps of people.
    ///
    /// # Errors
    /// A fault of the database, of the store of the jobs or of the files.
    async fn erase(&self, erasure: &Erasure) -> Result<Erased, EraseError>;

    /// Runs once after a server's start, in the background. What fails now is tried again at the next start.
    ///
    /// # Errors
    /// For the log.
    async fn start(&self) -> Result<(), OpenError> {
        Ok(())
    }

    /// The systems that do its work, for the log and for `/health`: `("search", "lexical")`.
    fn health(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The handles that services are opened with: cheap to clone.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The variables.
    pub env: Env,
    /// The part of them that services share.
    pub config: Config,
    /// The database of their rows: beside the jobs of `longhaul` where it can be, so that a row and its job are one
    /// commit.
    pub db: Db,
    /// The store of their jobs.
    pub longhaul: Longhaul,
    /// The check of their callers' tokens.
    pub auth: Auth,
    /// The answers to requests with an idempotency key: each service puts it around its routes.
    pub repeats: Repeats,
    /// The outside systems.
    pub providers: Providers,
    /// The address that this process serves them on; `None` in a process that serves nothing.
    pub listener: Option<SocketAddr>,
    /// The path under which a proxy serves them, in front of the links in their answers; empty without one.
    pub base_path: String,
    /// The time of rows.
    pub clock: Clock,
}

impl Deps {
    /// Reads the variables that services share, and prepares what they configure.
    ///
    /// # Errors
    /// Fails if a variable or the machine's TLS set-up cannot be used.
    pub fn new(env: Env, db: Db, longhaul: Longhaul, clock: Clock) -> Result<Self, OpenError> {
        let config = Config::from_env(&env)?;
        let auth = Auth::open(&config.auth, clock.clone())?;
        let providers = Providers::connect(&config, &clock)?;
        let repeats = Repeats::new(db.clone(), auth.clone(), clock.clone());
        Ok(Self {
            env,
            config,
            db,
            longhaul,
            auth,
            repeats,
            providers,
            listener: None,
            base_path: String::new(),
            clock,
        })
    }
}

/// A queue of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// The load of a job in it, which decides how many run at once.
    pub load: Load,
}

/// The load that a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It keeps a core busy: one slot per core.
    Core,
    /// It waits for systems outside: dozens of slots.
    Waiting,
}

impl Queue {
    /// A queue of jobs that wait for systems outside.
    #[must_use]
    pub fn waiting(name: &'static str) -> Self {
        Self { name, load: Load::Waiting }
    }
}

/// The reason why a service cannot start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A variable cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tables cannot be used.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The store of the jobs cannot be used.
    #[error(transparent)]
    Store(#[from] longhaul::Error),
    /// The client of an outside system cannot be made.
    #[error("failed to prepare the client of an outside system: {0}")]
    Provider(ProviderError),
    /// A folder cannot be used.
    #[error("failed to prepare {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// The fault.
        source: std::io::Error,
    },
}

/// By hand, for a [`ProviderError`] is no `std::error::Error`: a job turns it into its own outcome.
impl From<ProviderError> for OpenError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}
