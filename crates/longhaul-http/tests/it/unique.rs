//! Unique keys in all their modes, the times of jobs, and the bounds on jobs that wait.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Answer, App, json as request};

/// Asks for a job of the key `k`.
async fn offer(app: &App, id: &str, unique: Value) -> Answer {
    let mut unique = unique;
    unique["key"] = json!("k");
    let body = json!({"kind": "greet", "args": {"name": id}, "id": id, "unique": unique});
    app.post("/api/jobs", &body.to_string()).await
}

async fn job(app: &App, id: &str) -> Value {
    app.get(&format!("/api/jobs/{id}")).await.json()
}

async fn enqueue(app: &App, id: &str, rest: Value) -> Answer {
    let mut body = json!({"kind": "greet", "args": {"name": id}, "id": id});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    app.post("/api/jobs", &body.to_string()).await
}

async fn put(app: &App, key: &str, body: Value) -> Answer {
    app.send(request(Method::PUT, &format!("/api/keys/{key}"), &body.to_string(), &[])).await
}

async fn patch(app: &App, queue: &str, body: Value) -> Answer {
    app.send(request(Method::PATCH, &format!("/api/queues/{queue}"), &body.to_string(), &[])).await
}

#[tokio::test]
async fn a_reject_is_answered_with_where_the_holder_is() {
    let app = App::new();
    assert_eq!(offer(&app, "a", json!({})).await.status, StatusCode::ACCEPTED);
    let refused = offer(&app, "b", json!({"on_clash": "reject"})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "duplicate".into()));
    assert_eq!(refused.header("location"), "/api/jobs/a");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "job a holds the unique key; nothing was created");
    assert_eq!(app.get("/api/jobs/b").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_tells_its_unique_key_and_the_job_that_holds_it() {
    let app = App::new();
    let accepted = offer(&app, "a", json!({})).await;
    let held_by = |holder: &str| json!({"key": "greet:k", "holder": holder});
    assert_eq!(accepted.json()["unique"], held_by("a"));
    assert_eq!(offer(&app, "b", json!({})).await.json()["unique"], held_by("a"), "a duplicate is told");
    offer(&app, "newer", json!({"on_clash": "supersede"})).await;
    assert_eq!(job(&app, "a").await["unique"], held_by("newer"));
    assert_eq!(job(&app, "newer").await["unique"], held_by("newer"));
    app.post("/api/jobs/newer/cancel", "").await;
    assert_eq!(job(&app, "newer").await["unique"], json!({"key": "greet:k"}), "the key is free");
    let listed = app.get("/api/jobs?state=cancelled").await.json();
    assert_eq!(listed["jobs"][0]["unique"], json!({"key": "greet:k"}));
    enqueue(&app, "plain", json!({})).await;
    assert_eq!(job(&app, "plain").await["unique"], Value::Null);
    let of_args = json!({"unique": {"on": ["name"]}});
    let key = enqueue(&app, "of-args", of_args).await.json()["unique"]["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("greet:") && key.len() == "greet:".len() + 64, "{key}");
}

#[tokio::test]
async fn a_replace_answers_with_the_job_that_has_changed_and_says_where_it_came_too_late() {
    let app = App::new();
    offer(&app, "a", json!({})).await;
    let replaced = offer(&app, "b", json!({"on_clash": "replace"})).await;
    assert_eq!((replaced.status, replaced.header("location")), (StatusCode::ACCEPTED, "/api/jobs/a"));
    let body = replaced.json();
    assert_eq!(
        (&body["id"], &body["args"]["name"], &body["replaced"]),
        (&json!("a"), &json!("b"), &json!(true))
    );
    assert_eq!(body.get("duplicate"), None);
    let worker = app.work();
    app.longhaul.wait(&longhaul::JobId::new("a").unwrap(), Duration::from_secs(60)).await.unwrap();
    worker.shutdown(Duration::from_secs(60)).await;
    offer(&app, "c", json!({"period": 60})).await;
    let worker = app.work();
    app.longhaul.wait(&longhaul::JobId::new("c").unwrap(), Duration::from_secs(60)).await.unwrap();
    worker.shutdown(Duration::from_secs(60)).await;
    let late = offer(&app, "d", json!({"on_clash": "replace"})).await;
    assert_eq!((late.status, &late.json()["duplicate"]), (StatusCode::OK, &json!(true)));
    assert_eq!(late.json().get("replaced"), None);
}

#[tokio::test]
async fn a_debounced_job_is_accepted_for_when_it_is_quiet() {
    let app = App::new();
    let debounce = json!({"on_clash": "debounce", "delay": 5, "max_delay": 8});
    let first = offer(&app, "a", debounce.clone()).await;
    assert_eq!(first.json()["run_at"], "2026-01-01T00:00:05.000Z");
    assert_eq!((&first.json()["state"], first.header("retry-after")), (&json!("scheduled"), "5"));
    assert_eq!(job(&app, "a").await, first.json(), "what is accepted is what is found");
    app.clock.advance(Duration::from_secs(4));
    let second = offer(&app, "b", debounce.clone()).await.json();
    assert_eq!((&second["id"], &second["run_at"]), (&json!("a"), &json!("2026-01-01T00:00:08.000Z")));
    let leading = json!({"on_clash": "debounce", "delay": 5, "edge": "leading"});
    app.clock.advance(Duration::from_secs(4));
    let leads = enqueue(&app, "l", json!({"unique": leading})).await.json();
    assert_eq!(leads["state"], "available");
}

#[tokio::test]
async fn a_supersede_cancels_and_says_why_and_a_throttle_joins() {
    let app = App::new();
    offer(&app, "a", json!({})).await;
    let taken = offer(&app, "b", json!({"on_clash": "supersede"})).await;
    assert_eq!((taken.status, &taken.json()["id"]), (StatusCode::ACCEPTED, &json!("b")));
    let old = job(&app, "a").await;
    assert_eq!((&old["state"], &old["cancel_reason"]), (&json!("cancelled"), &json!("superseded")));
    let why = app.get("/api/jobs/a/why").await.json();
    assert_eq!((&why["cancel_reason"], &why["reasons"]), (&json!("superseded"), &json!([])));
    let throttle = json!({"unique": {"key": "t", "on_clash": "throttle", "period": 60}});
    assert_eq!(enqueue(&app, "t1", throttle.clone()).await.status, StatusCode::ACCEPTED);
    assert_eq!(enqueue(&app, "t2", throttle.clone()).await.json()["id"], "t1");
    app.clock.advance(Duration::from_secs(60));
    assert_eq!(enqueue(&app, "t2", throttle).await.json()["id"], "t2");
}

#[tokio::test]
async fn states_and_paths_say_which_jobs_count_as_one() {
    let app = App::new();
    let with = |id: &str, order: &str| {
        json!({"kind": "greet", "id": id, "args": {"name": id, "order": {"id": order, "n": id}, "a.b": 1},
               "unique": {"on": ["order.id", "a.b"], "states": ["available"]}})
        .to_string()
    };
    assert_eq!(app.post("/api/jobs", &with("a", "7")).await.status, StatusCode::ACCEPTED);
    assert_eq!(app.post("/api/jobs", &with("b", "7")).await.json()["id"], "a");
    assert_eq!(app.post("/api/jobs", &with("c", "8")).await.json()["id"], "c");
    let worker = app.work();
    app.longhaul.wait(&longhaul::JobId::new("a").unwrap(), Duration::from_secs(60)).await.unwrap();
    worker.shutdown(Duration::from_secs(60)).await;
    assert_eq!(app.post("/api/jobs", &with("b", "7")).await.json()["id"], "b");
}

#[tokio::test]
async fn what_a_mode_does_not_go_with_is_refused_with_its_field() {
    let app = App::new();
    for (unique, field) in [
        (json!({"on_clash": "debounce"}), "unique.delay"),
        (json!({"on_clash": "debounce", "delay": 5, "max_delay": 1}), "unique.max_delay"),
        (json!({"on_clash": "join", "edge": "leading"}), "unique.edge"),
        (json!({"on_clash": "throttle"}), "unique.period"),
        (json!({"states": []}), "unique.states"),
        (json!({"on": ["name"]}), "unique.on"),
        (json!({"on_clash": "follows"}), "unique.on_clash"),
    ] {
        let refused = offer(&app, "a", unique).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
    for (rest, field) in [
        (json!({"expires_in": 0}), "expires_in"),
        (json!({"deadline": 0}), "deadline"),
        (json!({"deadline": "tomorrow"}), "deadline"),
        (json!({"deadline": true}), "deadline"),
        (json!({"unique": {"on": []}}), "unique.on"),
        (json!({"unique": {"on": ["nmae"]}}), "unique.on"),
        (json!({"unique": {"on": ["name.first"]}}), "unique.on"),
        (json!({"unique": {"on": ["name"], "fields": ["name"]}}), "unique.fields"),
        (json!({"delay": 5, "unique": {"on_clash": "debounce", "delay": 5}}), "unique.on_clash"),
    ] {
        let refused = enqueue(&app, "a", rest).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text());
    }
}

#[tokio::test]
async fn a_job_tells_when_it_ends_by_itself_and_then_why_it_was_cancelled() {
    let app = App::new();
    let accepted = enqueue(&app, "a", json!({"expires_in": 5.5, "deadline": 60})).await.json();
    assert_eq!(accepted["expires_at"], "2026-01-01T00:00:05.500Z");
    assert_eq!(accepted["deadline"], "2026-01-01T00:01:00.000Z");
    assert_eq!(job(&app, "a").await["expires_at"], accepted["expires_at"]);
    let at = enqueue(&app, "b", json!({"deadline": "2026-01-01T01:00:30+01:00"})).await.json();
    assert_eq!(at["deadline"], "2026-01-01T00:00:30.000Z");
    assert_eq!(app.get("/api/jobs/a/why").await.json()["ends_at"], "2026-01-01T00:00:05.500Z");
    app.clock.advance(Duration::from_secs(30));
    app.longhaul.store().sweep(10).await.unwrap();
    assert_eq!(job(&app, "a").await["cancel_reason"], "expired");
    assert_eq!(job(&app, "b").await["cancel_reason"], "deadline");
    assert_eq!(app.get("/api/jobs/b/why").await.json()["ends_at"], Value::Null);
    let listed = app.get("/api/jobs?state=cancelled").await.json();
    assert_eq!(listed["jobs"][0]["cancel_reason"], "deadline");
}

#[tokio::test]
async fn a_full_queue_or_key_is_429_with_when_to_ask_again() {
    let app = App::new();
    enqueue(&app, "a", json!({"limit_keys": ["tenant:1"]})).await;
    let set = patch(&app, "default", json!({"max_waiting": 1})).await;
    assert_eq!(set.json()["config"]["max_waiting"], 1);
    assert_eq!(set.json()["config"]["on_full"], "reject");
    let refused = enqueue(&app, "b", json!({})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "queue_full".into()));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let detail = "as many jobs wait in queue default as may; nothing was created";
    assert_eq!(refused.json()["detail"], detail);
    let set = patch(&app, "default", json!({"on_full": "drop_oldest"})).await;
    assert_eq!(set.json()["config"]["max_waiting"], 1, "what is left out stays");
    assert_eq!(enqueue(&app, "b", json!({})).await.status, StatusCode::ACCEPTED);
    assert_eq!(job(&app, "a").await["cancel_reason"], "dropped");
    patch(&app, "default", json!({"max_waiting": null})).await;

    let set = put(&app, "tenant:*", json!({"max_waiting": 1, "on_full": "drop_newest"})).await.json();
    assert_eq!((&set["max_waiting"], &set["on_full"]), (&json!(1), &json!("drop_newest")));
    enqueue(&app, "c", json!({"key": "tenant:1"})).await;
    put(&app, "tenant:1", json!({"max_waiting": 1})).await;
    let refused = enqueue(&app, "e", json!({"key": "tenant:1"})).await;
    assert_eq!(
        refused.json()["detail"],
        "as many jobs of limit key tenant:1 wait as may; nothing was created"
    );
    for (answer, status) in [
        (patch(&app, "default", json!({"max_waiting": 0})).await, StatusCode::UNPROCESSABLE_ENTITY),
        (put(&app, "tenant:1", json!({"max_waiting": 0})).await, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!((answer.status, &answer.json()["errors"][0]["field"]), (status, &json!("max_waiting")));
    }
}

#[tokio::test]
async fn a_bulk_answers_the_result_of_each_job_and_a_refused_one_may_be_sent_again() {
    let app = App::new();
    offer(&app, "held", json!({})).await;
    patch(&app, "default", json!({"max_waiting": 2})).await;
    let unique = |on_clash: &str| json!({"key": "k", "on_clash": on_clash});
    let jobs = json!([
        {"kind": "greet", "args": {"name": "a"}, "id": "a"},
        {"kind": "greet", "args": {"name": "b"}, "id": "b"},
        {"kind": "greet", "args": {"name": "c"}, "id": "c", "unique": unique("reject")},
        {"kind": "greet", "args": {"name": "d"}, "id": "d", "unique": unique("replace")},
        {"kind": "greet", "args": {"name": "e"}, "id": "e", "unique": unique("join")},
    ]);
    let answer = app.post_with("/api/jobs/batch", &jobs.to_string(), &[("idempotency-key", "i")]).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let expected = json!([
        {"id": "a", "duplicate": false},
        {"id": "b", "duplicate": false, "refused": "queue_full"},
        {"id": "held", "duplicate": false, "refused": "duplicate"},
        {"id": "held", "duplicate": false, "replaced": true},
        {"id": "held", "duplicate": true},
    ]);
    assert_eq!(answer.json(), expected);
    patch(&app, "default", json!({"max_waiting": null})).await;
    let again = app.post_with("/api/jobs/batch", &jobs.to_string(), &[("idempotency-key", "i")]).await;
    assert_eq!(again.json()[1], json!({"id": "b", "duplicate": false}), "what was refused is granted");
    assert_eq!(job(&app, "b").await["state"], "available");
}

#[tokio::test]
async fn a_job_that_is_dropped_as_the_newest_is_answered_as_what_it_is() {
    let app = App::new();
    patch(&app, "default", json!({"max_waiting": 1, "on_full": "drop_newest"})).await;
    enqueue(&app, "a", json!({})).await;
    let dropped = enqueue(&app, "b", json!({})).await;
    assert_eq!((dropped.status, dropped.header("location")), (StatusCode::ACCEPTED, "/api/jobs/b"));
    let body = dropped.json();
    assert_eq!((&body["state"], &body["cancel_reason"]), (&json!("cancelled"), &json!("dropped")));
    assert_eq!(job(&app, "b").await, body, "what is answered is what is found");
    let held = json!({"kind": "greet", "args": {"name": "c"}, "id": "c"}).to_string();
    let held = app.post_with("/api/jobs", &held, &[("prefer", "wait=30")]).await;
    assert_eq!((held.status, &held.json()["cancel_reason"]), (StatusCode::OK, &json!("dropped")));
    let batch = json!([{"kind": "greet", "args": {"name": "d"}, "id": "d"}, {"kind": "greet", "args": {"name": "a"}, "id": "a"}]);
    let batch = app.post("/api/jobs/batch", &batch.to_string()).await;
    let expected = json!([
        {"id": "d", "duplicate": false, "cancel_reason": "dropped"},
        {"id": "a", "duplicate": true},
    ]);
    assert_eq!(batch.json(), expected);
}

// The order in which the docs say that an enqueue looks (docs/guides/unique.md).
#[tokio::test]
async fn an_enqueue_looks_at_ids_then_at_the_bounds_and_then_at_unique_keys() {
    let app = App::new();
    let request = |name: &str| json!({"kind": "greet", "args": {"name": name}}).to_string();
    let repeated = |key| [("idempotency-key", key)];
    let first = app.post_with("/api/jobs", &request("a"), &repeated("i")).await.json();
    offer(&app, "holder", json!({})).await;
    put(&app, "tenant", json!({"max_waiting": 1, "on_full": "drop_newest"})).await;
    enqueue(&app, "keyed", json!({"key": "tenant"})).await;
    patch(&app, "default", json!({"max_waiting": 3})).await;

    // An id or an idempotency key that is known is answered with its job, whatever is full or held.
    let again = app.post_with("/api/jobs", &request("a"), &repeated("i")).await;
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::ACCEPTED, &first["id"]));
    let known = offer(&app, "holder", json!({"on_clash": "reject"})).await;
    assert_eq!((known.status, &known.json()["duplicate"]), (StatusCode::OK, &json!(true)));
    // A clash that creates nothing takes no room, so that it is not refused for want of it.
    assert_eq!(offer(&app, "b", json!({})).await.json()["id"], "holder");
    assert_eq!(offer(&app, "b", json!({"on_clash": "reject"})).await.code(), "duplicate");
    assert_eq!(offer(&app, "b", json!({"on_clash": "replace"})).await.json()["replaced"], true);
    // One that would be created is refused, and the holder is not superseded by it.
    assert_eq!(offer(&app, "b", json!({"on_clash": "supersede"})).await.code(), "queue_full");
    assert_eq!(job(&app, "holder").await["state"], "available");
    // The queue refuses before a key drops, and then the key drops before the unique key is taken.
    let in_both = json!({"key": "tenant", "unique": {"key": "free"}});
    assert_eq!(enqueue(&app, "c", in_both.clone()).await.code(), "queue_full");
    patch(&app, "default", json!({"max_waiting": null})).await;
    assert_eq!(enqueue(&app, "c", in_both.clone()).await.json()["cancel_reason"], "dropped");
    put(&app, "tenant", json!({"max_waiting": null})).await;
    assert_eq!(enqueue(&app, "d", in_both).await.json()["id"], "d", "the dropped one holds no key");
}
