//! A service with one route, called again and again with one key.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use longhaul::{Clock, Longhaul};
use longhaul_postgres::PostgresStore;
use longhaul_sqlite::SqliteStore;
use serde::Serialize;
use serde_json::{Value, json};
use service_support::{
    Db, Deps, Env, ErrorShape, Form, Migration, Older, Once, Role, ServiceError, User, Write,
};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tower::ServiceExt;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "things",
    sql: "CREATE TABLE things (id TEXT PRIMARY KEY, name TEXT NOT NULL)",
    older: Older::Refused,
}];

enum Shape {}

impl ErrorShape for Shape {
    type Form = serde_json::Value;

    fn body(error: &ServiceError<Self>) -> impl Serialize + '_ {
        json!({ "error": error.message })
    }
}

type Error = ServiceError<Shape>;

/// One process of the service.
#[derive(Clone)]
struct App {
    deps: Deps,
    /// A request takes a permit before it commits, and another one before it is answered.
    gate: Arc<Semaphore>,
    reached: Arc<Semaphore>,
}

/// The address of a database, and a clock, for processes that share them.
struct World {
    clock: Clock,
    folder: TempDir,
    postgres: Option<String>,
}

impl World {
    fn sqlite() -> Self {
        Self { clock: Clock::manual(), folder: tempfile::tempdir().unwrap(), postgres: None }
    }

    fn postgres() -> Self {
        let url = longhaul_testservers::postgres().url_of_new_schema();
        Self { postgres: Some(url), ..Self::sqlite() }
    }

    /// A process whose requests pass the gates.
    async fn process(&self) -> App {
        let app = self.gated().await;
        app.gate.add_permits(1_000);
        app
    }

    async fn gated(&self) -> App {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (db, longhaul) = match &self.postgres {
            None => {
                let file = self.folder.path().join("test.db");
                let store = SqliteStore::open_with_clock(file, self.clock.clone()).await.unwrap();
                (Db::sqlite(store.clone()), Longhaul::new(store))
            }
            Some(url) => {
                let store = PostgresStore::connect(url).await.unwrap();
                (Db::postgres(store.clone()), Longhaul::new(store))
            }
        };
        db.migrate("things", MIGRATIONS).await.unwrap();
        let env = Env::new(self.folder.path(), |_| None);
        let deps = Deps::new(env, db, longhaul, self.clock.clone()).unwrap();
        App { deps, gate: Arc::new(Semaphore::new(0)), reached: Arc::new(Semaphore::new(0)) }
    }
}

/// Keeps its answer in its commit.
async fn create(State(app): State<App>, once: Once, body: Bytes) -> Result<Response, Error> {
    let body: Value = serde_json::from_slice(&body).map_err(|_| Error::bad_request("no JSON"))?;
    let name = body["name"].as_str().ok_or_else(|| Error::bad_request("no name"))?.to_owned();
    let thing = app.insert(&once, &name).await?;
    Ok((StatusCode::CREATED, Json(thing)).into_response())
}

/// Leaves it to the layer to keep its answer.
async fn plain(State(app): State<App>, body: Bytes) -> Result<Json<Value>, Error> {
    let name = String::from_utf8_lossy(&body).into_owned();
    app.insert(&Once::default(), &name).await.map(Json)
}

async fn upload(State(app): State<App>, once: Once, request: Request) -> Result<Response, Error> {
    let mut form = Form::open(request).await.unwrap();
    let mut field = form.next_field().await.unwrap().unwrap();
    let name = field.file_name().unwrap().into_owned();
    let mut digest = once.file(&name);
    while let Some(bytes) = field.chunk().await.unwrap() {
        digest.update(&bytes);
    }
    once.file_read(digest);
    let thing = app.insert(&once, &name).await?;
    Ok((StatusCode::CREATED, Json(thing)).into_response())
}

impl App {
    async fn insert(&self, once: &Once, name: &str) -> Result<Value, Error> {
        self.pass().await;
        let thing = json!({ "id": longhaul::JobId::random().as_str(), "name": name });
        let insert = Write::new(
            "INSERT INTO things (id, name) VALUES ($1, $2)",
            vec![thing["id"].as_str().unwrap().into(), name.into()],
        );
        once.commit(&self.deps.db, (StatusCode::CREATED, &thing), vec![insert], vec![]).await?;
        self.pass().await;
        Ok(thing)
    }

    async fn pass(&self) {
        self.reached.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
    }

    /// Waits until a request stands at a gate.
    async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    fn router(&self) -> Router {
        let routes = Router::new()
            .route("/things", post(create))
            .route("/plain", post(plain))
            .route("/upload", post(upload))
            .with_state(self.clone());
        self.deps.repeats.around::<Shape>(routes)
    }

    async fn send(&self, request: Request) -> Reply {
        let response = self.router().oneshot(request).await.unwrap();
        let replayed = response.headers().contains_key("idempotency-replayed");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Reply { status, replayed, body: serde_json::from_slice(&body).unwrap() }
    }

    async fn post(&self, path: &str, key: &str, body: &str) -> Reply {
        self.send(request(path, key, body)).await
    }

    async fn count(&self) -> i64 {
        let rows = self.deps.db.read("SELECT count(*) AS n FROM things", vec![]).await.unwrap();
        rows[0].get("n").unwrap()
    }
}

#[derive(Debug, PartialEq)]
struct Reply {
    status: u16,
    replayed: bool,
    body: Value,
}

fn request(path: &str, key: &str, body: &str) -> Request {
    let request = Request::post(path).header("idempotency-key", key);
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_repeated_request_gets_the_answer_of_the_first() {
    for world in [World::sqlite(), World::postgres()] {
        let app = world.process().await;
        for path in ["/things", "/plain"] {
            let first = app.post(path, "k", r#"{"name":"a","n":1}"#).await;
            assert!(!first.replayed && first.status < 300, "{first:?}");
            let again = app.post(path, "\"k\"", r#"{ "n": 1, "name": "a" }"#).await;
            assert_eq!(again, Reply { replayed: true, ..first });
        }
        assert_eq!(app.count().await, 2, "the same key on two routes is two");
    }
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let world = World::sqlite();
    let app = world.process().await;
    app.post("/things", "k", r#"{"name":"a"}"#).await;
    let other = app.post("/things", "k", r#"{"name":"b"}"#).await;
    assert_eq!(other.status, 422, "{other:?}");
    assert_eq!(app.count().await, 1);
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let world = World::sqlite();
    let app = world.process().await;
    assert_eq!(app.post("/things", "k", "{}").await.status, 400);
    assert_eq!(app.post("/things", "k", r#"{"name":"a"}"#).await.status, 201);
}

#[tokio::test]
async fn keys_of_two_users_are_apart() {
    let world = World::sqlite();
    let app = world.process().await;
    for user in ["ada", "bob"] {
        let user = User { sub: user.into(), email: None, name: None, role: Role::User };
        let token = app.deps.auth.sign(&user, Duration::from_secs(60)).unwrap();
        let mut request = request("/things", "k", r#"{"name":"a"}"#);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        assert!(!app.send(request).await.replayed);
    }
    assert_eq!(app.count().await, 2);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::sqlite();
    let app = world.process().await;
    for key in ["", "\"\"", "   ", &"x".repeat(256), "a\u{e4}"] {
        assert_eq!(app.post("/things", key, r#"{"name":"a"}"#).await.status, 400, "{key:?}");
    }
    assert_eq!(app.count().await, 0);
}

#[tokio::test]
async fn a_second_request_while_the_first_is_answered_is_told_to_wait() {
    let world = World::sqlite();
    let app = world.gated().await;
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.post("/things", "k", r#"{"name":"a"}"#).await }
    });
    app.reached().await;
    let second = app.post("/things", "k", r#"{"name":"a"}"#).await;
    assert_eq!(second.status, 409, "{second:?}");
    app.gate.add_permits(1_000);
    assert_eq!(first.await.unwrap().status, 201);
    assert!(app.post("/things", "k", r#"{"name":"a"}"#).await.replayed);
}

#[tokio::test]
async fn of_two_processes_at_once_one_creates_and_the_other_repeats_its_answer() {
    for world in [World::sqlite(), World::postgres()] {
        let (slow, fast) = (world.gated().await, world.process().await);
        let second = tokio::spawn({
            let slow = slow.clone();
            async move { slow.post("/things", "k", r#"{"name":"a"}"#).await }
        });
        // It has looked, and found no answer; now another process is first.
        slow.reached().await;
        let first = fast.post("/things", "k", r#"{"name":"a"}"#).await;
        slow.gate.add_permits(1_000);
        assert_eq!(second.await.unwrap(), Reply { replayed: true, ..first });
        assert_eq!(fast.count().await, 1);
    }
}

#[tokio::test]
async fn a_process_that_dies_between_the_commit_and_the_answer_has_kept_it() {
    let world = World::sqlite();
    let dying = world.gated().await;
    let first = tokio::spawn({
        let dying = dying.clone();
        async move { dying.post("/things", "k", r#"{"name":"a"}"#).await }
    });
    dying.reached().await;
    dying.gate.add_permits(1);
    dying.reached().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let next = world.process().await;
    let again = next.post("/things", "k", r#"{"name":"a"}"#).await;
    assert_eq!((again.status, again.replayed), (201, true));
    assert_eq!(next.count().await, 1);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let world = World::sqlite();
    let app = world.process().await;
    let rows = async || {
        let rows = app.deps.db.read("SELECT count(*) AS n FROM answers", vec![]).await.unwrap();
        rows[0].get::<i64>("n").unwrap()
    };
    app.post("/things", "k", r#"{"name":"a"}"#).await;
    world.clock.advance(Duration::from_secs(86_399));
    assert!(app.post("/things", "k", r#"{"name":"a"}"#).await.replayed);
    app.deps.repeats.forget_old().await.unwrap();
    assert_eq!(rows().await, 1);
    world.clock.advance(Duration::from_secs(1));
    assert!(!app.post("/things", "k", r#"{"name":"b"}"#).await.replayed, "old, and not swept yet");
    world.clock.advance(Duration::from_secs(86_400));
    app.deps.repeats.forget_old().await.unwrap();
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn a_repeated_upload_is_told_from_another_file_under_its_key() {
    let world = World::sqlite();
    let app = world.process().await;
    let upload = |boundary: &str, name: &str, content: &str| {
        let part = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        let body = format!("--{boundary}\r\n{part}\r\n\r\n{content}\r\n--{boundary}--\r\n");
        let mut request = request("/upload", "k", &body);
        let kind = format!("multipart/form-data; boundary={boundary}").parse().unwrap();
        request.headers_mut().insert("content-type", kind);
        app.send(request)
    };
    let first = upload("B1", "a.txt", "hello").await;
    assert_eq!((first.status, first.replayed), (201, false));
    let again = upload("B2", "a.txt", "hello").await;
    assert_eq!(again, Reply { replayed: true, ..first });
    assert_eq!(upload("B3", "a.txt", "other").await.status, 422);
    assert_eq!(upload("B4", "b.txt", "hello").await.status, 422);
    assert_eq!(app.count().await, 1);
}
