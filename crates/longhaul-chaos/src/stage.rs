//! The stores that a run can be on.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use longhaul::Store;
use longhaul::clock::Stopwatch;
use longhaul_postgres::PostgresStore;
use longhaul_redis::RedisStore;
use longhaul_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::Result;
use crate::check::Keeper;
use crate::proxy::Proxy;
use crate::servers::StoreServer;

/// A store that a run can be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// One file, which all processes share
    Sqlite,
    /// A Postgres server with its default settings
    Postgres,
    /// A Redis server that syncs every write
    Redis,
}

impl StoreKind {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }
}

/// How a store's server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Absence {
    /// Its process was killed: connections end, and new ones come to nothing at once
    Killed,
    /// The network swallows everything: connections stay open, and nobody answers
    Silent,
}

/// A store under test: its own server, where it has one, and the way to that.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What `--store` of the processes under test is.
    pub(crate) url: String,
    /// What the checker uses: around the proxy.
    pub(crate) direct: String,
    server: Option<(StoreServer, Proxy)>,
    _folder: TempDir,
}

impl Stage {
    /// Makes an empty store.
    pub(crate) async fn build(kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        let server = match kind {
            StoreKind::Sqlite => {
                let url = format!("sqlite:{}", folder.path().join("chaos.db").display());
                return Ok(Self { direct: url.clone(), url, server: None, _folder: folder });
            }
            StoreKind::Postgres => StoreServer::postgres(folder.path()).await?,
            StoreKind::Redis => StoreServer::redis(folder.path()).await?,
        };
        let proxy = Proxy::start(server.address()).await?;
        let (direct, url) = (server.url(server.address().port()), server.url(proxy.port()));
        let stage = Self { url, direct, server: Some((server, proxy)), _folder: folder };
        stage.ready().await?;
        Ok(stage)
    }

    /// Who keeps it.
    pub(crate) fn keeper(&self) -> Keeper {
        if self.has_server() { Keeper::Server } else { Keeper::Everybody }
    }

    /// Whether there is a server to kill.
    pub(crate) fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Seconds of CPU time that the store's server has used, where there is one.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        self.server.as_ref().and_then(|(server, _)| server.cpu())
    }

    /// Kills the store's server, and starts it again after `away`.
    pub(crate) async fn restart(&mut self, away: Duration) -> Result<()> {
        self.take_away(Absence::Killed).await?;
        tokio::time::sleep(away).await;
        self.bring_back(Absence::Killed).await
    }

    /// Makes a store that has a server unreachable.
    pub(crate) async fn take_away(&mut self, absence: Absence) -> Result<()> {
        match (&mut self.server, absence) {
            (Some((server, _)), Absence::Killed) => server.kill().await,
            (Some((_, proxy)), Absence::Silent) => {
                proxy.hold();
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Ends such an absence; the store answers when this does.
    pub(crate) async fn bring_back(&mut self, absence: Absence) -> Result<()> {
        match (&mut self.server, absence) {
            (Some((server, _)), Absence::Killed) => {
                server.start().await?;
                self.ready().await
            }
            (Some((_, proxy)), Absence::Silent) => {
                proxy.let_go();
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    /// Connections that were asked for so far by way of the proxy.
    pub(crate) fn connections(&self) -> u64 {
        self.server.as_ref().map_or(0, |(_, proxy)| proxy.connections())
    }

    /// Waits until the store answers: a server takes connections before it has read its log.
    async fn ready(&self) -> Result<()> {
        let waiting = Stopwatch::start();
        loop {
            match open(&self.direct).await {
                Err(error) if waiting.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(_) => return Ok(()),
            }
        }
    }

    /// Cuts every connection to the store's server, and answers whether there is one.
    pub(crate) fn cut(&self) -> bool {
        self.server.as_ref().inspect(|(_, proxy)| proxy.cut()).is_some()
    }
}

/// How long a store may take to be there again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens a store by its URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::open(path).await?)),
        Some(("postgres", _)) => Ok(Arc::new(PostgresStore::connect(url).await?)),
        Some(("redis", _)) => Ok(Arc::new(RedisStore::connect(url).await?)),
        _ => Err(format!("failed to open {url}: no store is called like this").into()),
    }
}
