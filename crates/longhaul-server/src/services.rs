//! The services that this server can run: the one list of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use futures::future::BoxFuture;
use longhaul::{Clock, Longhaul, QueueSlots, Registry};
use longhaul_sqlite::SqliteStore;
use longhaul_webhooks::HttpRequest;
use service_support::{
    Db, DbError, Deps, Env, EraseError, Erased, Erasure, Load, OpenError, Repeats, Schema, Service, Tables,
};
use utoipa::openapi::OpenApi;

use crate::Result;
use crate::stores::{OpenStores, StoreArgs, make_private_folder};

/// All services of this build, in the order in which they are opened and listed.
fn known() -> Vec<Known> {
    vec![
        #[cfg(feature = "services")]
        Known::of::<sessions::Sessions>(),
        #[cfg(feature = "services")]
        Known::of::<github::Github>(),
        #[cfg(feature = "services")]
        Known::of::<lessons::Lessons>(),
        #[cfg(feature = "services")]
        Known::of::<curriculum::Curriculum>(),
        #[cfg(feature = "services")]
        Known::of::<materials::Materials>(),
    ]
}

/// A service that can be opened.
#[cfg_attr(not(feature = "services"), allow(dead_code, reason = "a build without services knows none"))]
struct Known {
    name: &'static str,
    about: &'static str,
    schema: fn() -> Schema,
    open: fn(Deps) -> Opening,
}

type Opening = BoxFuture<'static, Result<Box<dyn Service>, OpenError>>;

impl Known {
    #[cfg(feature = "services")]
    fn of<S: Service>() -> Self {
        let open =
            |deps| -> Opening { Box::pin(async { Ok(Box::new(S::open(deps).await?) as Box<dyn Service>) }) };
        Self { name: S::name(), about: S::about(), schema: S::schema, open }
    }
}

/// The flag that selects services.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selection {
    /// The services to run, separated by commas [default: all of them]
    #[arg(long, env = "LONGHAUL_SERVICES", value_name = "LIST", value_delimiter = ',', value_parser = names())]
    services: Option<Vec<String>>,
}

impl Selection {
    /// All services of this build.
    pub(crate) const ALL: Self = Self { services: None };
}

fn names() -> PossibleValuesParser {
    known().into_iter().map(|known| PossibleValue::new(known.name).help(known.about)).into()
}

/// The chosen services, open: their tables are there and their jobs can be run.
pub(crate) struct Services {
    pub(crate) deps: Deps,
    open: Vec<(&'static str, Box<dyn Service>)>,
}

/// Opens the chosen services: makes or updates their tables, and makes their kinds of job known. `listener` is the
/// address that this process serves them on, if it does, and `base_path` the path of the proxy in front of it.
pub(crate) async fn open(
    selection: &Selection,
    args: &StoreArgs,
    stores: &OpenStores,
    listener: Option<SocketAddr>,
    base_path: &str,
) -> Result<Services> {
    let deps = deps(&args.data, stores)?;
    Ok(Services::open(selection, Deps { listener, base_path: base_path.into(), ..deps }).await?)
}

/// The tables of all services of this build.
pub(crate) fn tables() -> Result<Tables, DbError> {
    let schemas: Vec<(&'static str, Schema)> =
        known().iter().map(|known| (known.name, (known.schema)())).collect();
    Tables::of(&schemas)
}

/// Opens all services on a folder and a file of their own, which are removed again, and tells what they would work with: their
/// variables are read, and nothing that is kept is touched.
pub(crate) async fn rehearse(data: &Path) -> Result<BTreeMap<String, String>> {
    let scratch = std::env::temp_dir().join(format!("longhaul-{}", longhaul::process_id()));
    make_private_folder(&scratch)?;
    let opened = rehearse_in(&scratch, data).await;
    let _ = std::fs::remove_dir_all(&scratch);
    opened
}

async fn rehearse_in(scratch: &Path, data: &Path) -> Result<BTreeMap<String, String>> {
    let models = data.join("models");
    let env = Env::new(scratch, move |name| match (name, std::env::var(name).ok()) {
        // The folder of files is stamped by the first process that opens it.
        ("STORAGE_URL", _) => None,
        ("EMBEDDING_MODEL_DIR", None) if models.is_dir() => Some(models.display().to_string()),
        (_, value) => value,
    });
    let store = SqliteStore::open(scratch.join("longhaul.db")).await?;
    let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
    let deps = Deps::new(env, db, longhaul, Clock::system())?;
    Ok(Services::open(&Selection { services: None }, deps).await?.details())
}

fn deps(data: &Path, stores: &OpenStores) -> Result<Deps, OpenError> {
    Deps::new(Env::of_process(data), stores.db.clone(), stores.longhaul.clone(), Clock::system())
}

impl Services {
    async fn open(selection: &Selection, deps: Deps) -> Result<Self, OpenError> {
        let mut open = Vec::new();
        for known in known() {
            let chosen =
                selection.services.as_ref().is_none_or(|chosen| chosen.iter().any(|name| name == known.name));
            if chosen {
                open.push((known.name, (known.open)(deps.clone()).await?));
            }
        }
        deps.longhaul.declare::<HttpRequest>();
        Ok(Self { deps, open })
    }

    /// Erases, or counts, the data of a user in the services, in their order, and then in their shared tables; `told`
    /// is called for each that has some.
    pub(crate) async fn erase(
        &self,
        erasure: &Erasure,
        mut told: impl FnMut(&'static str, Erased),
    ) -> Result<(), EraseError> {
        for (name, service) in &self.open {
            told(name, service.erase(erasure).await?);
        }
        let mut shared = Erased::default();
        erasure.shared(&mut shared).await?;
        told("all services", shared);
        Ok(())
    }

    /// True in a build that has no services.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Their routes, from the root.
    pub(crate) fn routes(&self) -> Router {
        self.open.iter().map(|(_, service)| service.router()).fold(Router::new(), Router::merge)
    }

    /// The OpenAPI documents of their routes.
    pub(crate) fn documents(&self) -> Vec<OpenApi> {
        self.open.iter().map(|(_, service)| service.document()).collect()
    }

    /// Their kinds of jobs.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        self.open.iter().for_each(|(_, service)| service.register(&mut registry));
        registry
    }

    /// The queues that a worker serves for them, with `heavy` slots where a job keeps a core busy and `waiting` slots
    /// where it waits for others.
    pub(crate) fn queues(&self, heavy: usize, waiting: usize) -> Vec<QueueSlots> {
        let slots = |load| match load {
            Load::Core => heavy,
            Load::Waiting => waiting,
        };
        let queues = self.open.iter().flat_map(|(_, service)| service.queues());
        queues.map(|queue| QueueSlots { queue: queue.name.to_owned(), slots: slots(queue.load) }).collect()
    }

    /// Starts the work of a server's first minutes in the background; what fails now is tried again at the next start.
    pub(crate) fn start(self) {
        self.deps.auth.look_up_keys();
        tokio::spawn(tidy(self.deps.db, self.deps.repeats));
        for (name, service) in self.open {
            tokio::spawn(async move {
                if let Err(error) = service.start().await {
                    tracing::error!("failed to look after {name} at start-up: {error}");
                }
            });
        }
    }

    /// Logs at start-up what is on and what is missing.
    pub(crate) fn announce(&self) {
        for (what, how) in self.details() {
            tracing::info!("{what}: {how}");
        }
    }

    /// The names of the services, and what does the work that something outside may do, for the log and for `/health`.
    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        // A build without services has nothing to compose.
        let composer = (!self.open.is_empty()).then(|| match &self.deps.config.llm {
            Some(llm) => llm.model.clone(),
            None => format!("{}, for no LLM_BASE_URL is set", self.deps.providers.composer.generator()),
        });
        let names: Vec<&str> = self.open.iter().map(|(name, _)| *name).collect();
        let own = self.open.iter().flat_map(|(_, service)| service.health());
        let names = if names.is_empty() { "none in this build".into() } else { names.join(", ") };
        let ours = [("services", Some(names)), ("composer", composer)];
        let all = ours.into_iter().filter_map(|(what, how)| Some((what, how?))).chain(own);
        all.map(|(what, how)| (what.to_owned(), how)).collect()
    }

    /// The secret that the users' tokens are signed with.
    pub(crate) fn secret(&self) -> Result<Vec<u8>> {
        let config = &self.deps.config.auth;
        match &config.secret {
            Some(secret) => Ok(secret.clone().into_bytes()),
            None => {
                let file = &config.secret_file;
                std::fs::read(file).map_err(|e| format!("failed to read {}: {e}", file.display()).into())
            }
        }
    }
}

/// The pause between two looks at the outbox, which holds what could not be enqueued right after its commit, and at the
/// answers that are kept for repeated requests.
const TIDY_PAUSE: Duration = Duration::from_secs(60);

/// Enqueues jobs whose rows were committed while their store was unreachable, or before a crash of their process, and
/// removes expired answers.
async fn tidy(db: Db, repeats: Repeats) {
    loop {
        match db.deliver().await {
            Ok(0) => {}
            Ok(delivered) => tracing::info!("enqueued {delivered} jobs that had waited in the outbox"),
            Err(error) => tracing::warn!("failed to enqueue jobs that wait in the outbox: {error}"),
        }
        if let Err(error) = repeats.forget_old().await {
            tracing::warn!("failed to forget the answers to old requests: {error}");
        }
        // The jitter keeps many nodes from doing the same at once.
        tokio::time::sleep(TIDY_PAUSE.mul_f64(rand::random_range(0.8..1.2))).await;
    }
}

#[cfg(all(test, feature = "services"))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use super::*;

    const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");

    #[tokio::test]
    async fn every_variable_that_a_service_reads_is_in_the_page_on_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&asked);
        let env = Env::new(folder.path(), move |name| {
            seen.lock().expect("no test holds it").insert(name);
            // With every outside system there, its other variables are asked for too.
            let is_address = name != "STORAGE_URL" && (name.ends_with("_URL") || name.ends_with("_ENDPOINT"));
            (is_address || name.ends_with("_MODEL")).then(|| "http://127.0.0.1/v1".into())
        });
        let store = SqliteStore::open(folder.path().join("test.db")).await.expect("a store");
        let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
        let deps = Deps::new(env, db, longhaul, Clock::system()).expect("a configuration");
        let all = Services::open(&Selection { services: None }, deps).await.expect("all services open");
        assert_eq!(all.open.len(), known().len());
        let asked = asked.lock().expect("no test holds it");
        assert!(asked.contains("GITHUB_TOKEN") && asked.contains("STORAGE_URL"), "{asked:?}");
        for variable in asked.iter() {
            assert!(CONFIGURATION.contains(&format!("`{variable}`")), "{variable} is not explained");
        }
    }

    /// The columns in a database, of which there are more once the services have made theirs.
    async fn columns_in(db: &Db, sql: &'static str) -> BTreeSet<(String, String)> {
        let rows = db.read(sql, vec![]).await.expect("the catalog");
        let pair = |row: &service_support::Row| {
            (row.get("in_table").expect("a table"), row.get("of_column").expect("a column"))
        };
        rows.iter().map(pair).collect()
    }

    const IN_SQLITE: &str = "SELECT t.name AS in_table, c.name AS of_column \
                             FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'";
    const IN_POSTGRES: &str = "SELECT CAST(table_name AS TEXT) AS in_table, CAST(column_name AS TEXT) AS of_column \
         FROM information_schema.columns WHERE table_schema = current_schema()";

    /// Fails where a table or a column of a service is not moved to another database.
    async fn all_is_moved(db: Db, longhaul: Longhaul, catalog: &'static str) {
        let folder = tempfile::tempdir().expect("a folder");
        let before = columns_in(&db, catalog).await;
        let deps = Deps::new(Env::new(folder.path(), |_| None), db.clone(), longhaul, Clock::system());
        let deps = deps.expect("a configuration");
        Services::open(&Selection::ALL, deps).await.expect("all services open");
        let made: BTreeSet<(String, String)> =
            columns_in(&db, catalog).await.difference(&before).cloned().collect();
        let tables = tables().expect("the tables of all services");
        let moved: BTreeSet<(String, String)> =
            tables.columns().map(|(table, column)| (table.to_owned(), column.to_owned())).collect();
        // What says which migrations have run is made by running them.
        let made: BTreeSet<(String, String)> =
            made.into_iter().filter(|(table, _)| table != "service_migrations").collect();
        assert_eq!(made, moved, "each table is named in its service's `schema`");
    }

    #[tokio::test]
    async fn every_table_of_every_service_is_moved_from_sqlite() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("test.db")).await.expect("a store");
        let db = Db::sqlite(store.clone());
        all_is_moved(db.clone(), Longhaul::new(store), IN_SQLITE).await;
        let tables = tables().expect("the tables of all services");
        let place = |name: &str| tables.columns().position(|(table, _)| table == name);
        let sql = "SELECT t.name AS child, f.\"table\" AS parent \
                   FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) f";
        let references = db.read(sql, vec![]).await.expect("the catalog");
        let mut seen = 0;
        for reference in references {
            let (child, parent): (String, String) =
                (reference.get("child").expect("a name"), reference.get("parent").expect("a name"));
            if let (Some(child_at), Some(parent_at)) = (place(&child), place(&parent)) {
                seen += 1;
                assert!(parent_at < child_at, "{child} refers to {parent}, whose rows must be there first");
            }
        }
        assert!(seen >= 3, "modules, materials and chats refer to others");
    }

    #[tokio::test]
    async fn every_table_of_every_service_is_moved_from_postgres() {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        let store = longhaul_postgres::PostgresStore::connect(&url).await.expect("a store");
        all_is_moved(Db::postgres(store.clone()), Longhaul::new(store), IN_POSTGRES).await;
    }

    #[tokio::test]
    async fn only_the_chosen_services_are_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("test.db")).await.expect("a store");
        let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
        let deps = Deps::new(Env::new(folder.path(), |_| None), db, longhaul, Clock::system());
        let selection = Selection { services: Some(vec!["materials".into(), "lessons".into()]) };
        let services =
            Services::open(&selection, deps.expect("a configuration")).await.expect("two services");
        let queues: Vec<(String, usize)> =
            services.queues(2, 64).into_iter().map(|queue| (queue.queue, queue.slots)).collect();
        assert_eq!(queues, [("lessons".to_owned(), 64), ("materials".to_owned(), 2)]);
        assert_eq!(services.details()["services"], "lessons, materials");
    }
}
