//! Tokens with scopes: what each opens, what it does not, how it ends, and how many requests it may make.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{Method, StatusCode};
use futures::{FutureExt, StreamExt};
use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, Longhaul, MemoryStore};
use longhaul_http::{Access, HttpConfig, Identity, Secret, Verifier};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::access::guarded;
use crate::app::{Answer, App, json as request};
use crate::kinds;
use crate::roles::sign_in;

const ADMIN: (&str, &str) = ("authorization", "Bearer s3cret");

/// A token that was made, and its id.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) bearer: String,
}

impl Made {
    pub(crate) async fn ask(&self, app: &App, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        app.send(request(method, path, &body, &[("authorization", &self.bearer)])).await
    }

    pub(crate) async fn get(&self, app: &App, path: &str) -> Answer {
        self.ask(app, Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn post(&self, app: &App, path: &str, body: &Value) -> Answer {
        self.ask(app, Method::POST, path, body).await
    }
}

pub(crate) async fn token(app: &App, body: &Value) -> Made {
    let made = app.post_with("/api/tokens", &body.to_string(), &[ADMIN]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Made { id: text("id"), bearer: format!("Bearer {}", text("token")) }
}

async fn with_scopes(app: &App, scopes: &[&str]) -> Made {
    token(app, &json!({"name": "shop", "scopes": scopes})).await
}

fn greet(id: &str) -> Value {
    json!({"kind": "greet", "args": {"name": "x"}, "id": id})
}

async fn enqueue(app: &App, id: &str) {
    assert_eq!(
        app.post_with("/api/jobs", &greet(id).to_string(), &[ADMIN]).await.status,
        StatusCode::ACCEPTED
    );
}

fn ids(page: &Answer) -> Vec<String> {
    let page = page.json();
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_is_told_once_and_listed_by_its_name() {
    let app = App::with(guarded());
    let body = json!({"name": " the shop ", "scopes": ["enqueue:greet", "read:own"], "rate": {"n": 5, "per": 1}, "expires_in": 60});
    let made = app.post_with("/api/tokens", &body.to_string(), &[ADMIN]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let made = made.json();
    assert!(
        made["token"].as_str().unwrap().starts_with("lht_") && made["token"].as_str().unwrap().len() == 44,
        "{made}"
    );
    let listed = app.get_with("/api/tokens", &[ADMIN]).await.json();
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("token");
    assert_eq!(listed["tokens"], json!([expected]));
    assert_eq!(
        (&expected["name"], &expected["rate"], &expected["expires_at"]),
        (&json!("the shop"), &json!({"n": 5, "per": 1.0}), &json!("2026-01-01T00:01:00.000Z"))
    );
    // The store has what cannot be turned back into it.
    let kept = app.longhaul.store().samples("longhaul.tokens", longhaul::Timestamp(0)).await.unwrap();
    assert!(!format!("{kept:?}").contains(made["token"].as_str().unwrap()));
}

#[tokio::test]
async fn an_open_stream_ends_with_its_token() {
    let app = App::with(guarded());
    enqueue(&app, "a").await;
    let deleted = with_scopes(&app, &["viewer"]).await;
    let expiring = token(&app, &json!({"name": "guest", "scopes": ["viewer"], "expires_in": 25})).await;
    let kept = with_scopes(&app, &["viewer"]).await;
    let open = async |made: &Made| events(&app, ("authorization", &made.bearer)).await;
    let mut streams = [open(&deleted).await, open(&expiring).await, open(&kept).await];
    let gone = request(Method::DELETE, &format!("/api/tokens/{}", deleted.id), "", &[ADMIN]);
    assert_eq!(app.send(gone).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ended(&mut streams), [false, false, false]);
    app.clock.advance(Duration::from_secs(10));
    assert_eq!(ended(&mut streams), [true, false, false]);
    app.clock.advance(Duration::from_secs(10));
    assert_eq!(ended(&mut streams), [true, false, false]);
    app.clock.advance(Duration::from_secs(10));
    assert_eq!(ended(&mut streams), [true, true, false]);
}

/// The events of the job `a`, of which the first has come.
async fn events(app: &App, header: (&str, &str)) -> BodyDataStream {
    let events = request(Method::GET, "/api/jobs/a/events", "", &[header]);
    let mut stream = app.router.clone().oneshot(events).await.unwrap().into_body().into_data_stream();
    stream.next().await.unwrap().unwrap();
    stream
}

/// Which of them have ended. Each is asked, which sets it to wait for its next look.
fn ended(streams: &mut [BodyDataStream]) -> Vec<bool> {
    let has_ended = |stream: &mut BodyDataStream| {
        while let Some(Some(Ok(_))) = stream.next().now_or_never() {}
        matches!(stream.next().now_or_never(), Some(None))
    };
    streams.iter_mut().map(has_ended).collect()
}

#[tokio::test]
async fn an_open_stream_ends_with_its_session_and_with_a_token_that_expires() {
    let expiring = Verifier::new(|token| {
        let expires_at = Some(Clock::manual().now().plus(Duration::from_secs(25)));
        Some(Identity { expires_at, ..crate::access::bearer(token)? })
    });
    let access = Access::Bearer { token: Secret(b"s3cret".to_vec()), verifier: Some(expiring) };
    let app = App::with(HttpConfig { access, ..guarded() });
    enqueue(&app, "a").await;
    let shop = with_scopes(&app, &["viewer"]).await;
    let sign_in = async |token: &str| sign_in(&app, token).await.0;
    let (left, kept) = (sign_in("s3cret").await, sign_in("s3cret").await);
    let of_shop = sign_in(shop.bearer.strip_prefix("Bearer ").unwrap()).await;
    let of_ada = sign_in("viewer-ada").await;
    let open = async |header: (&str, &str)| events(&app, header).await;
    let mut streams = [
        open(("cookie", &left)).await,
        open(("cookie", &of_shop)).await,
        open(("cookie", &of_ada)).await,
        open(("authorization", "Bearer viewer-ada")).await,
        open(("cookie", &kept)).await,
    ];
    let out = app.post_with("/admin/logout", "", &[("cookie", &*left)]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let gone = request(Method::DELETE, &format!("/api/tokens/{}", shop.id), "", &[ADMIN]);
    assert_eq!(app.send(gone).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ended(&mut streams), [false; 5]);
    for are_over in [[true, true, false, false, false]; 2] {
        app.clock.advance(Duration::from_secs(10));
        assert_eq!(ended(&mut streams), are_over);
    }
    app.clock.advance(Duration::from_secs(10));
    assert_eq!(ended(&mut streams), [true, true, true, true, false]);
}

#[tokio::test]
async fn a_token_that_cannot_be_made_says_why() {
    let app = App::with(guarded());
    for (body, field) in [
        (json!({"name": "", "scopes": ["viewer"]}), "name"),
        (json!({"name": "a\nb", "scopes": ["viewer"]}), "name"),
        (json!({"name": "a", "scopes": []}), "scopes"),
        (json!({"name": "a", "scopes": ["viewer", "root"]}), "scopes[1]"),
        (json!({"name": "a", "scopes": ["viewer"], "rate": {"n": 0, "per": 1}}), "rate.n"),
        (json!({"name": "a", "scopes": ["viewer"], "rate": {"n": 1, "per": 0.5}}), "rate.per"),
        (json!({"name": "a", "scopes": ["viewer"], "expires_in": 0}), "expires_in"),
        (json!({"name": "a", "scopes": ["viewer"], "expires_in": 1e12}), "expires_in"),
    ] {
        let refused = app.post_with("/api/tokens", &body.to_string(), &[ADMIN]).await;
        assert_eq!(
            (refused.code().as_str(), &refused.json()["errors"][0]["field"]),
            ("invalid", &json!(field)),
            "{body}"
        );
    }
    let unknown = app.send(request(Method::DELETE, "/api/tokens/tok_1", "", &[ADMIN])).await;
    assert_eq!(unknown.code(), "no_such_token");
}

#[tokio::test]
async fn a_token_that_enqueues_does_so_for_its_kinds_and_queues_and_nothing_else() {
    let app = App::with(guarded());
    let shop = with_scopes(&app, &["enqueue:greet", "enqueue:na*@bulk"]).await;
    let accepted = shop.post(&app, "/api/jobs", &greet("a")).await;
    assert_eq!((accepted.status, &accepted.json()["created_by"]), (StatusCode::ACCEPTED, &json!(shop.id)));
    assert_eq!(accepted.json()["labels"], json!({}), "the label that keeps it is not shown");
    let nap = |queue: &str| json!({"kind": "nap", "args": {"seconds": 1}, "queue": queue});
    assert_eq!(shop.post(&app, "/api/jobs", &nap("bulk")).await.status, StatusCode::ACCEPTED);
    let tell = json!({"kind": "tell", "args": {}});
    for refused in [
        shop.post(&app, "/api/jobs", &nap("default")).await,
        shop.post(&app, "/api/jobs", &tell).await,
        shop.post(&app, "/api/jobs/batch", &json!([greet("b"), tell])).await,
    ] {
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{refused:?}"
        );
        assert!(refused.json()["detail"].as_str().unwrap().contains("enqueue:na*@bulk"), "{refused:?}");
    }
    let batch = shop.post(&app, "/api/jobs/batch", &json!([greet("c"), nap("bulk")])).await;
    assert_eq!(batch.status, StatusCode::ACCEPTED);
    assert_eq!(
        app.get_with("/api/jobs/b", &[ADMIN]).await.code(),
        "no_such_job",
        "a batch is enqueued whole or not at all"
    );
    assert_eq!(app.get_with("/api/jobs/c", &[ADMIN]).await.json()["created_by"], json!(shop.id));
    // It reads nothing, not even what it has made.
    for path in [
        "/api/jobs",
        "/api/jobs/a",
        "/api/jobs/a/events",
        "/api/jobs/a/ws",
        "/api/jobs/a/steps",
        "/api/queues",
        "/api/events",
        "/api/tokens",
    ] {
        assert_eq!(shop.get(&app, path).await.code(), "forbidden", "{path}");
    }
    for path in [
        "/api/jobs/a/cancel",
        "/api/jobs/a/retry",
        "/api/jobs/a/token",
        "/api/jobs/actions",
        "/api/queues/default/pause",
        "/api/worker/claim",
        "/api/worker/enqueue",
    ] {
        assert_eq!(shop.post(&app, path, &json!({})).await.code(), "forbidden", "{path}");
    }
    let me = shop.get(&app, "/api/me").await.json();
    assert_eq!(me, json!({"name": "shop", "scopes": ["enqueue:greet", "enqueue:na*@bulk"]}));
    let claimed =
        json!({"kind": "greet", "args": {"name": "x"}, "labels": {"longhaul.created_by": "tok_other"}});
    assert_eq!(shop.post(&app, "/api/jobs", &claimed).await.code(), "invalid");
}

#[tokio::test]
async fn a_token_that_reads_its_own_is_shown_no_other_job() {
    let app = App::with(guarded());
    let shop = with_scopes(&app, &["enqueue:*", "read:own"]).await;
    let other = with_scopes(&app, &["enqueue:*", "read:own"]).await;
    enqueue(&app, "admins").await;
    shop.post(&app, "/api/jobs", &greet("mine")).await;
    other.post(&app, "/api/jobs", &greet("others")).await;
    assert_eq!(ids(&shop.get(&app, "/api/jobs").await), ["mine"]);
    assert_eq!(ids(&shop.get(&app, "/api/jobs?q=kind:greet&label=a:b").await), Vec::<String>::new());
    assert_eq!(ids(&app.get_with(&format!("/api/jobs?created_by={}", shop.id), &[ADMIN]).await), ["mine"]);
    // Another's id in the query narrows what is shown further.
    assert_eq!(
        ids(&shop.get(&app, &format!("/api/jobs?created_by={}", other.id)).await),
        Vec::<String>::new()
    );
    for path in ["", "/steps", "/why"] {
        assert_eq!(shop.get(&app, &format!("/api/jobs/mine{path}")).await.status, StatusCode::OK, "{path}");
    }
    for job in ["others", "admins", "nobody"] {
        for path in ["", "/steps", "/why", "/events", "/ws"] {
            let refused = shop.get(&app, &format!("/api/jobs/{job}{path}")).await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (StatusCode::NOT_FOUND, "no_such_job"),
                "{job}{path}"
            );
        }
        assert_eq!(
            shop.post(&app, &format!("/api/jobs/{job}/token"), &json!({})).await.code(),
            "no_such_job"
        );
    }
    for path in ["/api/jobs/mine/graph", "/api/jobs/mine/deliveries", "/api/stats", "/api/audit"] {
        assert_eq!(shop.get(&app, path).await.code(), "forbidden", "{path}");
    }
    // Whom it gives a read token can follow the job.
    let read = shop.post(&app, "/api/jobs/mine/token", &json!({})).await.json();
    let path = format!("/api/jobs/mine?token={}", read["token"].as_str().unwrap());
    assert_eq!(app.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_events_of_its_own_job_are_followed_with_a_token() {
    let app = App::with(guarded());
    let shop = with_scopes(&app, &["enqueue:greet", "read:own"]).await;
    shop.post(&app, "/api/jobs", &greet("mine")).await;
    let worker = app.work();
    let done = shop.ask(&app, Method::GET, "/api/jobs/mine", &Value::Null).await;
    assert_eq!(done.status, StatusCode::OK);
    app.longhaul.wait(&longhaul::JobId::new("mine").unwrap(), Duration::from_secs(60)).await.unwrap();
    let events = shop.get(&app, "/api/jobs/mine/events?after=0").await;
    assert_eq!(events.status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&events.body).contains("hello, x"), "{events:?}");
    worker.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_job_of_others_that_stands_for_a_tokens_is_not_told() {
    let app = App::with(guarded());
    let shop = with_scopes(&app, &["enqueue:greet", "read:own"]).await;
    enqueue(&app, "taken").await;
    let refused = shop.post(&app, "/api/jobs", &greet("taken")).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "duplicate"));
    let keyed =
        |id: &str| json!({"kind": "greet", "args": {"name": "theirs"}, "id": id, "unique": {"key": "k"}});
    app.post_with("/api/jobs", &keyed("holder").to_string(), &[ADMIN]).await;
    assert_eq!(shop.post(&app, "/api/jobs", &keyed("mine")).await.code(), "duplicate");
    // Its own is told as to anybody.
    shop.post(&app, "/api/jobs", &greet("own")).await;
    let again = shop.post(&app, "/api/jobs", &greet("own")).await;
    assert_eq!((again.status, &again.json()["duplicate"]), (StatusCode::OK, &json!(true)));
    // Nor does a job belong to another's, or wait for it.
    for field in [json!({"parent": "taken"}), json!({"depends_on": ["taken"]})] {
        let mut body = greet("child");
        body.as_object_mut().unwrap().extend(field.as_object().unwrap().clone());
        assert_eq!(shop.post(&app, "/api/jobs", &body).await.code(), "forbidden", "{field}");
    }
    let mut body = greet("child");
    body["depends_on"] = json!(["own"]);
    assert_eq!(shop.post(&app, "/api/jobs", &body).await.status, StatusCode::ACCEPTED);
}

fn claim(queue: &str) -> Value {
    json!({"worker": {"id": "w1"}, "queues": [{"queue": queue, "slots": 5}], "kinds": [{"kind": "greet"}]})
}

#[tokio::test]
async fn a_worker_of_one_queue_touches_the_jobs_of_no_other() {
    let app = App::with(guarded());
    let painter = with_scopes(&app, &["worker:images*", "enqueue:greet@bulk"]).await;
    for (id, queue) in [("ours", "images"), ("theirs", "default")] {
        let mut body = greet(id);
        body["queue"] = json!(queue);
        app.post_with("/api/jobs", &body.to_string(), &[ADMIN]).await;
    }
    let call =
        async |route: &str, body: &Value| painter.post(&app, &format!("/api/worker/{route}"), body).await;
    assert_eq!(call("claim", &claim("default")).await.code(), "forbidden");
    let claimed = call("claim", &claim("images")).await.json();
    let ours = claimed["claimed"][0]["lease"].clone();
    assert_eq!(ours["id"], "ours", "{claimed}");
    let theirs = app.post_with("/api/worker/claim", &claim("default").to_string(), &[ADMIN]).await.json();
    let theirs = theirs["claimed"][0]["lease"].clone();
    assert_eq!(theirs["id"], "theirs");
    let finish = |lease: &Value, follow_ups: Value| json!({"lease": lease, "outcome": {"completed": {}}, "follow_ups": follow_ups});
    let entries = |lease: &Value| json!({"records": [{"lease": lease, "entries": [{"log": {"level": "info", "message": "m"}}]}]});
    let worker = json!({"id": "w1"});
    for (route, body) in [
        ("heartbeat", json!({"worker": worker, "leases": [ours, theirs]})),
        ("record", entries(&theirs)),
        ("finish", json!({"finishes": [finish(&ours, json!([])), finish(&theirs, json!([]))]})),
        ("turn", json!({"finishes": [finish(&theirs, json!([]))], "claim": claim("images")})),
        ("turn", json!({"finishes": [], "claim": claim("default")})),
        (
            "finish",
            json!({"finishes": [finish(&ours, json!([{"kind": "greet", "args": {}, "queue": "default"}]))]}),
        ),
    ] {
        let refused = call(route, &body).await;
        assert_eq!(refused.code(), "forbidden", "{route} {body} {refused:?}");
    }
    for route in ["enqueue", "get", "list", "act", "sweep", "queues", "samples", "put-samples", "signal"] {
        assert_eq!(call(route, &json!({})).await.code(), "forbidden", "{route}");
    }
    assert_eq!(
        call("heartbeat", &json!({"worker": worker, "leases": [ours]})).await.json()["statuses"],
        json!(["held"])
    );
    assert_eq!(call("record", &entries(&ours)).await.json()["statuses"], json!(["held"]));
    let next = json!([{"id": "next", "kind": "greet", "args": {"name": "x"}, "queue": "images-2"}, {"id": "bulk", "kind": "greet", "args": {"name": "x"}, "queue": "bulk"}]);
    assert_eq!(
        call("finish", &json!({"finishes": [finish(&ours, next)]})).await.json()["statuses"],
        json!(["held"])
    );
    for id in ["next", "bulk"] {
        assert_eq!(
            app.get_with(&format!("/api/jobs/{id}"), &[ADMIN]).await.json()["created_by"],
            json!(painter.id)
        );
    }
    assert_eq!(app.get_with("/api/jobs/theirs", &[ADMIN]).await.json()["state"], "running");
}

#[tokio::test]
async fn a_worker_gives_itself_no_token_and_writes_no_secret_and_no_entry_of_the_audit_log() {
    let config = HttpConfig { worker_token: Some(longhaul_http::Secret(b"w0rker".to_vec())), ..guarded() };
    let app = App::with(config);
    let put = async |series: &str, bearer: &str| {
        let body = json!({"name": "n", "scopes": ["admin"], "digest": "00"});
        let keep_for = json!({"secs": 60, "nanos": 0});
        let sample =
            json!({"series": series, "at": 0, "source": "tok_1", "keep_for": keep_for, "body": body});
        let samples = json!({"samples": [{"series": "stats.minutes", "at": 0, "source": "w", "keep_for": keep_for, "body": {}}, sample]});
        app.post_with("/api/worker/put-samples", &samples.to_string(), &[("authorization", bearer)]).await
    };
    for series in [
        "longhaul.tokens",
        "longhaul.webhook-secrets",
        "longhaul.audit.1",
        "longhaul.audit-hours",
        "longhaul.answered.00",
    ] {
        assert_eq!(put(series, "Bearer w0rker").await.code(), "forbidden", "{series}");
        assert_eq!(put(series, "Bearer s3cret").await.status, StatusCode::OK, "{series}");
    }
    // What workers do keep: the times of schedules, and statistics.
    for series in ["longhaul.schedules", "stats.hours"] {
        assert_eq!(put(series, "Bearer w0rker").await.status, StatusCode::OK, "{series}");
    }
}

#[tokio::test]
async fn a_token_with_a_role_does_what_the_role_does() {
    let app = App::with(guarded());
    let operator = with_scopes(&app, &["operator", "read:own"]).await;
    enqueue(&app, "a").await;
    assert_eq!(operator.get(&app, "/api/me").await.json()["role"], "operator");
    assert_eq!(
        operator.get(&app, "/api/jobs/a").await.status,
        StatusCode::OK,
        "a role is not narrowed by what is less"
    );
    assert_eq!(operator.post(&app, "/api/jobs/a/cancel", &Value::Null).await.status, StatusCode::OK);
    let patched = operator.ask(&app, Method::PATCH, "/api/queues/default", &json!({"slots": 1})).await;
    assert_eq!(patched.json()["needs"], "admin");
    let mine = operator.post(&app, "/api/jobs", &greet("b")).await;
    assert_eq!(mine.json()["created_by"], json!(operator.id));
}

#[tokio::test]
async fn a_deleted_token_is_taken_nowhere_a_second_later() {
    let here = App::with(guarded());
    let there = App::over(here.longhaul.clone(), HttpConfig { clock: here.clock.clone(), ..guarded() });
    let shop = with_scopes(&here, &["viewer"]).await;
    for app in [&here, &there] {
        assert_eq!(shop.get(app, "/api/jobs").await.status, StatusCode::OK);
    }
    let (cookie, _) = crate::roles::sign_in(&there, shop.bearer.trim_start_matches("Bearer ")).await;
    let me = async |app: &App| app.get_with("/api/me", &[("cookie", &*cookie)]).await;
    assert_eq!(me(&there).await.json()["scopes"], json!(["viewer"]));
    let deleted = here.send(request(Method::DELETE, &format!("/api/tokens/{}", shop.id), "", &[ADMIN])).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    here.clock.advance(Duration::from_millis(1));
    assert_eq!(shop.get(&here, "/api/jobs").await.code(), "invalid_token", "at once where it was deleted");
    here.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.get(&there, "/api/jobs").await.code(), "invalid_token");
    assert_eq!(me(&there).await.code(), "invalid_token", "and whoever has signed in with it");
}

#[tokio::test]
async fn a_new_token_is_taken_by_other_servers_and_ends_at_its_time() {
    let here = App::with(guarded());
    let there = App::over(here.longhaul.clone(), HttpConfig { clock: here.clock.clone(), ..guarded() });
    assert_eq!(with_scopes(&here, &["viewer"]).await.get(&there, "/api/jobs").await.status, StatusCode::OK);
    let brief = token(&here, &json!({"name": "brief", "scopes": ["viewer"], "expires_in": 60})).await;
    here.clock.advance(Duration::from_millis(100));
    assert_eq!(brief.get(&there, "/api/jobs").await.status, StatusCode::OK);
    here.clock.advance(Duration::from_millis(59_899));
    assert_eq!(brief.get(&there, "/api/jobs").await.status, StatusCode::OK);
    here.clock.advance(Duration::from_millis(1));
    assert_eq!(brief.get(&there, "/api/jobs").await.code(), "invalid_token");
    let listed = here.get_with("/api/tokens", &[ADMIN]).await.json();
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_without_a_token_of_the_store_asks_it_for_none() {
    let clock = Clock::manual();
    let store = Intercept::new(MemoryStore::with_clock(clock.clone()), async |store, call| match call {
        Call::Samples(series, _) if series == "longhaul.tokens" => {
            Err(longhaul::Error::Unavailable { store: "test", source: "gone".into() })
        }
        call => call.on(store.as_ref()).await,
    });
    let longhaul = Longhaul::new(store);
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig { clock, ..guarded() });
    for bearer in ["Bearer s3cret", "Bearer viewer-ada"] {
        assert_eq!(app.get_with("/api/jobs", &[("authorization", bearer)]).await.status, StatusCode::OK);
    }
    // Whether one of the store's was deleted is not known while the store is away.
    let answer = app.get_with("/api/jobs", &[("authorization", "Bearer lht_abc")]).await;
    assert_eq!(answer.code(), "unavailable");
}

#[tokio::test]
async fn a_token_is_told_what_is_left_and_refused_beyond_it() {
    let app = App::with(guarded());
    let shop = token(&app, &json!({"name": "shop", "scopes": ["viewer"], "rate": {"n": 2, "per": 60}})).await;
    let other =
        token(&app, &json!({"name": "other", "scopes": ["viewer"], "rate": {"n": 2, "per": 60}})).await;
    let first = shop.get(&app, "/api/jobs").await;
    assert_eq!(
        (first.header("ratelimit"), first.header("ratelimit-policy")),
        ("\"token\";r=1;t=60", "\"token\";q=2;w=60")
    );
    app.clock.advance(Duration::from_secs(20));
    // An answer that is none of what was asked for counts too, and tells it.
    let second = shop.post(&app, "/api/queues/x/pause", &Value::Null).await;
    assert_eq!((second.code().as_str(), second.header("ratelimit")), ("forbidden", "\"token\";r=0;t=40"));
    let third = shop.get(&app, "/api/nowhere").await;
    assert_eq!((third.status, third.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert_eq!((third.header("retry-after"), third.header("ratelimit")), ("40", "\"token\";r=0;t=40"));
    assert_eq!(other.get(&app, "/api/jobs").await.status, StatusCode::OK, "each has its own");
    let admin = app.get_with("/api/jobs", &[ADMIN]).await;
    assert_eq!(admin.header("ratelimit"), "", "whoever has no limit is told none");
    app.clock.advance(Duration::from_secs(40));
    assert_eq!(shop.get(&app, "/api/jobs").await.header("ratelimit"), "\"token\";r=1;t=60");
}

#[tokio::test]
async fn on_an_open_server_a_token_still_says_what_its_bearer_may_do() {
    let app = App::new();
    let made =
        app.post("/api/tokens", r#"{"name":"shop","scopes":["enqueue:greet","read:own"]}"#).await.json();
    let header = format!("Bearer {}", made["token"].as_str().unwrap());
    let as_shop = [("authorization", header.as_str())];
    app.post("/api/jobs", &greet("others").to_string()).await;
    assert_eq!(
        app.post_with("/api/jobs", &greet("mine").to_string(), &as_shop).await.json()["created_by"],
        made["id"]
    );
    assert_eq!(ids(&app.get_with("/api/jobs", &as_shop).await), ["mine"]);
    assert_eq!(
        app.get_with("/api/jobs", &[("authorization", "Bearer lht_unknown")]).await.status,
        StatusCode::OK
    );
}
