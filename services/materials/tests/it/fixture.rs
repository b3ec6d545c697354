use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use fakes::Double;
use http_body_util::BodyExt;
use longhaul::{Clock, JobId, JobRecord, Longhaul, Registry, State, Worker};
use longhaul_sqlite::SqliteStore;
use materials::{Materials, QUEUE};
use serde_json::{Value, json};
use service_support::{Auth, Db, Deps, Env, Role, Service, User, Write};
use tempfile::TempDir;
use tower::ServiceExt;

/// Longer than anything takes on a busy machine; only a test that would hang meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// The service in a folder of its own. Nothing runs until [`work`](Self::work) is called.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    /// None on Postgres.
    pub(crate) store: Option<SqliteStore>,
    pub(crate) longhaul: Longhaul,
    pub(crate) db: Db,
    pub(crate) auth: Auth,
    pub(crate) materials: Materials,
    pub(crate) router: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The status and the error's detail.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["detail"].as_str().unwrap_or_default().to_owned())
    }
}

impl Fixture {
    /// With no outside systems.
    pub(crate) async fn alone() -> Self {
        Self::open(tempfile::tempdir().unwrap(), Clock::system(), &[]).await
    }

    /// With some of the double's systems, named by the variables that configure them.
    pub(crate) async fn with(double: &Double, variables: &[&'static str]) -> Self {
        let vars = Self::variables(double, variables);
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), &vars).await
    }

    pub(crate) fn variables(double: &Double, variables: &[&'static str]) -> Vec<(&'static str, String)> {
        let value = |name: &str| match name {
            "AI_BRAIN_ENDPOINT" => double.url(),
            _ => double.v1(),
        };
        let mut vars: Vec<_> = variables.iter().map(|name| (*name, value(name))).collect();
        vars.extend([("EMBEDDING_MODEL", "small".to_owned()), ("LLM_MODEL", "double-1".to_owned())]);
        vars
    }

    pub(crate) async fn open(folder: TempDir, clock: Clock, vars: &[(&'static str, String)]) -> Self {
        Self::open_with(folder, clock, vars, Longhaul::new).await
    }

    /// The same with another view of the jobs' store.
    pub(crate) async fn open_with(
        folder: TempDir,
        clock: Clock,
        vars: &[(&'static str, String)],
        longhaul: impl FnOnce(SqliteStore) -> Longhaul,
    ) -> Self {
        let store = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let data = (Db::sqlite(store.clone()), longhaul(store.clone()));
        Self { store: Some(store), ..Self::assemble(folder, clock, vars, data).await }
    }

    /// With the jobs in another store than the rows.
    pub(crate) async fn with_jobs_in(longhaul: Longhaul) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let store = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let data = (Db::sqlite(store).with_jobs_in(longhaul.clone()), longhaul);
        Self::assemble(folder, clock, &[], data).await
    }

    pub(crate) async fn on_postgres(vars: &[(&'static str, String)]) -> Self {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        let store = longhaul_postgres::PostgresStore::connect(&url).await.unwrap();
        let data = (Db::postgres(store.clone()), Longhaul::new(store));
        Self::assemble(tempfile::tempdir().unwrap(), Clock::system(), vars, data).await
    }

    async fn assemble(
        folder: TempDir,
        clock: Clock,
        vars: &[(&'static str, String)],
        (db, longhaul): (Db, Longhaul),
    ) -> Self {
        let vars = vars.to_vec();
        let find = move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        let env = Env::new(folder.path(), find);
        let deps = Deps::new(env, db.clone(), longhaul.clone(), clock.clone()).unwrap();
        let auth = deps.auth.clone();
        let materials = Materials::open(deps).await.unwrap();
        let router = materials.router();
        Self { folder, clock, store: None, longhaul, db, auth, materials, router }
    }

    /// The same folder opened by a new server, with other variables.
    pub(crate) async fn reopen(self, vars: &[(&'static str, String)]) -> Self {
        let Self { folder, clock, .. } = self;
        Self::open(folder, clock, vars).await
    }

    pub(crate) fn work(&self) -> Worker {
        let mut registry = Registry::default();
        self.materials.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(QUEUE, 2).start()
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let user = User { sub: user.into(), email: None, name: None, role: Role::User };
        self.auth.sign(&user, Duration::from_secs(30 * 86_400)).unwrap()
    }

    /// A request of Ada's.
    pub(crate) async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.call_as("ada", method, path, body).await
    }

    pub(crate) async fn call_as(&self, user: &str, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token(user)))
            .body(body.into());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, body.to_string()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn course(&self) -> String {
        self.course_of("ada").await
    }

    pub(crate) async fn course_of(&self, user: &str) -> String {
        let reply = self.call_as(user, "POST", "/courses", json!({ "name": "Biology" }).to_string()).await;
        assert_eq!(reply.status, 201);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn upload(&self, course: &str, name: &str, bytes: &[u8]) -> Reply {
        self.upload_as("ada", course, name, bytes).await
    }

    pub(crate) async fn upload_as(&self, user: &str, course: &str, name: &str, bytes: &[u8]) -> Reply {
        let request = Request::builder()
            .method("POST")
            .uri(format!("/courses/{course}/materials"))
            .header("authorization", format!("Bearer {}", self.token(user)))
            .header("content-type", FORM)
            .body(Body::from(form("file", name, bytes)));
        self.send(request.unwrap()).await
    }

    /// Uploads what is to be accepted, and answers its id.
    pub(crate) async fn uploaded(&self, course: &str, name: &str, bytes: &[u8]) -> String {
        let reply = self.upload(course, name, bytes).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the newest processing of a material has ended, and shows the material.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let job = self.longhaul.wait(&process_job(id), PATIENCE).await.unwrap().found();
        assert!(job.is_none_or(|job| job.state.is_finished()), "it has not ended in time");
        self.get(&format!("/materials/{id}")).await.json()
    }

    /// Waits until a job is in `state`.
    pub(crate) async fn reaches(&self, id: &JobId, state: State) -> JobRecord {
        self.becomes(id, |job| job.state == state).await
    }

    /// Waits until attempt `attempt` of a job has failed and the next one waits for its time.
    pub(crate) async fn fails_once_more(&self, id: &JobId, attempt: u32) -> JobRecord {
        self.becomes(id, |job| job.state == State::Scheduled && job.attempt == attempt).await
    }

    async fn becomes(&self, id: &JobId, is_so: impl Fn(&JobRecord) -> bool) -> JobRecord {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let job = self.longhaul.get(id).await.unwrap().found().unwrap();
                if is_so(&job) {
                    return job;
                }
                self.longhaul.events(id, job.last_event, 1, Duration::from_secs(5)).await.unwrap();
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{id} did not get there in time"))
    }

    /// Waits until every job of a kind has ended.
    pub(crate) async fn all_ended(&self, kind: &str) -> Vec<JobRecord> {
        let filter = longhaul::JobFilter { kinds: vec![kind.into()], ..Default::default() };
        let page = longhaul::Page { cursor: None, limit: 100, ..longhaul::Page::default() };
        let jobs = self.longhaul.store().list(&filter, page).await.unwrap().jobs;
        let mut ended = Vec::new();
        for job in jobs {
            ended.extend(self.longhaul.wait(&job.id, PATIENCE).await.unwrap().found());
        }
        ended
    }

    /// The number of rows of a table that belong to a material.
    pub(crate) async fn rows(&self, table: &str, material: &str) -> i64 {
        let sql = format!("SELECT count(*) AS n FROM {table} WHERE material_id = $1");
        self.db.read(sql, vec![material.into()]).await.unwrap()[0].get("n").unwrap()
    }

    /// From now on no answer to a request with an idempotency key can be kept.
    pub(crate) async fn keeps_no_answers(&self) {
        let fail =
            "CREATE TRIGGER no_answers BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no answers'); END";
        self.write(fail).await;
    }

    pub(crate) async fn keeps_answers_again(&self) {
        self.write("DROP TRIGGER no_answers").await;
    }

    async fn write(&self, sql: &'static str) {
        assert!(self.db.commit(vec![Write::new(sql, vec![])], vec![]).await.unwrap().is_done());
    }

    /// The bytes that the database takes.
    pub(crate) async fn database_bytes(&self) -> u64 {
        let sql = "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()";
        self.db.read(sql, vec![]).await.unwrap()[0].get("bytes").unwrap()
    }

    /// The names of all files that the service keeps, half-made ones included.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for folder in ["materials", "materials-incoming"] {
            let folder = self.folder.path().join("files").join(folder);
            files.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        }
        files
    }
}

/// The id of a material's first processing.
pub(crate) fn process_job(material: &str) -> JobId {
    JobId::new(format!("materials-{material}")).unwrap()
}

pub(crate) const FORM: &str = "multipart/form-data; boundary=XyZ";

/// A form with one file.
pub(crate) fn form(field: &str, name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut form = form_head(field, name);
    form.extend_from_slice(bytes);
    form.extend_from_slice(b"\r\n--XyZ--\r\n");
    form
}

pub(crate) fn form_head(field: &str, name: &str) -> Vec<u8> {
    format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
         Content-Type: application/pdf\r\n\r\n"
    )
    .into_bytes()
}

pub(crate) fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
