use std::time::Duration;

use curriculum::{Curriculum, QUEUE};
use fakes::{Away, Double};
use longhaul::{Clock, JobFilter, JobId, JobRecord, Longhaul, Page, Registry, State, Worker};
use longhaul_sqlite::SqliteStore;
use serde_json::{Value, json};
use service_support::{Db, Deps, Env, Service};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than anything takes on a busy machine; only a test that would hang meets it.
const PATIENCE: Duration = Duration::from_secs(300);

/// The path of every request to the model.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// The service in a folder of its own, on a port of its own. Nothing runs until [`work`](Self::work) is called.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) longhaul: Longhaul,
    pub(crate) db: Db,
    pub(crate) curriculum: Curriculum,
    pub(crate) url: String,
    client: reqwest::Client,
    server: JoinHandle<()>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// The status and the error, where it has the form of one.
    pub(crate) fn error(&self) -> (u16, &str) {
        assert_eq!(self.body["success"], false, "{self:?}");
        assert_eq!(self.body.as_object().unwrap().len(), 2, "{self:?}");
        (self.status, self.body["error"].as_str().unwrap())
    }
}

impl Fixture {
    /// With no model: the outline writes.
    pub(crate) async fn alone() -> Self {
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), None).await
    }

    /// With the double as its model.
    pub(crate) async fn with(double: &Double) -> Self {
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), Some(double)).await
    }

    /// With the jobs in another store than the rows, which may go away.
    pub(crate) async fn apart() -> (Self, Away) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
        let store = sqlite(&folder, &clock).await;
        let (jobs, away) = Away::store(clock.clone());
        let db = Db::sqlite(store).with_jobs_in(jobs.clone());
        (Self::assemble(folder, clock, None, (db, jobs)).await, away)
    }

    /// On Postgres.
    pub(crate) async fn on_postgres() -> Self {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        let store = longhaul_postgres::PostgresStore::connect(&url).await.unwrap();
        let data = (Db::postgres(store.clone()), Longhaul::new(store));
        Self::assemble(tempfile::tempdir().unwrap(), Clock::system(), None, data).await
    }

    pub(crate) async fn open(folder: TempDir, clock: Clock, double: Option<&Double>) -> Self {
        let store = sqlite(&folder, &clock).await;
        let data = (Db::sqlite(store.clone()), Longhaul::new(store));
        Self::assemble(folder, clock, double, data).await
    }

    async fn assemble(
        folder: TempDir,
        clock: Clock,
        double: Option<&Double>,
        (db, longhaul): (Db, Longhaul),
    ) -> Self {
        // Once in a process: the client of the tests needs it too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let llm = double.map(Double::v1);
        let env = Env::new(folder.path(), move |name| match name {
            "LLM_BASE_URL" => llm.clone(),
            "LLM_MODEL" => Some("double-1".to_owned()),
            _ => None,
        });
        let deps = Deps::new(env, db.clone(), longhaul.clone(), clock.clone()).unwrap();
        let curriculum = Curriculum::open(deps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = curriculum.router();
        let server = tokio::spawn(async move {
            // It serves until it is aborted.
            let _ = axum::serve(listener, router).await;
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { folder, clock, longhaul, db, curriculum, url, client, server }
    }

    /// The same folder opened by a new server, with the outline or with the double.
    pub(crate) async fn reopen(mut self, double: Option<&Double>) -> Self {
        self.server.abort();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let clock = self.clock.clone();
        drop(self);
        Self::open(folder, clock, double).await
    }

    pub(crate) fn work(&self) -> Worker {
        self.work_with(4)
    }

    pub(crate) fn work_with(&self, slots: usize) -> Worker {
        let mut registry = Registry::default();
        self.curriculum.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(QUEUE, slots).start()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.url)).body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{status} {e}: {text}"));
        Reply { status, body }
    }

    /// Asks for a workflow with an `Idempotency-Key`.
    pub(crate) async fn keyed(&self, body: &Value, key: &str) -> Reply {
        let url = format!("{}/api/v3/workflow", self.url);
        let request = self.client.post(url).header("idempotency-key", key).body(body.to_string());
        let response = request.send().await.unwrap();
        Reply { status: response.status().as_u16(), body: response.json().await.unwrap() }
    }

    /// An answer whose body has not been read.
    pub(crate) async fn fetch(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    /// `…/step10` of a workflow, or what is below it.
    pub(crate) async fn step10(&self, method: &str, workflow: &str, below: &str) -> Reply {
        self.send(method, &format!("/api/v3/workflow/{workflow}/step10{below}"), "").await
    }

    pub(crate) async fn start(&self, workflow: &str) -> Value {
        let reply = self.step10("POST", workflow, "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    pub(crate) async fn status(&self, workflow: &str) -> Value {
        let reply = self.step10("GET", workflow, "/status").await;
        assert_eq!((reply.status, &reply.body["success"]), (200, &json!(true)), "{reply:?}");
        reply.body["data"].clone()
    }

    /// Makes a workflow and answers its id.
    pub(crate) async fn workflow(&self, modules: &[Value]) -> String {
        self.workflow_of(None, modules).await
    }

    /// The same for a user.
    pub(crate) async fn workflow_of(&self, user: Option<&str>, modules: &[Value]) -> String {
        let mut body = json!({ "title": "Computer Science", "modules": modules });
        if let Some(user) = user {
            body["userId"] = user.into();
        }
        let reply = self.send("POST", "/api/v3/workflow", body.to_string()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.body["data"]["_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn job(&self, workflow: &str, module: usize) -> Option<JobRecord> {
        self.longhaul.get(&job_id(workflow, module)).await.unwrap().found()
    }

    /// Waits until a module's job is there and is as wanted.
    pub(crate) async fn becomes(
        &self,
        workflow: &str,
        module: usize,
        is_so: impl Fn(&JobRecord) -> bool,
    ) -> JobRecord {
        let id = job_id(workflow, module);
        tokio::time::timeout(PATIENCE, async {
            loop {
                let Some(job) = self.job(workflow, module).await else {
                    // Made by the completion of the one before, which the reader of that one hears of.
                    let previous = job_id(workflow, module.checked_sub(1).unwrap());
                    self.longhaul.wait(&previous, Duration::from_secs(5)).await.unwrap();
                    continue;
                };
                if is_so(&job) {
                    return job;
                }
                self.longhaul.events(&id, job.last_event, 1, Duration::from_secs(5)).await.unwrap();
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{id} did not get there in time"))
    }

    pub(crate) async fn reaches(&self, workflow: &str, module: usize, state: State) -> JobRecord {
        self.becomes(workflow, module, |job| job.state == state).await
    }

    /// Waits until attempt `attempt` of a module has failed and the next one waits for its time.
    pub(crate) async fn fails_once_more(&self, workflow: &str, module: usize, attempt: u32) -> JobRecord {
        self.becomes(workflow, module, |job| job.state == State::Scheduled && job.attempt == attempt).await
    }

    /// Waits until the job of the last of so many modules has ended. Those before it may have been cleared away.
    pub(crate) async fn completes(&self, workflow: &str, modules: usize) {
        tokio::time::timeout(PATIENCE, async {
            loop {
                let details = self.status(workflow).await["jobs"]["details"].clone();
                let last = details.as_array().unwrap().last().cloned().unwrap_or_default();
                let id = JobId::new(last["jobId"].as_str().expect("a job is there")).unwrap();
                let ended = self.longhaul.wait(&id, PATIENCE).await.unwrap().found();
                assert!(ended.is_none_or(|job| job.state == State::Completed), "{id} did not complete");
                if last["moduleIndex"] == modules - 1 {
                    return;
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("workflow {workflow} did not complete in time"));
    }

    /// Every job that is there, newest first.
    pub(crate) async fn jobs(&self) -> Vec<JobRecord> {
        let (mut jobs, mut cursor) = (Vec::new(), None);
        loop {
            let page = Page { cursor, limit: 1_000, ..Page::default() };
            let page = self.longhaul.store().list(&JobFilter::default(), page).await.unwrap();
            jobs.extend(page.jobs);
            cursor = page.next;
            if cursor.is_none() {
                return jobs;
            }
        }
    }
}

async fn sqlite(folder: &TempDir, clock: &Clock) -> SqliteStore {
    SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap()
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn job_id(workflow: &str, module: usize) -> JobId {
    JobId::new(format!("step10-{workflow}-module-{module}")).unwrap()
}

/// So many modules of `hours` each.
pub(crate) fn modules(count: usize, hours: f64) -> Vec<Value> {
    let module = |index: usize| {
        json!({
            "code": format!("CS{:03}", index + 1),
            "title": format!("Module {}", index + 1),
            "contactHours": hours,
            "outcomes": [format!("Explain idea {}", index + 1), "Apply it to a case"],
        })
    };
    (0..count).map(module).collect()
}
