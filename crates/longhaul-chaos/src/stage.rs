//! The stores that a run can be on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use longhaul::Store;
use longhaul_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::Result;
use crate::check::Keeper;

/// A store that a run can be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// One file, which all processes share
    Sqlite,
}

impl StoreKind {
    /// All of them.
    #[must_use]
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }
}

/// A store under test: its own server, where it has one, and the way to that.
#[derive(Debug)]
pub(crate) struct Stage {
    /// What `--store` of the processes under test is.
    pub(crate) url: String,
    /// What the checker uses: around the proxy.
    pub(crate) direct: String,
    _folder: TempDir,
}

impl Stage {
    /// Makes an empty store.
    ///
    /// # Errors
    /// Where its server cannot be started.
    pub(crate) async fn build(kind: StoreKind) -> Result<Self> {
        let folder = TempDir::new()?;
        match kind {
            StoreKind::Sqlite => {
                let path: PathBuf = folder.path().join("chaos.db");
                let url = format!("sqlite:{}", path.display());
                Ok(Self { direct: url.clone(), url, _folder: folder })
            }
        }
    }

    /// Who keeps it.
    pub(crate) fn keeper(&self) -> Keeper {
        if self.has_server() { Keeper::Server } else { Keeper::Everybody }
    }

    /// Whether there is a server to kill.
    #[must_use]
    pub(crate) fn has_server(&self) -> bool {
        false
    }

    /// Kills the store's server, and starts it again after `away`.
    ///
    /// # Errors
    /// Where it does not come up again.
    pub(crate) async fn restart(&mut self, away: Duration) -> Result<()> {
        let _ = away;
        Ok(())
    }

    /// Cuts every connection to the store's server, where there is one.
    pub(crate) fn cut(&self) -> bool {
        false
    }
}

/// Opens a store by its URL.
///
/// # Errors
/// Where there is none.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    match url.split_once(':') {
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::open(path).await?)),
        _ => Err(format!("failed to open {url}: no store is called like this").into()),
    }
}
