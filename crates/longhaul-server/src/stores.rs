//! The flags that name the data folder, the store of jobs and the database of the services' tables, and what they open.

mod moving;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use longhaul::clock::Stopwatch;
use longhaul::stats::Metered;
use longhaul::{Longhaul, Store};
use longhaul_http::{Redaction, RemoteStore, redacted};
use longhaul_postgres::PostgresStore;
use longhaul_redis::RedisStore;
use longhaul_sqlite::{Durability, SqliteStore};
use service_support::Db;

use crate::Result;
use crate::belonging::check;
use crate::late::Late;
use crate::store_url::StoreUrl;

pub(crate) use self::moving::{JobsToRead, Part, Parts, Source, Target, Wanted};

/// The variable with the token that opens a server to remote workers. It is no flag, because flags can be read by
/// everyone on the machine.
pub(crate) const WORKER_TOKEN: &str = "LONGHAUL_WORKER_TOKEN";

/// The variable with the paths of hidden values.
pub(crate) const REDACT: &str = "LONGHAUL_REDACT";

/// The values that the environment hides.
pub(crate) fn redaction() -> Result<Redaction> {
    let redaction = std::env::var(REDACT).unwrap_or_default().parse::<Redaction>();
    redaction.map_err(|error| format!("{REDACT}: {error}").into())
}

/// The flags of every command that touches data.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Where the jobs are")]
pub(crate) struct StoreArgs {
    /// The folder for the database, uploaded files and secrets; made if missing
    #[arg(long, global = true, env = "LONGHAUL_DATA", value_name = "FOLDER", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// The store of the jobs: sqlite:PATH, postgres://…, redis://…, rediss://…, or another server that keeps them,
    /// https://… (with LONGHAUL_WORKER_TOKEN) [default: REDIS_URL or DATABASE_URL where set, else
    /// sqlite:{data}/longhaul.db]
    #[arg(long, global = true, env = "LONGHAUL_STORE", value_name = "URL")]
    pub(crate) store: Option<StoreUrl>,
    /// The database of the services' tables: sqlite:PATH or postgres://… [default: DATABASE_URL where set, else with
    /// the jobs, else sqlite:{data}/longhaul.db]
    #[arg(long, global = true, env = "LONGHAUL_DATABASE", value_name = "URL")]
    pub(crate) database: Option<StoreUrl>,
}

/// What a process that writes all the time says of durability.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DurabilityArgs {
    /// When a write to an SQLite store is answered: once it is synced to disk (sync), or before, and synced within this time,
    /// which a power cut may lose (50ms; 2ms to 60s)
    #[arg(long, env = "LONGHAUL_DURABILITY", value_name = "sync|TIME", default_value = "sync")]
    pub(crate) durability: Durability,
}

/// The open store of jobs and database of tables.
#[derive(Clone, Debug)]
pub(crate) struct OpenStores {
    /// The jobs.
    pub(crate) longhaul: Longhaul,
    /// The services' tables.
    pub(crate) db: Db,
    /// The addresses of both, for people; without passwords.
    described: String,
    /// The durability of answered writes, if this process chooses it.
    durability: Option<Durability>,
    /// `Yes` if another process has the embedded file too.
    shared: Shared,
}

/// The owner of an embedded file: this process alone, or another one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shared {
    No,
    Yes,
}

/// An open database of jobs, of tables, or of both.
enum Database {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Redis(RedisStore),
    Remote(RemoteStore),
}

impl StoreArgs {
    /// Opens the store and the services' database, making folders and files where they are missing, and brings the
    /// store's own tables up to date.
    pub(crate) async fn open(&self) -> Result<OpenStores> {
        self.open_durable(Durability::Sync).await
    }

    /// The same where both must be there already.
    pub(crate) async fn open_existing_tables(&self) -> Result<OpenStores> {
        let (store, database) = self.urls()?;
        must_exist(&store)?;
        must_exist(&database)?;
        if let StoreUrl::Remote(_) = &store {
            return Err(format!("{store} is another server: run this on that server's machine, with its --data, --store and variables").into());
        }
        self.open().await
    }

    /// The SQLite files among the store and the database.
    pub(crate) fn sqlite_files(&self) -> Result<Vec<PathBuf>> {
        let (store, database) = self.urls()?;
        let urls = if store == database { vec![store] } else { vec![store, database] };
        let file = |url| if let StoreUrl::Sqlite(path) = url { Some(path) } else { None };
        Ok(urls.into_iter().filter_map(file).collect())
    }

    /// The same with what is durable when a write is answered.
    pub(crate) async fn open_durable(&self, durability: Durability) -> Result<OpenStores> {
        let (store, database) = self.urls()?;
        check_durability(&store, durability)?;
        make_private_folder(&self.data)?;
        let jobs = Database::open_durable(&store, durability).await?;
        let of_file = matches!(jobs, Database::Sqlite(_)).then_some(durability);
        if store == database {
            let stores = OpenStores { durability: of_file, ..jobs.with_tables(&store)? };
            if std::env::var_os(WORKER_TOKEN).is_some() {
                // Remote workers reach the jobs and not the database, and look there for whose they are.
                check(stores.db.belongs_to_jobs(&stores.longhaul).await?, &store, &database)?;
            }
            return Ok(stores);
        }
        let (longhaul, shared) = (Longhaul::new(Metered::over(jobs.store())), jobs.shared());
        let db = Database::open(&database).await?.tables()?.with_jobs_in(longhaul.clone());
        let belongs = match jobs.tables() {
            Ok(beside) => db.belongs_to_database(&beside).await?,
            Err(_) => db.belongs_to_jobs(&longhaul).await?,
        };
        check(belongs, &store, &database)?;
        let described = format!("{store}, tables in {database}");
        Ok(OpenStores { longhaul, db, described, durability: of_file, shared })
    }

    /// Opens the stores of a server. A Redis that is away does not keep it from starting: until it comes, calls fail as they
    /// do whenever it is away, and what can be done without it is done.
    async fn open_or_wait(&self, durability: Durability) -> Result<OpenStores> {
        let (store, database) = self.urls()?;
        let StoreUrl::Redis(url) = &store else { return self.open_durable(durability).await };
        check_durability(&store, durability)?;
        match RedisStore::connect(url).await {
            Err(error) if matches!(error, longhaul::Error::Unavailable { .. }) => {
                tracing::warn!("{error}; starting without it, and looking for it every second");
            }
            _ => return self.open().await,
        }
        make_private_folder(&self.data)?;
        let late = Late::default();
        let longhaul = Longhaul::new(Metered::over(late.store()));
        let db = Database::open(&database).await?.tables()?.with_jobs_in(longhaul.clone());
        let described = format!("{store}, tables in {database}");
        late.look_for(url.clone(), store, database, db.clone());
        Ok(OpenStores { longhaul, db, described, durability: None, shared: Shared::No })
    }

    /// The same for a server, which is to own an embedded file: only then does the next server know at once that this
    /// one is dead. A command line that looks at jobs may hold the file for a moment, so this waits for a second
    /// before it makes do with sharing.
    pub(crate) async fn open_as_owner(&self, durability: Durability) -> Result<OpenStores> {
        let waiting = Stopwatch::start();
        loop {
            let stores = self.open_or_wait(durability).await?;
            if stores.shared == Shared::No || waiting.elapsed() > Duration::from_secs(1) {
                return Ok(stores);
            }
            drop(stores);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Opens a store of jobs that must be there already, and answers its address for people too: a mistyped path is an error,
    /// not a new and empty store.
    pub(crate) async fn open_existing(&self) -> Result<(Longhaul, String)> {
        // What is hidden in the dashboard is hidden in the terminal.
        self.open_shown(redaction()?).await
    }

    /// The same, without what is hidden by `redaction`.
    pub(crate) async fn open_shown(&self, redaction: Redaction) -> Result<(Longhaul, String)> {
        let (store, _) = self.urls()?;
        must_exist(&store)?;
        let jobs = redacted(Database::open(&store).await?.store(), redaction);
        Ok((Longhaul::over(jobs), store.to_string()))
    }

    /// The address of the jobs.
    pub(crate) fn jobs_url(&self) -> Result<StoreUrl> {
        Ok(self.urls()?.0)
    }

    /// The addresses of the jobs and the tables. `DATABASE_URL` and `REDIS_URL` are what hosts and other tools set.
    fn urls(&self) -> Result<(StoreUrl, StoreUrl)> {
        self.urls_with(&|name| std::env::var(name).ok())
    }

    fn urls_with(&self, vars: &dyn Fn(&str) -> Option<String>) -> Result<(StoreUrl, StoreUrl)> {
        let var = |name: &str| match vars(name).filter(|value| !value.trim().is_empty()) {
            None => Ok(None),
            Some(url) => url.parse::<StoreUrl>().map(Some).map_err(|e| format!("{name}: {e}")),
        };
        let embedded = || StoreUrl::Sqlite(self.data.join("longhaul.db"));
        let database = match &self.database {
            Some(url) => Some(url.clone()),
            None => var("DATABASE_URL")?,
        };
        let store = match &self.store {
            Some(url) => url.clone(),
            None => match var("REDIS_URL")?.map_or_else(|| redis_by_parts(vars), |url| Ok(Some(url)))? {
                Some(url) => url,
                None => database.clone().unwrap_or_else(embedded),
            },
        };
        let database = match database {
            Some(url) => url,
            None if store.holds_tables() => store.clone(),
            None => embedded(),
        };
        if !database.holds_tables() {
            return Err(
                format!("--database {database}: tables are kept in sqlite:PATH or postgres://…").into()
            );
        }
        Ok((store, database))
    }
}

/// A mistyped path is an error, not a new and empty store.
fn must_exist(store: &StoreUrl) -> Result<()> {
    if let StoreUrl::Sqlite(path) = store
        && !path.exists()
    {
        return Err(format!(
            "there is no store at {}; name the server's data folder with --data, its store with --store, or the server \
             with --url",
            path.display(),
        )
        .into());
    }
    Ok(())
}

/// The kind of a store.
fn kind_of(store: &StoreUrl) -> &'static str {
    match store {
        StoreUrl::Sqlite(_) => "sqlite",
        StoreUrl::Postgres(_) => "postgres",
        StoreUrl::Redis(_) => "redis",
        StoreUrl::Remote(_) => "remote",
    }
}

impl OpenStores {
    /// The addresses, for people.
    pub(crate) fn described(&self) -> &str {
        &self.described
    }

    /// The kind of store that has the jobs, which is no secret; its address may be one.
    pub(crate) fn kind(&self) -> &'static str {
        match self.described.split(':').next() {
            Some("sqlite") => "SQLite",
            Some("redis" | "rediss" | "redis+cluster") => "Redis",
            Some("postgres" | "postgresql") => "Postgres",
            _ => "another server",
        }
    }

    /// The durability of answered writes, if this process chooses it.
    pub(crate) fn durability(&self) -> Option<Durability> {
        self.durability
    }

    /// Logs at start-up the address of the jobs, with a warning if another process has them too, or a power cut may lose some.
    pub(crate) fn announce(&self) {
        if let Some(durability @ Durability::Within(_)) = self.durability {
            tracing::warn!(
                "durability: {durability}: jobs are acknowledged before they are synced to disk, and a power cut loses at most \
                 what was acknowledged within that time"
            );
        }
        match self.shared {
            Shared::No => tracing::info!("store: {}", self.described),
            Shared::Yes => tracing::warn!(
                "store: {}, shared with another process; when that dies, its jobs wait for their leases",
                self.described
            ),
        }
    }
}

impl Database {
    async fn open(url: &StoreUrl) -> Result<Self> {
        Self::open_durable(url, Durability::Sync).await
    }

    async fn open_durable(url: &StoreUrl, durability: Durability) -> Result<Self> {
        Ok(match url {
            // Opening brings the tables up to date.
            StoreUrl::Sqlite(path) => Database::Sqlite(SqliteStore::open_durable(path, durability).await?),
            StoreUrl::Postgres(url) => Database::Postgres(PostgresStore::connect(url).await?),
            StoreUrl::Redis(url) => Database::Redis(RedisStore::connect(url).await?),
            StoreUrl::Remote(url) => {
                let token = std::env::var(WORKER_TOKEN).ok();
                Database::Remote(RemoteStore::connect(url, token.as_deref()).await?)
            }
        })
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Database::Sqlite(store) => Arc::new(store.clone()),
            Database::Postgres(store) => Arc::new(store.clone()),
            Database::Redis(store) => Arc::new(store.clone()),
            Database::Remote(store) => Arc::new(store.clone()),
        }
    }

    fn tables(&self) -> Result<Db> {
        match self {
            Database::Sqlite(store) => Ok(Db::sqlite(store.clone())),
            Database::Postgres(store) => Ok(Db::postgres(store.clone())),
            Database::Redis(_) | Database::Remote(_) => Err("tables cannot be kept there".into()),
        }
    }

    fn with_tables(self, url: &StoreUrl) -> Result<OpenStores> {
        Ok(OpenStores {
            longhaul: Longhaul::new(Metered::over(self.store())),
            db: self.tables()?,
            described: url.to_string(),
            durability: None,
            shared: self.shared(),
        })
    }

    fn shared(&self) -> Shared {
        match self {
            Database::Sqlite(store) if !store.is_owner() => Shared::Yes,
            _ => Shared::No,
        }
    }
}

/// Refuses a durability that the store does not heed: its own settings say when it answers.
fn check_durability(store: &StoreUrl, durability: Durability) -> Result<()> {
    let setting = match (store, durability) {
        (StoreUrl::Sqlite(_), _) | (_, Durability::Sync) => return Ok(()),
        (StoreUrl::Postgres(_), _) => "set synchronous_commit=off for its role instead",
        (StoreUrl::Redis(_), _) => "set appendfsync everysec there instead",
        (StoreUrl::Remote(_), _) => "set it where that server is started",
    };
    Err(format!("--durability {durability}: {store} is no SQLite file: {setting}").into())
}

/// The address of a Redis that is given in parts, as seed 003's own files do: `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`.
fn redis_by_parts(vars: &dyn Fn(&str) -> Option<String>) -> std::result::Result<Option<StoreUrl>, String> {
    let var = |name: &str| vars(name).filter(|value| !value.trim().is_empty());
    let (host, port, password) = (var("REDIS_HOST"), var("REDIS_PORT"), var("REDIS_PASSWORD"));
    let Some(host) = host else {
        let alone = [("REDIS_PORT", port), ("REDIS_PASSWORD", password)];
        return match alone.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(format!("{name}: set REDIS_HOST too, or REDIS_URL in place of both")),
            None => Ok(None),
        };
    };
    let port = port.unwrap_or_else(|| "6379".to_owned());
    let port: u16 =
        port.trim().parse().map_err(|_| format!("REDIS_PORT: must be a port, and is '{port}'"))?;
    // Any character may be part of a password, and some end one in a URL.
    let password = password.map_or_else(String::new, |password| {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!(":{encoded}@")
    });
    let host = host.trim();
    let host =
        if host.contains(':') { format!("[{}]", host.trim_matches(['[', ']'])) } else { host.to_owned() };
    format!("redis://{password}{host}:{port}/0").parse().map(Some).map_err(|e| format!("REDIS_HOST: {e}"))
}

/// Makes a folder that other users of the machine cannot read, because it holds secrets and users' documents.
/// Permissions of an existing folder, as `mkdir` and Docker make it, are reduced.
pub(crate) fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let named = folder.display();
    builder.create(folder).map_err(|e| format!("failed to make the data folder {named}: {e}"))?;
    let failed = |e: std::io::Error| format!("failed to look at the data folder {named}: {e}");
    let target = std::fs::metadata(folder).map_err(failed)?;
    let link = std::fs::symlink_metadata(folder).map_err(failed)?;
    let me = rustix::process::geteuid().as_raw();
    if [&target, &link].iter().any(|file| file.uid() != me && file.uid() != 0) {
        return Err(format!(
            "the data folder {named} belongs to another user, who could read and change all that is in it; use a folder \
             of your own"
        )
        .into());
    }
    if target.mode() & 0o077 == 0 {
        return Ok(());
    }
    match std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)) {
        Ok(()) => tracing::warn!("the data folder {named} was open to others: it is closed now"),
        // A volume of a container's: its mode is its owner's affair.
        Err(e) => tracing::warn!("the data folder {named} is open to others, and cannot be closed: {e}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(flags: [Option<&str>; 2], vars: &[(&str, &str)]) -> std::result::Result<[String; 2], String> {
        let [store, database] = flags.map(|url| url.map(|url| url.parse().expect("a URL")));
        let args = StoreArgs { data: "data".into(), store, database };
        let find = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let (store, database) = args.urls_with(&find).map_err(|error| error.to_string())?;
        Ok([store.to_string(), database.to_string()])
    }

    fn both(url: &str) -> std::result::Result<[String; 2], String> {
        Ok([url.to_owned(), url.to_owned()])
    }

    #[test]
    fn without_a_word_everything_is_in_one_file() {
        assert_eq!(urls([None, None], &[]), both("sqlite:data/longhaul.db"));
        assert_eq!(urls([None, None], &[("DATABASE_URL", " ")]), both("sqlite:data/longhaul.db"));
        assert_eq!(urls([Some("sqlite:x.db"), None], &[]), both("sqlite:x.db"));
    }

    #[test]
    fn jobs_in_redis_leave_the_tables_where_tables_can_be() {
        let redis = "redis://127.0.0.1/1";
        let apart = |database: &str| Ok([redis.to_owned(), database.to_owned()]);
        assert_eq!(urls([Some(redis), None], &[]), apart("sqlite:data/longhaul.db"));
        assert_eq!(urls([None, None], &[("REDIS_URL", redis)]), apart("sqlite:data/longhaul.db"));
        assert_eq!(urls([Some(redis), Some("sqlite:rows.db")], &[]), apart("sqlite:rows.db"));
        let refused = urls([None, Some(redis)], &[]).unwrap_err();
        assert!(refused.contains("tables are kept in"), "{refused}");
    }

    #[test]
    fn postgres_has_both_and_redis_beside_it_has_the_jobs() {
        let (postgres, redis) = ("postgres://127.0.0.1/app", "redis://127.0.0.1/1");
        assert_eq!(urls([None, None], &[("DATABASE_URL", postgres)]), both(postgres));
        let vars = [("DATABASE_URL", postgres), ("REDIS_URL", redis)];
        assert_eq!(urls([None, None], &vars), Ok([redis.to_owned(), postgres.to_owned()]));
        assert_eq!(urls([Some(postgres), None], &[]), both(postgres));
    }

    #[test]
    fn a_redis_in_parts_is_a_store_of_jobs_and_half_of_one_is_refused() {
        let of = |vars: &[(&str, &str)]| urls([None, None], vars).map(|[store, _]| store);
        assert_eq!(of(&[("REDIS_HOST", "cache")]), Ok("redis://cache:6379/0".into()));
        assert_eq!(of(&[("REDIS_HOST", "::1"), ("REDIS_PORT", "6380")]), Ok("redis://[::1]:6380/0".into()));
        let secret = [("REDIS_HOST", "cache"), ("REDIS_PASSWORD", "a/b@c:d")];
        assert_eq!(of(&secret), Ok("redis://:…@cache:6379/0".into()));
        let url = [("REDIS_URL", "redis://other/1"), ("REDIS_HOST", "cache")];
        assert_eq!(of(&url), Ok("redis://other/1".into()));
        assert!(of(&[("REDIS_PASSWORD", "x")]).unwrap_err().starts_with("REDIS_PASSWORD: set REDIS_HOST"));
        assert!(of(&[("REDIS_HOST", "cache"), ("REDIS_PORT", "x")]).unwrap_err().starts_with("REDIS_PORT: "));
        assert_eq!(of(&[("REDIS_HOST", ""), ("REDIS_PASSWORD", "")]), Ok("sqlite:data/longhaul.db".into()));
        assert_eq!(urls([Some("sqlite:x.db"), None], &secret), both("sqlite:x.db"), "a flag wins");
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_bad_variable_is_named() {
        let vars = [("REDIS_URL", "redis://127.0.0.1/1")];
        assert_eq!(urls([Some("sqlite:x.db"), None], &vars), both("sqlite:x.db"));
        let refused = urls([None, None], &[("DATABASE_URL", "mysql://h/d")]).unwrap_err();
        assert!(refused.starts_with("DATABASE_URL: "), "{refused}");
    }

    #[test]
    fn a_folder_that_others_could_read_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mode = || std::fs::metadata(&data).expect("it is there").mode() & 0o777;
        std::fs::create_dir(&data).expect("a folder");
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        make_private_folder(&data).expect("it is ours");
        assert_eq!(mode(), 0o700);
        std::fs::remove_dir(&data).expect("it is empty");
        make_private_folder(&data).expect("it is made");
        assert_eq!(mode(), 0o700);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&data, &link).expect("a link");
        make_private_folder(&link).expect("a link of ours");
    }
}
