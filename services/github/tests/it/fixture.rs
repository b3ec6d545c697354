use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fakes::Double;
use github::{BATCH_QUEUE, Github, QUEUE};
use longhaul::{Clock, JobId, JobRecord, Longhaul, Registry, State, Store, Worker};
use longhaul_sqlite::SqliteStore;
use serde_json::{Value, json};
use service_support::{Auth, Db, Deps, Env, Role, Service, User};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than anything takes on a busy machine; only a test that would hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The service in a folder of its own, on a port of its own. No job runs until [`work`](Self::work) is called.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) double: Arc<Double>,
    pub(crate) longhaul: Longhaul,
    pub(crate) db: Db,
    pub(crate) auth: Auth,
    pub(crate) github: Github,
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    server: JoinHandle<()>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The status and the error's detail.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.json()["detail"].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) type Vars<'a> = &'a [(&'static str, &'a str)];

/// With a token, as most who run this have one.
pub(crate) const TOKEN: Vars<'static> = &[("GITHUB_TOKEN", "t0ken")];

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(TOKEN).await
    }

    pub(crate) async fn with(vars: Vars<'_>) -> Self {
        let double = Arc::new(Double::start().await);
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), double, vars).await
    }

    pub(crate) async fn open(folder: TempDir, clock: Clock, double: Arc<Double>, vars: Vars<'_>) -> Self {
        let store = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
        Self::over(folder, clock, double, vars, db, longhaul).await
    }

    pub(crate) async fn over(
        folder: TempDir,
        clock: Clock,
        double: Arc<Double>,
        vars: Vars<'_>,
        db: Db,
        longhaul: Longhaul,
    ) -> Self {
        let api_url = double.github_url();
        let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let find = move |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone());
        let env = Env::new(folder.path(), move |name| match name {
            "GITHUB_API_URL" => Some(api_url.clone()),
            // A busy machine is no outage.
            "GITHUB_STORE_TIMEOUT" => Some(find(name).unwrap_or_else(|| "60".into())),
            _ => find(name),
        });
        let deps = Deps::new(env, db.clone(), longhaul.clone(), clock.clone()).unwrap();
        let auth = deps.auth.clone();
        let github = Github::open(deps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = github.router().into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { folder, clock, double, longhaul, db, auth, github, url, client, server }
    }

    /// The same folder and the same GitHub, served by a new process, as far as a test can have one.
    pub(crate) async fn reopen(mut self, vars: Vars<'_>) -> Self {
        self.server.abort();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let (clock, double) = (self.clock.clone(), Arc::clone(&self.double));
        drop(self);
        Self::open(folder, clock, double, vars).await
    }

    pub(crate) fn work(&self) -> Worker {
        let mut registry = Registry::default();
        self.github.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(QUEUE, 8).queue(BATCH_QUEUE, 128).start()
    }

    /// A worker of one queue.
    pub(crate) fn work_in(&self, queue: &str, slots: usize) -> Worker {
        let mut registry = Registry::default();
        self.github.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(queue, slots).start()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_text(path, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        self.send(self.client.post(format!("{}{path}", self.url)).body(body)).await
    }

    /// A request of a user who is signed in.
    pub(crate) async fn post_as(&self, user: &str, path: &str, body: &Value) -> Reply {
        let user = User { sub: user.into(), email: None, name: None, role: Role::User };
        let token = self.auth.sign(&user, Duration::from_secs(3_600)).unwrap();
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token);
        self.send(request.body(body.to_string())).await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn analyze(&self, username: &str) -> Reply {
        self.post("/api/v1/github/analyze", &json!({ "username": username })).await
    }

    /// Begins an analysis, and answers its task's id.
    pub(crate) async fn started(&self, username: &str) -> String {
        let reply = self.analyze(username).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply = reply.json();
        assert_eq!(reply["user_data"]["processing"], true, "{reply}");
        reply["user_data"]["task_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, id: &str) -> Reply {
        self.get(&format!("/api/v1/github/task/{id}")).await
    }

    pub(crate) async fn job(&self, id: &str) -> JobRecord {
        self.longhaul.get(&JobId::new(id).unwrap()).await.unwrap().found().unwrap()
    }

    /// Waits until a task has ended, and shows it.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        self.reaches(id, |job| job.state.is_finished()).await;
        self.task(id).await.json()
    }

    pub(crate) async fn in_state(&self, id: &str, state: State) -> JobRecord {
        self.reaches(id, |job| job.state == state).await
    }

    pub(crate) async fn reaches(&self, id: &str, is_so: impl Fn(&JobRecord) -> bool) -> JobRecord {
        let id = JobId::new(id).unwrap();
        let reached = tokio::time::timeout(PATIENCE, async {
            loop {
                let job = self.longhaul.get(&id).await.unwrap().found().unwrap();
                if is_so(&job) {
                    return job;
                }
                self.longhaul.events(&id, job.last_event, 1, Duration::from_secs(5)).await.unwrap();
            }
        });
        match reached.await {
            Ok(job) => job,
            Err(_) => {
                panic!("{id} did not get there in time; what has not ended: {:#?}", self.unfinished().await)
            }
        }
    }

    /// The unfinished jobs, for the message of a failed test.
    async fn unfinished(&self) -> Vec<impl std::fmt::Debug> {
        let states = State::ALL.into_iter().filter(|state| !state.is_finished()).collect();
        let filter = longhaul::JobFilter { states, ..Default::default() };
        let page = longhaul::Page { cursor: None, limit: 10, ..longhaul::Page::default() };
        let jobs = self.longhaul.store().list(&filter, page).await.unwrap().jobs;
        let told = |job: JobRecord| {
            (job.id, job.state, job.attempt, job.run_at, job.started_at, job.worker, job.errors)
        };
        jobs.into_iter().map(told).collect()
    }

    /// All jobs of a kind.
    pub(crate) async fn jobs(&self, kind: &str) -> Vec<JobRecord> {
        let filter = longhaul::JobFilter { kinds: vec![kind.into()], ..Default::default() };
        let page = longhaul::Page { cursor: None, limit: 1_000, ..longhaul::Page::default() };
        self.longhaul.store().list(&filter, page).await.unwrap().jobs
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        self.longhaul.store()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}
