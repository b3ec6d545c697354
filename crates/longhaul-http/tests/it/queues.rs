use axum::http::{Method, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::app::{Answer, App, json as request};

/// Two queues: in `default` one job of every state that a job can be in here, in `beds` one that waits.
async fn app() -> App {
    let app = App::new();
    let worker = app.work();
    app.run("done", "greet", r#"{"name":"Ada"}"#).await;
    app.run("broken", "greet", r#"{"name":""}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    for body in [
        r#"{"kind":"greet","args":{"name":"x"},"id":"waits"}"#,
        r#"{"kind":"greet","args":{"name":"x"},"id":"later","delay":60}"#,
        r#"{"kind":"greet","args":{"name":"x"},"id":"stopped"}"#,
        r#"{"kind":"nap","args":{"seconds":1},"queue":"beds"}"#,
    ] {
        assert_eq!(app.post("/api/jobs", body).await.status, StatusCode::ACCEPTED);
    }
    app.post("/api/jobs/stopped/cancel", "").await;
    app
}

async fn patch(app: &App, path: &str, body: &str) -> Answer {
    app.send(request(Method::PATCH, path, body, &[])).await
}

#[tokio::test]
async fn queues_are_listed_by_name_with_both_sorts_of_counts() {
    assert_snapshot!(app().await.get("/api/queues").await.text());
    assert_eq!(App::new().get("/api/queues").await.json(), json!({"queues": []}));
}

#[tokio::test]
async fn a_queue_is_looked_up_by_name() {
    let app = app().await;
    assert_snapshot!(app.get("/api/queues/default").await.text());
    let counts = app.get("/api/queues/default").await.json()["states"].clone();
    let listed = app.get("/api/jobs?queue=default").await.json()["jobs"].as_array().unwrap().len();
    let total: u64 = counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(total, listed as u64, "every job is counted once");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_unknown() {
    let app = app().await;
    assert_snapshot!(app.get("/api/queues/nobody").await.text());
    assert_eq!(app.get("/api/queues/%ff").await.code(), "invalid_path");
}

#[tokio::test]
async fn a_queue_is_configured_before_its_first_job() {
    let app = App::new();
    let set =
        patch(&app, "/api/queues/beds", r#"{"max_waiting":1,"retention":{"failed":{"count":1}}}"#).await;
    assert_eq!((set.status, &set.json()["config"]["max_waiting"]), (StatusCode::OK, &json!(1)));
    assert_eq!(app.get("/api/queues").await.json()["queues"][0], set.json(), "and is listed from then on");
    let nap = r#"{"kind":"nap","args":{"seconds":1},"queue":"beds"}"#;
    assert_eq!(app.post("/api/jobs", nap).await.status, StatusCode::ACCEPTED);
    assert_eq!(app.post("/api/jobs", nap).await.code(), "queue_full", "its first job finds the bound");
    let unnamed = patch(&app, &format!("/api/queues/{}", "q".repeat(300)), "{}").await;
    assert_eq!(unnamed.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", unnamed.text());
    assert_eq!(app.get("/api/queues").await.json()["queues"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn slots_and_a_rate_of_a_queue_hold_are_told_and_taken_away_by_null() {
    let app = App::new();
    let path = "/api/queues/default";
    let set = patch(&app, path, r#"{"slots":1,"rate":{"n":10,"per":10,"burst":2}}"#).await.json();
    let limits = |queue: &Value| {
        json!([queue["config"]["slots"], queue["config"]["rate"], queue["used"], queue["rate_left"]])
    };
    assert_eq!(limits(&set), json!([1, {"n": 10, "per": 10.0, "burst": 2}, 0, 2]));
    for id in ["a", "b"] {
        app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":{{"name":"Ada"}},"id":"{id}"}}"#)).await;
    }
    let claim = json!({"worker": {"id": "w"}, "queues": [{"queue": "default", "slots": 9}], "kinds": [{"kind": "greet"}]});
    let claimed = app.post("/api/worker/claim", &claim.to_string()).await.json();
    assert_eq!(claimed["claimed"].as_array().unwrap().len(), 1, "there is one slot");
    let now = app.get(path).await.json();
    assert_eq!(limits(&now), json!([1, {"n": 10, "per": 10.0, "burst": 2}, 1, 1]));
    assert_eq!(now["rate_free_at"], "2026-01-01T00:00:01.000Z");
    let reasons = app.get("/api/jobs/b/why").await.json()["reasons"].clone();
    let slots = json!({"rule": "slots_queue", "key": "default", "used": 1, "of": 1});
    assert_eq!(reasons[0], slots, "{reasons}");
    let off = patch(&app, path, r#"{"slots":null,"rate":null}"#).await.json();
    assert_eq!(limits(&off), json!([null, null, null, null]));
    let claimed = app.post("/api/worker/claim", &claim.to_string()).await.json();
    assert_eq!(claimed["claimed"].as_array().unwrap().len(), 1, "nothing keeps the other any more");
}

#[tokio::test]
async fn what_a_patch_leaves_out_stays_as_it_is() {
    let app = app().await;
    let body = r#"{"retention":{"completed":{"age":3600,"count":10},"failed":{"age":null}}}"#;
    assert_snapshot!(patch(&app, "/api/queues/default", body).await.text());
    let second = patch(&app, "/api/queues/default", r#"{"retention":{"completed":{"count":null}}}"#).await;
    let expected = json!({
        "completed": {"age": 3600.0, "count": null},
        "failed": {"age": null, "count": null},
        "cancelled": {"age": 86_400.0, "count": null},
    });
    assert_eq!(second.json()["config"]["retention"], expected);
    assert_eq!(patch(&app, "/api/queues/default", "{}").await.json()["config"]["retention"], expected);
    assert_eq!(app.get("/api/queues/default").await.json()["config"]["retention"], expected);
    let other = app.get("/api/queues/beds").await.json()["config"]["retention"].clone();
    assert_eq!(other["completed"]["age"], json!(86_400.0), "the other queue is as it was");
}

#[tokio::test]
async fn a_retention_that_is_set_is_kept_to() {
    let app = app().await;
    patch(&app, "/api/queues/default", r#"{"retention":{"completed":{"age":5}}}"#).await;
    app.clock.advance(std::time::Duration::from_secs(6));
    app.longhaul.store().sweep(100).await.unwrap();
    let states = app.get("/api/queues/default").await.json()["states"].clone();
    assert_eq!((&states["completed"], &states["failed"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn a_patch_that_is_not_understood_changes_nothing() {
    let app = app().await;
    let before = app.get("/api/queues/default").await.json();
    for (body, field) in [
        (r#"{"paused":true}"#, "paused"),
        (r#"{"retention":{"available":{"age":1}}}"#, "retention.available"),
        (r#"{"retention":{"failed":{"age":-1}}}"#, "retention.failed.age"),
        (r#"{"retention":{"failed":{"age":"a day"}}}"#, "retention.failed.age"),
        (r#"{"retention":{"failed":{"count":-1}}}"#, "retention.failed.count"),
        (r#"{"retention":{"failed":{"count":1.5}}}"#, "retention.failed.count"),
        (r#"{"retention":null}"#, "retention"),
        (r#"{"slots":0}"#, "slots"),
        (r#"{"rate":{"n":0,"per":1}}"#, "rate.n"),
        (r#"{"rate":{"n":1,"per":0}}"#, "rate.per"),
        (r#"{"rate":{"n":1,"per":-1}}"#, "rate.per"),
        (r#"{"rate":{"n":1}}"#, "rate"),
    ] {
        let answer = patch(&app, "/api/queues/default", body).await;
        assert_eq!(answer.code(), "invalid", "{body}");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {}", answer.text());
    }
    assert_eq!(app.get("/api/queues/default").await.json(), before);
}
