//! Limit keys: their limits, their pauses, and jobs that name them.

use axum::http::{Method, StatusCode};
use longhaul::Claim;
use serde_json::{Value, json};

use crate::app::{Answer, App, json as request};

async fn put(app: &App, key: &str, body: &str) -> Answer {
    app.send(request(Method::PUT, &format!("/api/keys/{key}"), body, &[])).await
}

async fn enqueue(app: &App, id: &str, rest: &Value) -> Value {
    let mut body = json!({"kind": "greet", "args": {"name": "Ada"}, "id": id});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let answer = app.post("/api/jobs", &body.to_string()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

/// Claims all that a worker can take, and answers the ids.
async fn claim(app: &App) -> Vec<String> {
    let worker = longhaul::WorkerInfo { id: "w".into(), ..longhaul::WorkerInfo::default() };
    let claim = Claim {
        worker,
        queues: vec![longhaul::QueueSlots { queue: "default".into(), slots: 9 }],
        kinds: vec![longhaul::SupportedKind { kind: "greet".into(), version: 1 }],
        lease_for: std::time::Duration::from_secs(30),
        wait: std::time::Duration::ZERO,
    };
    let claimed = app.longhaul.store().claim(claim).await.unwrap();
    claimed.into_iter().map(|job| job.lease.id.to_string()).collect()
}

#[tokio::test]
async fn the_limits_of_a_key_are_set_told_and_taken_away() {
    let app = App::new();
    let set = put(&app, "tenant:*", r#"{"slots":2,"rate":{"n":90,"per":60},"weight":3}"#).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    let expected = json!({
        "key": "tenant:*", "waiting": 0, "running": 0, "slots": 2, "rate": {"n": 90, "per": 60.0, "burst": 9},
        "weight": 3, "max_waiting": null, "on_full": "reject", "own": true, "closed_until": null, "rate_free_at": null,
    });
    assert_eq!(set.json(), expected);
    assert_eq!(put(&app, "tenant:1", "{}").await.json()["slots"], Value::Null, "all of them at once");
    let of_prefix = app.get("/api/keys/tenant:7").await.json();
    assert_eq!((&of_prefix["slots"], &of_prefix["own"]), (&json!(2), &json!(false)));
    let listed = app.get("/api/keys").await.json();
    assert_eq!((&listed["keys"][0], &listed["keys"][1]["key"]), (&expected, &json!("tenant:1")));
    let removed = app.send(request(Method::DELETE, "/api/keys/tenant:*", "", &[])).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(app.get("/api/keys/tenant:7").await.json()["slots"], Value::Null);
}

#[tokio::test]
async fn a_key_tells_why_it_keeps_its_jobs_back() {
    let app = App::new();
    let why = async |key: &str| app.get(&format!("/api/keys/{key}")).await.json()["why"].clone();
    put(&app, "slots", r#"{"slots":1}"#).await;
    put(&app, "rate", r#"{"rate":{"n":1,"per":60}}"#).await;
    for key in ["slots", "rate"] {
        enqueue(&app, key, &json!({"limit_keys": [key]})).await;
        assert_eq!(why(key).await, Value::Null, "{key} is open");
    }
    assert_eq!(claim(&app).await.len(), 2);
    assert_eq!((why("slots").await, why("rate").await), (json!("slots_key"), json!("rate_key")));
    app.post("/api/keys/slots/pause", "").await;
    assert_eq!(why("slots").await, "paused_key", "its pause is looked at first");
    let listed = app.get("/api/keys").await.json();
    assert_eq!(
        (&listed["keys"][0]["why"], &listed["keys"][1]["why"]),
        (&json!("rate_key"), &json!("paused_key"))
    );
}

#[tokio::test]
async fn limits_that_cannot_be_are_refused_with_their_fields() {
    let app = App::new();
    for (key, body, field) in [
        ("a", r#"{"slots":0}"#, "slots"),
        ("a", r#"{"weight":1001}"#, "weight"),
        ("a", r#"{"rate":{"n":0,"per":1}}"#, "rate.n"),
        ("a", r#"{"rate":{"n":1,"per":0}}"#, "rate.per"),
        ("a", r#"{"rate":{"n":1,"per":-1}}"#, "rate.per"),
        ("a", r#"{"rate":{"n":1,"per":1,"burst":0}}"#, "rate.burst"),
        ("a%20b", r#"{"slots":1}"#, "key"),
        ("*a", r#"{"slots":1}"#, "key"),
    ] {
        let answer = put(&app, key, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {}", answer.text());
    }
    assert_eq!(put(&app, "a", r#"{"max_wait":5}"#).await.status.as_u16() / 100, 4);
    for path in ["/api/keys/tenant:*/pause", "/api/keys/a%20b/pause"] {
        assert_eq!(app.post(path, "").await.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    assert_eq!(app.post("/api/keys/a/pause", r#"{"for":-1}"#).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.get("/api/keys?limit=0&what=1").await.json()["errors"].as_array().unwrap().len(), 2);
    for field in ["prefix", "queue", "cursor"] {
        let answer = app.get(&format!("/api/keys?{field}=a%00b")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
        assert_eq!(answer.json()["errors"][0]["field"], field);
    }
}

#[tokio::test]
async fn a_job_names_its_keys_and_cost_and_why_says_which_keeps_it_back() {
    let app = App::new();
    put(&app, "gpu", r#"{"slots":4}"#).await;
    put(&app, "tokens", r#"{"rate":{"n":60,"per":60,"burst":10}}"#).await;
    let made =
        enqueue(&app, "a", &json!({"limit_keys": ["gpu", "tokens"], "cost": {"slots": 3, "rate": 8}})).await;
    assert_eq!((&made["limit_keys"], &made["key"]), (&json!(["gpu", "tokens"]), &json!("gpu")));
    assert_eq!(made["cost"], json!({"slots": 3, "rate": 8}));
    enqueue(&app, "b", &json!({"key": "gpu", "cost": {"slots": 2}})).await;
    enqueue(&app, "c", &json!({"limit_keys": ["tokens"], "cost": {"rate": 5}})).await;
    assert_eq!(app.get("/api/jobs/b").await.json()["cost"], json!({"slots": 2, "rate": 1}));
    assert_eq!(claim(&app).await, ["a"]);
    let of_key = async |id: &str| app.get(&format!("/api/jobs/{id}/why")).await.json()["reasons"][0].clone();
    assert_eq!(of_key("b").await, json!({"rule": "slots_key", "key": "gpu", "used": 3, "of": 4}));
    // 8 of a burst of 10 are taken, and one comes back each second.
    app.post("/api/keys/gpu/pause", r#"{"for":60}"#).await;
    assert_eq!(of_key("b").await["rule"], "paused_key");
    assert_eq!(app.get("/api/jobs/b").await.json()["state"], "available");
    let told = app.post("/api/keys/gpu/resume", "").await.json();
    assert_eq!(
        (&told["waiting"], &told["running"], &told["closed_until"]),
        (&json!(1), &json!(3), &Value::Null)
    );
    assert!(claim(&app).await.is_empty());
    let why = of_key("c").await;
    assert_eq!((&why["rule"], &why["key"]), (&json!("rate_key"), &json!("tokens")));
    app.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(claim(&app).await, ["c"]);
    let both = app.post("/api/jobs", r#"{"kind":"greet","args":1,"key":"a","limit_keys":["b"]}"#).await;
    assert_eq!(both.json()["errors"][0]["field"], "key");
    for (body, field) in [
        (r#"{"kind":"greet","args":1,"limit_keys":["a","b","c","d","e"]}"#, "limit_keys"),
        (r#"{"kind":"greet","args":1,"limit_keys":["a","a"]}"#, "limit_keys"),
        (r#"{"kind":"greet","args":1,"limit_keys":["a","b c"]}"#, "limit_keys[1]"),
        (r#"{"kind":"greet","args":1,"cost":{"slots":0}}"#, "cost.slots"),
    ] {
        assert_eq!(app.post("/api/jobs", body).await.json()["errors"][0]["field"], field, "{body}");
    }
}

#[tokio::test]
async fn keys_are_listed_by_prefix_and_queue_page_by_page() {
    let app = App::new();
    for n in 0..5 {
        enqueue(&app, &format!("j{n}"), &json!({"limit_keys": [format!("tenant:{n}"), "provider"]})).await;
    }
    enqueue(&app, "other", &json!({"queue": "mail", "key": "tenant:9"})).await;
    let names = async |query: &str| {
        let page = app.get(&format!("/api/keys?{query}")).await.json();
        let names =
            page["keys"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(names("queue=mail").await, (vec!["tenant:9".to_owned()], Value::Null));
    assert_eq!(names("prefix=pro").await.0, ["provider"]);
    let (first, next) = names("prefix=tenant:&limit=4").await;
    assert_eq!((first.len(), &next), (4, &json!("tenant:3")));
    assert_eq!(names("prefix=tenant:&limit=4&cursor=tenant:3").await.0, ["tenant:4", "tenant:9"]);
}

#[tokio::test]
async fn a_fair_queue_says_so_and_gives_each_key_its_turn() {
    let app = App::new();
    for (id, key) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")] {
        enqueue(&app, id, &json!({"key": key})).await;
    }
    let fair = app.send(request(Method::PATCH, "/api/queues/default", r#"{"fair":true}"#, &[])).await.json();
    assert_eq!(fair["config"]["fair"], json!(true));
    let kept = r#"{"retention":{"failed":{"count":5}}}"#;
    let kept = app.send(request(Method::PATCH, "/api/queues/default", kept, &[])).await.json();
    assert_eq!(kept["config"]["fair"], json!(true), "what is left out stays");
    assert_eq!(claim(&app).await, ["a1", "b1", "a2", "a3"]);
}
