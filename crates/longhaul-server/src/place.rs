//! Where things are kept: the data folder, the store of jobs, the services' tables.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul_sqlite::SqliteStore;

use crate::Result;

/// The flags of every command that touches data.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// The folder for the database, uploaded files and secrets; made if missing
    #[arg(long, global = true, env = "LONGHAUL_DATA", value_name = "FOLDER", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// Where jobs are kept: sqlite:PATH [default: sqlite:{data}/longhaul.db]
    #[arg(long, global = true, env = "LONGHAUL_STORE", value_name = "URL")]
    pub(crate) store: Option<StoreUrl>,
    /// Where the services keep their tables [default: with the jobs]
    #[arg(long, global = true, env = "LONGHAUL_DATABASE", value_name = "URL")]
    pub(crate) database: Option<StoreUrl>,
}

/// What `--store` and `--database` accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    Sqlite(PathBuf),
}

impl Place {
    /// The file that the store is in.
    pub(crate) fn store_path(&self) -> PathBuf {
        match &self.store {
            Some(StoreUrl::Sqlite(path)) => path.clone(),
            None => self.data.join("longhaul.db"),
        }
    }

    /// Opens the store, making its folder and file where they are missing, and brings its tables up to date.
    pub(crate) async fn open(&self) -> Result<SqliteStore> {
        let path = self.store_path();
        if let Some(StoreUrl::Sqlite(database)) = &self.database
            && *database != path
        {
            return Err(format!(
                "--database sqlite:{} is another file than the store's (sqlite:{}), and this build keeps the \
                 services' tables with the jobs, so that a row and its job are one transaction; leave --database out",
                database.display(),
                path.display(),
            )
            .into());
        }
        make_private_folder(&self.data)?;
        // Opening brings the tables up to date.
        Ok(SqliteStore::open(&path).await?)
    }

    /// The same for a server, which is to own the file: only then does the next server know at once that this one
    /// is dead. A command line that looks at jobs may hold the file for a moment, so this waits for a second
    /// before it makes do with sharing.
    pub(crate) async fn open_as_owner(&self) -> Result<SqliteStore> {
        let waiting = Stopwatch::start();
        loop {
            let store = self.open().await?;
            if store.is_owner() || waiting.elapsed() > Duration::from_secs(1) {
                return Ok(store);
            }
            drop(store);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Says at start-up where the jobs are, and whether another process has them too.
    pub(crate) fn announce(&self, store: &SqliteStore) {
        let path = store.path().display();
        if store.is_owner() {
            tracing::info!("store: {path}");
        } else {
            tracing::warn!(
                "store: {path}, shared with another process; when that dies, its jobs wait for their leases"
            );
        }
    }

    /// Opens a store that must be there already: a mistyped path is an error, not a new and empty store.
    pub(crate) async fn open_existing(&self) -> Result<SqliteStore> {
        let path = self.store_path();
        if !path.exists() {
            return Err(format!(
                "there is no store at {}; name the server's data folder with --data, or its store with --store",
                path.display(),
            )
            .into());
        }
        self.open().await
    }
}

/// The folder holds secrets and other people's documents: nobody else on the machine is to read them.
pub(crate) fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|e| format!("failed to make the data folder {}: {e}", folder.display()).into())
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "sqlite" => {
                let path = url.trim_start_matches("sqlite:");
                // `sqlite:///var/lib/x.db` is how other tools write an absolute path.
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return Err("the path is missing: sqlite:PATH".into());
                }
                Ok(StoreUrl::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" | "redis" | "rediss" | "valkey" => {
                Err(format!("the {scheme} store is not built in yet; use sqlite:PATH"))
            }
            _ => Err("use sqlite:PATH".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_urls_name_relative_and_absolute_paths() {
        let path = |url: &str| match url.parse::<StoreUrl>() {
            Ok(StoreUrl::Sqlite(path)) => path.display().to_string(),
            Err(error) => error,
        };
        assert_eq!(path("sqlite:jobs.db"), "jobs.db");
        assert_eq!(path("sqlite:/var/lib/jobs.db"), "/var/lib/jobs.db");
        assert_eq!(path("sqlite:///var/lib/jobs.db"), "/var/lib/jobs.db");
        assert_eq!(path("sqlite:"), "the path is missing: sqlite:PATH");
    }

    #[test]
    fn other_stores_are_refused_by_name() {
        let refusal = |url: &str| url.parse::<StoreUrl>().expect_err("refused");
        assert_eq!(
            refusal("postgres://127.0.0.1/jobs"),
            "the postgres store is not built in yet; use sqlite:PATH"
        );
        assert_eq!(refusal("redis://127.0.0.1"), "the redis store is not built in yet; use sqlite:PATH");
        assert_eq!(refusal("jobs.db"), "use sqlite:PATH");
    }
}
