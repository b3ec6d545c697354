use std::path::{Path, PathBuf};
use std::time::Duration;

use fakes::{Away, Double};
use lessons::{Lessons, QUEUE};
use longhaul::{Clock, JobId, JobRecord, Longhaul, Registry, State, Worker};
use longhaul_http::HttpConfig;
use longhaul_sqlite::SqliteStore;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use service_support::{Db, Deps, Env, Service};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than anything takes on a busy machine; only a test that would hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// The path of the double's model.
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// The path of the search in the double's Wikipedia.
pub(crate) const SEARCH: &str = "/w/api.php";

/// The service, and the engine's own API under `/api`, on a listener and in a folder of its own. No job runs until
/// [`work`](Self::work) is called.
pub(crate) struct Fixture {
    folder: PathBuf,
    /// Removes the folder at the end, where it is this fixture's own.
    kept: Option<TempDir>,
    pub(crate) clock: Clock,
    pub(crate) longhaul: Longhaul,
    pub(crate) db: Db,
    pub(crate) url: String,
    pub(crate) client: Client,
    lessons: Lessons,
    #[expect(dead_code, reason = "it serves until it is dropped")]
    server: Server,
}

struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The status and what the error says, which a proper error has in the original document's form.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.body.as_object().unwrap();
        assert_eq!(body.keys().collect::<Vec<_>>(), ["detail"], "{self:?}");
        (self.status, text(&body["detail"]["message"]))
    }
}

/// The variables that configure a test, by name.
pub(crate) type Vars = Vec<(&'static str, String)>;

/// The double's model and Wikipedia.
pub(crate) fn both(double: &Double) -> Vars {
    [wikipedia(double), vec![("LLM_BASE_URL", double.v1()), ("LLM_MODEL", "double-1".into())]].concat()
}

/// The double's Wikipedia, and no model.
pub(crate) fn wikipedia(double: &Double) -> Vars {
    vec![("WIKIPEDIA_API_URL", double.url())]
}

impl Fixture {
    pub(crate) async fn with(vars: Vars) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let f = Self::open(folder.path(), Clock::manual(), vars).await;
        Self { kept: Some(folder), ..f }
    }

    /// In a folder of the caller's.
    pub(crate) async fn open(folder: &Path, clock: Clock, vars: Vars) -> Self {
        let store = SqliteStore::open_with_clock(folder.join("test.db"), clock.clone()).await.unwrap();
        Self::assemble(folder, clock, vars, (Db::sqlite(store.clone()), Longhaul::new(store))).await
    }

    /// With the jobs in another store than the rows, which may go away.
    pub(crate) async fn apart() -> (Self, Away) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
        let rows = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let (jobs, away) = Away::store(clock.clone());
        let data = (Db::sqlite(rows).with_jobs_in(jobs.clone()), jobs);
        let f = Self::assemble(folder.path(), clock, vec![], data).await;
        (Self { kept: Some(folder), ..f }, away)
    }

    pub(crate) async fn on_postgres(vars: Vars) -> Self {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        let store = longhaul_postgres::PostgresStore::connect(&url).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = (Db::postgres(store.clone()), Longhaul::new(store));
        let f = Self::assemble(folder.path(), Clock::system(), vars, data).await;
        Self { kept: Some(folder), ..f }
    }

    async fn assemble(folder: &Path, clock: Clock, vars: Vars, (db, longhaul): (Db, Longhaul)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let find = move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        let env = Env::new(folder, find);
        let deps = Deps::new(env, db.clone(), longhaul.clone(), clock.clone()).unwrap();
        let lessons = Lessons::open(deps).await.unwrap();
        let http = HttpConfig { clock: clock.clone(), ..HttpConfig::default() };
        let router = lessons.router().nest("/api", longhaul_http::router(longhaul.clone(), http));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self {
            folder: folder.to_owned(),
            kept: None,
            clock,
            longhaul,
            db,
            url,
            client,
            lessons,
            server: Server(server),
        }
    }

    /// The same folder opened by a new server, as after a crash.
    pub(crate) async fn reopen(mut self, vars: Vars) -> Self {
        let (folder, kept, clock) = (self.folder.clone(), self.kept.take(), self.clock.clone());
        drop(self);
        let f = Self::open(&folder, clock, vars).await;
        Self { kept, ..f }
    }

    pub(crate) fn work(&self) -> Worker {
        self.work_at(8)
    }

    /// A worker with so many slots.
    pub(crate) fn work_at(&self, slots: usize) -> Worker {
        let mut registry = Registry::default();
        self.lessons.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(QUEUE, slots).start()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<String>) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {status} {text}"));
        Reply { status, headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None).await
    }

    pub(crate) async fn post(&self, body: &Value) -> Reply {
        self.send("POST", "/lessons", Some(body.to_string())).await
    }

    /// Asks for a lesson, and answers its task.
    pub(crate) async fn start(&self, subject: &str, topic: &str) -> String {
        let body = json!({ "subject": subject, "topic": topic, "user_id": "user123" });
        let reply = self.post(&body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        text(&reply.body["task_id"])
    }

    pub(crate) async fn status(&self, task: &str) -> Value {
        let reply = self.get(&format!("/lessons/status/{task}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Waits until a task has ended, and shows it.
    pub(crate) async fn ended(&self, task: &str) -> Value {
        self.job_ended(task).await;
        self.status(task).await
    }

    /// Waits until a task's job has ended.
    pub(crate) async fn job_ended(&self, task: &str) -> JobRecord {
        let job = self.longhaul.wait(&job_id(task), PATIENCE).await.unwrap().found().unwrap();
        assert!(job.state.is_finished(), "it has not ended in time: {job:?}");
        job
    }

    /// Waits until attempt `attempt` of a task's job has failed and the next one waits for its time.
    pub(crate) async fn fails_once_more(&self, task: &str, attempt: u32) -> JobRecord {
        self.becomes(task, |job| job.state == State::Scheduled && job.attempt == attempt).await
    }

    pub(crate) async fn becomes(&self, task: &str, is_so: impl Fn(&JobRecord) -> bool) -> JobRecord {
        let id = job_id(task);
        let waiting = async {
            loop {
                let job = self.longhaul.get(&id).await.unwrap().found().unwrap();
                if is_so(&job) {
                    return job;
                }
                self.longhaul.events(&id, job.last_event, 1, Duration::from_secs(5)).await.unwrap();
            }
        };
        let became = tokio::time::timeout(PATIENCE, waiting).await;
        became.unwrap_or_else(|_| panic!("{id} did not get there in time"))
    }

    /// The versions of a topic, oldest first.
    pub(crate) async fn versions(&self, subject: &str, topic: &str) -> Vec<String> {
        let reply = self.get(&format!("/lessons/{subject}/{topic}/versions")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["versions"].as_array().unwrap().iter().rev().map(|made| text(&made["version"])).collect()
    }
}

pub(crate) fn job_id(task: &str) -> JobId {
    JobId::new(task).unwrap()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
