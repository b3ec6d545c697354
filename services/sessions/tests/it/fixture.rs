use std::time::Duration;

use fakes::{Away, Double};
use longhaul::{Clock, JobId, JobRecord, Longhaul, MemoryStore, Registry, State, Worker};
use longhaul_sqlite::SqliteStore;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use service_support::{Auth, Db, Deps, Env, Role, Service, User};
use sessions::{QUEUE, Sessions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longer than anything takes on a busy machine; only a test that would hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The service on a listener and in a folder of its own. No job runs until [`work`](Self::work) is called.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) clock: Clock,
    pub(crate) longhaul: Longhaul,
    pub(crate) db: Db,
    pub(crate) auth: Auth,
    pub(crate) sessions: Sessions,
    pub(crate) url: String,
    client: Client,
    server: JoinHandle<()>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    /// The status and the message, which a proper error has beside the other two fields and no more.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, Value) {
        let body = self.body.as_object().unwrap();
        assert_eq!(body.keys().collect::<Vec<_>>(), ["error", "message", "statusCode"], "{self:?}");
        assert_eq!(body["statusCode"], self.status);
        (self.status, body["message"].clone())
    }
}

/// The store of the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    BesideRows,
    /// In a store of their own, so that a session and its job are two commits.
    Elsewhere,
}

/// The variables that configure a test, by name.
pub(crate) type Vars = Vec<(&'static str, String)>;

impl Fixture {
    /// With no outside systems: dispatches go to the server itself.
    pub(crate) async fn alone() -> Self {
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), vec![]).await
    }

    /// With dispatches to the double.
    pub(crate) async fn dispatching_to(double: &Double) -> Self {
        let vars = vec![("PYTHON_API_URL", double.python_api())];
        Self::open(tempfile::tempdir().unwrap(), Clock::manual(), vars).await
    }

    pub(crate) async fn open(folder: TempDir, clock: Clock, vars: Vars) -> Self {
        Self::open_with(folder, clock, vars, Jobs::BesideRows).await
    }

    pub(crate) async fn open_with(folder: TempDir, clock: Clock, vars: Vars, jobs: Jobs) -> Self {
        let store = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let db = Db::sqlite(store.clone());
        let data = match jobs {
            Jobs::BesideRows => (Longhaul::new(store), db),
            Jobs::Elsewhere => {
                let longhaul = Longhaul::new(MemoryStore::with_clock(clock.clone()));
                (longhaul.clone(), db.with_jobs_in(longhaul))
            }
        };
        Self::assemble(folder, clock, vars, data).await
    }

    /// With the jobs in another store than the rows, which may go away.
    pub(crate) async fn apart(double: &Double) -> (Self, Away) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
        let rows = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
        let (jobs, away) = Away::store(clock.clone());
        let data = (jobs.clone(), Db::sqlite(rows).with_jobs_in(jobs));
        let vars = vec![("PYTHON_API_URL", double.python_api())];
        (Self::assemble(folder, clock, vars, data).await, away)
    }

    /// On Postgres, with dispatches to the double.
    pub(crate) async fn on_postgres(double: &Double) -> Self {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        let store = longhaul_postgres::PostgresStore::connect(&url).await.unwrap();
        let data = (Longhaul::new(store.clone()), Db::postgres(store));
        let vars = vec![("PYTHON_API_URL", double.python_api())];
        Self::assemble(tempfile::tempdir().unwrap(), Clock::system(), vars, data).await
    }

    async fn assemble(folder: TempDir, clock: Clock, vars: Vars, (longhaul, db): (Longhaul, Db)) -> Self {
        crate::log::install();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let find = move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        let env = Env::new(folder.path(), find);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deps = Deps::new(env, db.clone(), longhaul.clone(), clock.clone()).unwrap();
        let auth = deps.auth.clone();
        let sessions = Sessions::open(Deps { listener: Some(address), ..deps }).await.unwrap();
        let router = sessions.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { folder, clock, longhaul, db, auth, sessions, url: format!("http://{address}"), client, server }
    }

    /// The same folder opened by a new server, as after a crash.
    pub(crate) async fn reopen(mut self, vars: Vars) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let clock = self.clock.clone();
        drop(self);
        Self::open(folder, clock, vars).await
    }

    pub(crate) fn work(&self) -> Worker {
        self.work_at(8)
    }

    /// A worker with so many slots.
    pub(crate) fn work_at(&self, slots: usize) -> Worker {
        let mut registry = Registry::default();
        self.sessions.register(&mut registry);
        self.longhaul.worker().registry(registry).queue(QUEUE, slots).start()
    }

    pub(crate) fn token(&self, user: &str) -> String {
        let user = User {
            sub: user.into(),
            email: Some(format!("{user}@example.com")),
            name: None,
            role: Role::User,
        };
        self.auth.sign(&user, Duration::from_secs(30 * 86_400)).unwrap()
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<String>,
    ) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {status} {text}"));
        Reply { status, headers, body }
    }

    /// A request of a user's.
    pub(crate) async fn call_as(&self, user: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.send(method, path, Some(&self.token(user)), body.map(Value::to_string)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call_as("ada", "GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call_as("ada", "POST", path, Some(body)).await
    }

    /// Makes a skill of Ada's, and answers its id.
    pub(crate) async fn skill(&self) -> String {
        let reply = self.post("/skills", &skill()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.body["_id"])
    }

    /// Makes a session of Ada's that is dispatched, and answers its id.
    pub(crate) async fn dispatched(&self) -> String {
        let skill = self.skill().await;
        self.session(json!({ "teachSkillId": skill })).await
    }

    /// Makes a session of Ada's with some fields in place of the usual ones, and answers its id.
    pub(crate) async fn session(&self, fields: Value) -> String {
        let reply = self.post("/sessions", &session(fields)).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        text(&reply.body["_id"])
    }

    /// Waits until a session's job has ended.
    pub(crate) async fn ended(&self, session: &str) -> JobRecord {
        let job = self.longhaul.wait(&job_id(session), PATIENCE).await.unwrap().found().unwrap();
        assert!(job.state.is_finished(), "it has not ended in time: {job:?}");
        job
    }

    /// Waits until attempt `attempt` of a session's job has failed and the next one waits for its time.
    pub(crate) async fn fails_once_more(&self, session: &str, attempt: u32) -> JobRecord {
        self.becomes(session, |job| job.state == State::Scheduled && job.attempt == attempt).await
    }

    pub(crate) async fn becomes(&self, session: &str, is_so: impl Fn(&JobRecord) -> bool) -> JobRecord {
        let id = job_id(session);
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
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn job_id(session: &str) -> JobId {
    JobId::new(format!("sessions-dispatch-{session}")).unwrap()
}

/// The original document's skill.
pub(crate) fn skill() -> Value {
    json!({
        "name": "React Development", "category": "Programming", "type": "teaching", "proficiency": 85,
        "description": "Advanced React development skills",
    })
}

/// The original document's session without its skill, and with `fields`.
pub(crate) fn session(fields: Value) -> Value {
    let mut session = json!({
        "title": "React Hooks Masterclass", "description": "Learn React Hooks in depth",
        "focusKeywords": ["useState", "useEffect", "custom hooks"], "date": "2026-01-15", "startTime": "14:00",
        "endTime": "16:00", "skillCategory": "Programming", "isTeaching": true, "isPublic": true,
        "maxParticipants": 10,
    });
    session.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    session.as_object_mut().unwrap().retain(|_, value| value != "left out");
    session
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
