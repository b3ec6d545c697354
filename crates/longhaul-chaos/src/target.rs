//! The store under test: its server, where it has one, and the network path to that. Both can fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use longhaul::Store;
use longhaul_postgres::PostgresStore;
use longhaul_redis::RedisStore;
use longhaul_sqlite::SqliteStore;
use longhaul_testservers::{Postgres, Redis};
use tempfile::TempDir;

use crate::Result;
use crate::check::StoreOwner;
use crate::proxy::Proxy;

/// The stores that can be tested.
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
    /// The stores that were named, or all of them where none was.
    pub(crate) fn chosen(named: &[Self]) -> Vec<Self> {
        if named.is_empty() { Self::value_variants().to_vec() } else { named.to_vec() }
    }
}

/// The two ways in which a store's server becomes unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Absence {
    /// Its process was killed: connections end, and new ones are refused at once
    Killed,
    /// The network drops everything: connections stay open, and no answer comes
    Silent,
}

/// A store under test.
#[derive(Debug)]
pub(crate) struct Target {
    /// The URL that the processes under test are given.
    pub(crate) url: String,
    /// The URL that the checker uses, which does not lead through the proxy.
    pub(crate) direct: String,
    server: Option<(Server, Proxy)>,
    folder: TempDir,
}

#[derive(Debug)]
enum Server {
    Postgres(Postgres),
    Redis(Redis),
}

/// A server that acknowledges only what a crash cannot undo. Postgres does so by default.
const REDIS_SYNCS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

impl Server {
    fn port(&self) -> u16 {
        match self {
            Self::Postgres(server) => server.port(),
            Self::Redis(server) => server.port(),
        }
    }

    fn url(&self, port: u16) -> String {
        match self {
            Self::Postgres(_) => format!("postgres://longhaul@127.0.0.1:{port}/postgres"),
            Self::Redis(_) => format!("redis://127.0.0.1:{port}/0"),
        }
    }
}

impl Target {
    /// Makes an empty store.
    pub(crate) async fn start(kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        let server = match kind {
            StoreKind::Sqlite => {
                let url = format!("sqlite:{}", folder.path().join("chaos.db").display());
                return Ok(Self { direct: url.clone(), url, server: None, folder });
            }
            StoreKind::Postgres => Server::Postgres(Postgres::start(&[])),
            StoreKind::Redis => Server::Redis(Redis::start(&REDIS_SYNCS)),
        };
        let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()))).await?;
        let (direct, url) = (server.url(server.port()), server.url(proxy.port()));
        Ok(Self { url, direct, server: Some((server, proxy)), folder })
    }

    /// The owner of the store's data.
    pub(crate) fn owner(&self) -> StoreOwner {
        if self.has_server() { StoreOwner::Server } else { StoreOwner::Processes }
    }

    /// The data folder of the servers that use the store.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// True where there is a server to kill.
    pub(crate) fn has_server(&self) -> bool {
        self.server.is_some()
    }

    /// Seconds of CPU time that the store's server has used, where there is one.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        match &self.server.as_ref()?.0 {
            Server::Postgres(server) => server.cpu_seconds(),
            Server::Redis(server) => server.cpu_seconds(),
        }
    }

    /// Bytes of memory that the store's server has, where there is one.
    pub(crate) fn server_memory(&self) -> Option<u64> {
        match &self.server.as_ref()?.0 {
            Server::Postgres(server) => server.memory_bytes(),
            Server::Redis(server) => server.memory_bytes(),
        }
    }

    /// Bytes of the store's files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        match &self.server {
            Some((Server::Postgres(server), _)) => server.disk_bytes(),
            Some((Server::Redis(server), _)) => server.disk_bytes(),
            None => longhaul_testservers::disk_bytes(self.folder.path()),
        }
    }

    /// Kills the store's server, and starts it again after `away`.
    pub(crate) async fn restart(&mut self, away: Duration) -> Result<()> {
        self.take_away(Absence::Killed);
        tokio::time::sleep(away).await;
        self.bring_back(Absence::Killed).await
    }

    /// Makes a store that has a server unreachable.
    pub(crate) fn take_away(&mut self, absence: Absence) {
        match (&mut self.server, absence) {
            (Some((Server::Postgres(server), _)), Absence::Killed) => server.kill(),
            (Some((Server::Redis(server), _)), Absence::Killed) => server.kill(),
            (Some((_, proxy)), Absence::Silent) => proxy.hold(),
            (None, _) => {}
        }
    }

    /// Ends such an absence. The store answers when this returns.
    pub(crate) async fn bring_back(&mut self, absence: Absence) -> Result<()> {
        match (&mut self.server, absence) {
            // The server's start blocks the thread until it takes connections.
            (Some((Server::Postgres(server), _)), Absence::Killed) => {
                tokio::task::block_in_place(|| server.restart(&[]));
            }
            (Some((Server::Redis(server), _)), Absence::Killed) => {
                tokio::task::block_in_place(|| server.restart(&REDIS_SYNCS));
            }
            (Some((_, proxy)), Absence::Silent) => {
                proxy.let_go();
                return Ok(());
            }
            (None, _) => return Ok(()),
        }
        open(&self.direct).await?;
        Ok(())
    }

    /// Connections that were asked for so far by way of the proxy.
    pub(crate) fn connections(&self) -> u64 {
        self.server.as_ref().map_or(0, |(_, proxy)| proxy.connections())
    }

    /// Cuts every connection to the store's server, and answers true where there is one.
    pub(crate) fn cut(&self) -> bool {
        self.server.as_ref().inspect(|(_, proxy)| proxy.cut()).is_some()
    }
}

/// Opens a store by its URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::open(path).await?)),
        Some(("postgres", _)) => Ok(Arc::new(PostgresStore::connect(url).await?)),
        Some(("redis", _)) => Ok(Arc::new(RedisStore::connect(url).await?)),
        _ => Err(format!("failed to open {url}: its scheme is none of sqlite, postgres and redis").into()),
    }
}
