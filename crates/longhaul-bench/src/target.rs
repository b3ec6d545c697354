//! The stores that can be measured.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use longhaul::{Longhaul, MemoryStore, Store};
use longhaul_postgres::{PostgresOptions, PostgresStore};
use longhaul_redis::{RedisOptions, RedisStore};
use longhaul_sqlite::{Durability, SqliteStore};
use tempfile::TempDir;

use crate::Result;

/// The place in which each run gets a new store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// A database in a new folder inside this one.
    Sqlite(PathBuf),
    /// A server; each run has a schema of its own there, which stays.
    Postgres(String),
    /// A server; each run has a prefix of its own there, which stays.
    Redis(String),
    Memory,
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> std::result::Result<Self, String> {
        match url.split_once(':') {
            Some(("sqlite", "")) => Ok(Self::Sqlite(std::env::temp_dir())),
            Some(("sqlite", folder)) if std::path::Path::new(folder).is_dir() => {
                Ok(Self::Sqlite(PathBuf::from(folder)))
            }
            Some(("sqlite", folder)) => Err(format!("'{folder}' is not a folder")),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(url.to_owned())),
            Some(("redis", _)) => Ok(Self::Redis(url.to_owned())),
            Some(("memory", "")) => Ok(Self::Memory),
            _ => Err("must be sqlite:, sqlite:FOLDER, postgres://…, redis://… or memory:".into()),
        }
    }
}

impl StoreUrl {
    /// The folder whose disk is measured along.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.clone(),
            Self::Postgres(_) | Self::Redis(_) | Self::Memory => std::env::temp_dir(),
        }
    }

    pub(crate) fn description(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite {}", longhaul_sqlite::rusqlite::version()),
            Self::Postgres(_) => "postgres".into(),
            Self::Redis(_) => "redis".into(),
            Self::Memory => "memory".into(),
        }
    }

    pub(crate) fn durability(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "WAL synchronous=FULL",
            Self::Postgres(_) | Self::Redis(_) => "the server's settings",
            Self::Memory => "none",
        }
    }
}

/// A new, empty store. Its folder goes when this does.
pub(crate) struct Fresh {
    pub(crate) longhaul: Longhaul,
    _folder: Option<TempDir>,
}

impl Fresh {
    pub(crate) async fn open(url: &StoreUrl) -> Result<Self> {
        Self::open_durable(url, Durability::Sync).await
    }

    /// The same with what is durable when a write is answered, which is the bench's to choose on SQLite alone.
    pub(crate) async fn open_durable(url: &StoreUrl, durability: Durability) -> Result<Self> {
        let (store, folder): (Arc<dyn Store>, _) = match url {
            StoreUrl::Memory => (Arc::new(MemoryStore::default()), None),
            StoreUrl::Postgres(url) => {
                let schema = format!("bench_{:08x}", rand::random::<u32>());
                let options = PostgresOptions::new(url)?.schema(schema);
                (Arc::new(PostgresStore::open(options).await?), None)
            }
            StoreUrl::Redis(url) => {
                let prefix = format!("bench-{:08x}", rand::random::<u32>());
                let options = RedisOptions::new(url)?.prefix(prefix);
                (Arc::new(RedisStore::open(options).await?), None)
            }
            StoreUrl::Sqlite(parent) => {
                let folder = tempfile::Builder::new().prefix("longhaul-bench.").tempdir_in(parent)?;
                let file = folder.path().join("longhaul.db");
                (Arc::new(SqliteStore::open_durable(file, durability).await?), Some(folder))
            }
        };
        store.migrate().await?;
        Ok(Self { longhaul: Longhaul::over(store), _folder: folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_url_names_a_folder_that_is_there_or_a_server() {
        assert_eq!("memory:".parse(), Ok(StoreUrl::Memory));
        assert_eq!("sqlite:".parse(), Ok(StoreUrl::Sqlite(std::env::temp_dir())));
        assert!("sqlite:/no/such/folder".parse::<StoreUrl>().unwrap_err().contains("not a folder"));
        let postgres = "postgres://localhost/jobs";
        assert_eq!(postgres.parse(), Ok(StoreUrl::Postgres(postgres.to_owned())));
        assert!("mysql://localhost".parse::<StoreUrl>().unwrap_err().starts_with("must be"));
    }
}
