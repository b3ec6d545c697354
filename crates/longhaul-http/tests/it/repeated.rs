//! Requests that make something else than a job, and come again with their `Idempotency-Key`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use longhaul::testing::{Call, Intercept};
use longhaul::{
    Claim, Clock, Finish, Json, Longhaul, MemoryStore, Outcome, QueueSlots, Sample, Store, SupportedKind,
    WorkerInfo,
};
use longhaul_http::{HttpConfig, Secret};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::access::guarded;
use crate::app::{Answer, App, json as request};
use crate::kinds;

const ADMIN: (&str, &str) = ("authorization", "Bearer s3cret");
const SHOP: &str = r#"{"name": "shop", "scopes": ["viewer"]}"#;

async fn post_as(app: &App, bearer: &str, path: &str, key: &str, body: &str) -> Answer {
    let headers = [("authorization", bearer), ("idempotency-key", key)];
    app.post_with(path, body, &headers).await
}

async fn post(app: &App, path: &str, key: &str, body: &str) -> Answer {
    post_as(app, ADMIN.1, path, key, body).await
}

fn told(answer: &Answer) -> (StatusCode, &str, Value) {
    (answer.status, answer.header("idempotency-replayed"), answer.json())
}

async fn listed(app: &App, path: &str, what: &str) -> usize {
    app.get_with(path, &[ADMIN]).await.json()[what].as_array().unwrap().len()
}

async fn delete(app: &App, path: &str) {
    let deleted = app.send(request(Method::DELETE, path, "", &[ADMIN])).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
}

/// Another server on the same store.
fn beside(app: &App, config: HttpConfig) -> App {
    App::over(app.longhaul.clone(), HttpConfig { clock: app.clock.clone(), ..config })
}

#[tokio::test]
async fn a_token_is_told_again_by_every_server_and_is_one() {
    let app = App::with(guarded());
    let first = post(&app, "/api/tokens", "k", SHOP).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let there = beside(&app, guarded());
    for server in [&app, &there] {
        // The members in another order: what means the same is the same.
        let again = post(server, "/api/tokens", "k", r#"{"scopes":["viewer"],"name":"shop"}"#).await;
        assert_eq!(told(&again), (StatusCode::CREATED, "true", first.json()));
    }
    assert_eq!(listed(&app, "/api/tokens", "tokens").await, 1);
    let bearer = format!("Bearer {}", first.json()["token"].as_str().unwrap());
    assert_eq!(app.get_with("/api/jobs", &[("authorization", &*bearer)]).await.status, StatusCode::OK);
    let entries = app.get_with("/api/audit", &[ADMIN]).await.json();
    let made = |entry: &&Value| entry["action"] == "token.create";
    assert_eq!(entries["entries"].as_array().unwrap().iter().filter(made).count(), 1, "{entries}");
}

#[tokio::test]
async fn another_request_under_the_key_of_a_token_is_refused_and_another_callers_is_another() {
    let app = App::with(guarded());
    let first = post(&app, "/api/tokens", "k", SHOP).await.json();
    let other = r#"{"name": "shop", "scopes": ["admin"]}"#;
    for (path, body) in [("/api/tokens", other), ("/api/webhook-secrets", "")] {
        let refused = post(&app, path, "k", body).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused".into()),
            "{path}"
        );
    }
    let ada = post_as(&app, "Bearer jwt-of-ada", "/api/tokens", "k", SHOP).await;
    assert_eq!((ada.status, ada.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    assert_ne!(ada.json()["token"], first["token"]);
    let another = post(&app, "/api/tokens", "l", SHOP).await.json();
    assert_ne!(another["token"], first["token"]);
    assert_eq!(listed(&app, "/api/tokens", "tokens").await, 3);
    assert_eq!(post(&app, "/api/tokens", "", SHOP).await.code(), "invalid_header");
}

#[tokio::test]
async fn a_key_of_a_token_is_kept_for_a_day_whatever_becomes_of_the_token() {
    let app = App::with(guarded());
    let first = post(&app, "/api/tokens", "k", SHOP).await.json();
    delete(&app, &format!("/api/tokens/{}", first["id"].as_str().unwrap())).await;
    app.clock.advance(Duration::from_secs(24 * 3600 - 1));
    let gone = post(&app, "/api/tokens", "k", SHOP).await;
    assert_eq!((gone.status, gone.code()), (StatusCode::GONE, "answer_gone".into()));
    app.clock.advance(Duration::from_secs(1));
    let fresh = post(&app, "/api/tokens", "k", SHOP).await;
    assert_eq!((fresh.status, fresh.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    assert_ne!(fresh.json()["token"], first["token"]);
}

#[tokio::test]
async fn a_token_cannot_be_told_again_once_the_servers_secret_is_another() {
    let app = App::with(guarded());
    let first = post(&app, "/api/tokens", "k", SHOP).await.json();
    let read_token_secret = Some(Secret(b"another".to_vec()));
    let after = beside(&app, HttpConfig { read_token_secret, ..guarded() });
    let gone = post(&after, "/api/tokens", "k", SHOP).await;
    assert_eq!((gone.status, gone.code()), (StatusCode::GONE, "answer_gone".into()));
    let (told, id) = (gone.json()["detail"].to_string(), first["id"].as_str().unwrap());
    assert!(told.contains(id), "{id} is to be deleted, and is not named by {told}");
    assert_eq!(listed(&app, "/api/tokens", "tokens").await, 1);
}

#[tokio::test]
async fn a_secret_of_webhooks_is_told_again_and_one_that_found_no_room_may_be_asked_for_again() {
    let app = App::with(guarded());
    let first = post(&app, "/api/webhook-secrets", "k", "").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let again = post(&beside(&app, guarded()), "/api/webhook-secrets", "k", "").await;
    assert_eq!(told(&again), (StatusCode::CREATED, "true", first.json()));
    assert_eq!(post(&app, "/api/webhook-secrets", "l", "").await.status, StatusCode::CREATED);
    for _ in 0..2 {
        assert_eq!(post(&app, "/api/webhook-secrets", "m", "").await.code(), "too_many_secrets");
    }
    assert_eq!(listed(&app, "/api/webhook-secrets", "secrets").await, 2);
    delete(&app, &format!("/api/webhook-secrets/{}", first.json()["id"].as_str().unwrap())).await;
    let third = post(&app, "/api/webhook-secrets", "m", "").await;
    assert_eq!((third.status, third.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    let gone = post(&app, "/api/webhook-secrets", "k", "").await;
    assert_eq!((gone.status, gone.code()), (StatusCode::GONE, "answer_gone".into()));
}

/// Holds one call of a store until it is let go on.
#[derive(Clone, Debug)]
struct Hold {
    reached: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

impl Hold {
    fn new() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), go_on: Arc::new(Semaphore::new(0)) }
    }

    async fn wait(&self) {
        self.reached.add_permits(1);
        self.go_on.acquire().await.unwrap().forget();
    }

    async fn is_reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    fn let_go(&self) {
        self.go_on.add_permits(1);
    }
}

fn server(store: &Arc<dyn Store>, clock: &Clock) -> App {
    let longhaul =
        Longhaul::new(Intercept::over(Arc::clone(store), async |store, call| call.on(&*store).await));
    kinds::declare(&longhaul);
    App::over(longhaul, HttpConfig { clock: clock.clone(), ..guarded() })
}

/// A server on the store that is held before its nth write of an answer to a request, and before a signal.
fn held(store: &Arc<dyn Store>, clock: &Clock, hold: &Hold, nth: usize) -> App {
    let (hold, writes) = (hold.clone(), Arc::new(Mutex::new(0)));
    let intercept = Intercept::over(Arc::clone(store), move |store, call| {
        let is_answer = |sample: &Sample| sample.series.starts_with("longhaul.answered.");
        let is_held = match &call {
            Call::PutSamples(samples) if samples.iter().any(is_answer) => {
                let mut writes = writes.lock();
                *writes += 1;
                *writes == nth
            }
            Call::Signal(..) => nth == 0,
            _ => false,
        };
        let hold = hold.clone();
        async move {
            if is_held {
                hold.wait().await;
            }
            call.on(&*store).await
        }
    });
    let longhaul = Longhaul::new(intercept);
    kinds::declare(&longhaul);
    App::over(longhaul, HttpConfig { clock: clock.clone(), ..guarded() })
}

fn stores() -> (Arc<dyn Store>, Clock) {
    let clock = Clock::manual();
    (Arc::new(MemoryStore::with_clock(clock.clone())), clock)
}

/// Begins a request, and answers once the server is held in it.
async fn begun(
    app: App,
    hold: &Hold,
    path: &'static str,
    body: &'static str,
) -> tokio::task::JoinHandle<Answer> {
    let answer = tokio::spawn(async move { post(&app, path, "k", body).await });
    hold.is_reached().await;
    answer
}

#[tokio::test]
async fn of_two_servers_with_one_request_for_a_token_the_slower_one_tells_the_others() {
    let ((store, clock), hold) = (stores(), Hold::new());
    let slow = begun(held(&store, &clock, &hold, 1), &hold, "/api/tokens", SHOP).await;
    let there = server(&store, &clock);
    let made = post(&there, "/api/tokens", "k", SHOP).await;
    assert_eq!((made.status, made.header("idempotency-replayed")), (StatusCode::CREATED, ""));
    hold.let_go();
    assert_eq!(told(&slow.await.unwrap()), (StatusCode::CREATED, "true", made.json()));
    assert_eq!(listed(&there, "/api/tokens", "tokens").await, 1);
}

#[tokio::test]
async fn while_a_server_makes_a_token_another_one_says_that_it_is_being_answered() {
    let ((store, clock), hold) = (stores(), Hold::new());
    let slow = begun(held(&store, &clock, &hold, 2), &hold, "/api/tokens", SHOP).await;
    let there = server(&store, &clock);
    let meanwhile = post(&there, "/api/tokens", "k", SHOP).await;
    assert_eq!(
        (meanwhile.status, meanwhile.code(), meanwhile.header("retry-after")),
        (StatusCode::CONFLICT, "idempotency_key_in_use".into(), "1")
    );
    hold.let_go();
    let made = slow.await.unwrap();
    assert_eq!(
        told(&post(&there, "/api/tokens", "k", SHOP).await),
        (StatusCode::CREATED, "true", made.json())
    );
    assert_eq!(listed(&there, "/api/tokens", "tokens").await, 1);
}

#[tokio::test]
async fn a_server_that_died_while_it_made_a_token_keeps_its_key_for_a_minute() {
    let ((store, clock), hold) = (stores(), Hold::new());
    // It never goes on.
    let _dead = begun(held(&store, &clock, &hold, 2), &hold, "/api/tokens", SHOP).await;
    let there = server(&store, &clock);
    clock.advance(Duration::from_secs(59));
    assert_eq!(post(&there, "/api/tokens", "k", SHOP).await.code(), "idempotency_key_in_use");
    clock.advance(Duration::from_secs(1));
    assert_eq!(post(&there, "/api/tokens", "k", SHOP).await.status, StatusCode::CREATED);
    assert_eq!(listed(&there, "/api/tokens", "tokens").await, 1);
}

/// Sends a request again until the first one, whose caller has gone away, was answered.
async fn once_answered(app: &App, path: &str, body: &str) -> Answer {
    loop {
        let answer = post(app, path, "k", body).await;
        if answer.status != StatusCode::CONFLICT {
            return answer;
        }
        assert_eq!(answer.code(), "idempotency_key_in_use");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_token_whose_caller_went_away_is_made_to_its_end() {
    let ((store, clock), hold) = (stores(), Hold::new());
    let gone = begun(held(&store, &clock, &hold, 2), &hold, "/api/tokens", SHOP).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    hold.let_go();
    let there = server(&store, &clock);
    let again = once_answered(&there, "/api/tokens", SHOP).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (StatusCode::CREATED, "true"));
    assert_eq!(listed(&there, "/api/tokens", "tokens").await, 1);
}

#[tokio::test]
async fn a_store_is_told_neither_a_token_nor_the_key_that_it_is_made_of() {
    let clock = Clock::manual();
    let written = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&written);
    let intercept = Intercept::new(MemoryStore::with_clock(clock.clone()), move |store, call| {
        if let Call::PutSamples(samples) = &call {
            seen.lock().extend(samples.clone());
        }
        async move { call.on(&*store).await }
    });
    let app = App::over(Longhaul::new(intercept), HttpConfig { clock, ..guarded() });
    let made = post(&app, "/api/tokens", "a key of the caller", SHOP).await.json();
    let written = format!("{:?}", written.lock());
    assert!(
        written.contains(made["id"].as_str().unwrap()) && written.contains("longhaul.answered."),
        "{written}"
    );
    for secret in [made["token"].as_str().unwrap(), "a key of the caller"] {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}

async fn waiting(app: &App, id: &str) {
    let body = json!({"kind": "greet", "args": {"name": "x"}, "id": id});
    assert_eq!(app.post_with("/api/jobs", &body.to_string(), &[ADMIN]).await.status, StatusCode::ACCEPTED);
}

/// Runs the one job that waits.
async fn end(app: &App) {
    let claim = Claim {
        worker: WorkerInfo { id: "w".into(), ..WorkerInfo::default() },
        queues: vec![QueueSlots { queue: "default".into(), slots: 1 }],
        kinds: vec![SupportedKind { kind: "greet".into(), version: 1 }],
        lease_for: Duration::from_secs(30),
        wait: Duration::ZERO,
    };
    let claimed = app.longhaul.store().claim(claim).await.unwrap().pop().unwrap();
    let outcome = Outcome::Completed { output: Json::null() };
    let finish = Finish { lease: claimed.lease, outcome, entries: vec![], follow_ups: vec![], cost: None };
    app.longhaul.store().finish(vec![finish]).await.unwrap();
}

#[tokio::test]
async fn a_signal_that_comes_again_is_told_what_became_of_it() {
    let app = App::with(guarded());
    waiting(&app, "a").await;
    let go = "/api/jobs/a/signals/go";
    let first = post(&app, go, "k", "1").await;
    assert_eq!(told(&first), (StatusCode::ACCEPTED, "", json!({"accepted": true})));
    let there = beside(&app, guarded());
    assert_eq!(
        told(&post(&there, go, "k", " 1 ").await),
        (StatusCode::ACCEPTED, "true", json!({"accepted": true}))
    );
    // Another one finds it, and is told so each time.
    for replayed in ["", "true"] {
        let second = post(&app, go, "l", "1").await;
        assert_eq!(told(&second), (StatusCode::ACCEPTED, replayed, json!({"accepted": false})));
    }
    for (path, value) in [(go, "2"), ("/api/jobs/a/signals/stop", "1")] {
        assert_eq!(post(&app, path, "k", value).await.code(), "idempotency_key_reused", "{path} {value}");
    }
    end(&app).await;
    assert_eq!(
        told(&post(&app, go, "k", "1").await),
        (StatusCode::ACCEPTED, "true", json!({"accepted": true}))
    );
    assert_eq!(post(&app, go, "m", "1").await.code(), "ended");
    let entries = app.get_with("/api/audit", &[ADMIN]).await.json();
    let given = |entry: &&Value| entry["action"] == "job.signal";
    assert_eq!(entries["entries"].as_array().unwrap().iter().filter(given).count(), 2, "{entries}");
}

#[tokio::test]
async fn a_token_gives_its_signal_again_with_the_same_key_and_each_token_has_keys_of_its_own() {
    let app = App::with(guarded());
    waiting(&app, "a").await;
    let token = async |expires_in: u32| {
        let body = json!({ "expires_in": expires_in }).to_string();
        let made = app.post_with("/api/jobs/a/signals/go/token", &body, &[ADMIN]).await.json();
        made["path"].as_str().unwrap().to_owned()
    };
    let (ada, bob) = (token(60).await, token(90).await);
    let give = async |path: &str| app.post_with(path, "1", &[("idempotency-key", "k")]).await;
    assert_eq!(told(&give(&ada).await), (StatusCode::ACCEPTED, "", json!({"accepted": true})));
    assert_eq!(told(&give(&ada).await), (StatusCode::ACCEPTED, "true", json!({"accepted": true})));
    assert_eq!(told(&give(&bob).await), (StatusCode::ACCEPTED, "", json!({"accepted": false})));
}

#[tokio::test]
async fn a_signal_whose_caller_went_away_is_given_and_told_as_given() {
    let ((store, clock), hold) = (stores(), Hold::new());
    waiting(&server(&store, &clock), "a").await;
    let app = held(&store, &clock, &hold, 0);
    let (router, longhaul, gate) = (app.router.clone(), app.longhaul.clone(), app.gate.clone());
    let same = App { router, longhaul, clock, gate };
    let gone = begun(app, &hold, "/api/jobs/a/signals/go", "1").await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    hold.let_go();
    let again = once_answered(&same, "/api/jobs/a/signals/go", "1").await;
    assert_eq!(told(&again), (StatusCode::ACCEPTED, "true", json!({"accepted": true})));
}
