//! Jobs that wait for others, and for signals.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::{Answer, App};

async fn job(app: &App, id: &str) -> Value {
    app.get(&format!("/api/jobs/{id}")).await.json()
}

async fn enqueue(app: &App, id: &str, rest: Value) -> Answer {
    let mut body = json!({"kind": "greet", "args": {"name": id}, "id": id});
    body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    app.post("/api/jobs", &body.to_string()).await
}

#[tokio::test]
async fn a_job_that_depends_on_another_is_blocked_until_that_has_ended() {
    let app = App::new();
    enqueue(&app, "first", json!({})).await;
    let accepted = enqueue(&app, "second", json!({"depends_on": ["first"]})).await;
    assert_eq!((accepted.status, &accepted.json()["state"]), (StatusCode::ACCEPTED, &json!("blocked")));
    let second = job(&app, "second").await;
    assert_eq!(second, accepted.json(), "what is accepted is what is found");
    assert_eq!(second["depends_on"], json!([{"id": "first", "on_failure": "cancel"}]));
    assert_eq!((&second["waits_for"], &second["wakes_at"]), (&json!("dependencies"), &json!(null)));
    app.post("/api/jobs/first/cancel", "").await;
    let second = job(&app, "second").await;
    assert_eq!((&second["state"], &second["cancel_reason"]), (&json!("cancelled"), &json!("dependency")));
    let late = enqueue(&app, "late", json!({"depends_on": ["first"]})).await.json();
    assert_eq!((&late["state"], &late["cancel_reason"]), (&json!("cancelled"), &json!("dependency")));
    let on = json!({"depends_on": [{"id": "first", "on_failure": "run"}]});
    let any = enqueue(&app, "any", on.clone()).await.json();
    assert_eq!((&any["state"], &any["depends_on"]), (&json!("available"), &on["depends_on"]));
}

#[tokio::test]
async fn jobs_of_a_batch_may_depend_on_those_before_them_and_on_no_others() {
    let app = App::new();
    let job = |id: &str, on: &str| {
        let on: Vec<&str> = on.split_whitespace().collect();
        json!({"kind": "greet", "args": {"name": id}, "id": id, "depends_on": on})
    };
    let batch = json!([job("a", ""), job("b", "a"), job("c", "a b")]).to_string();
    assert_eq!(app.post("/api/jobs/batch", &batch).await.status, StatusCode::ACCEPTED);
    assert_eq!(app.get("/api/jobs/c").await.json()["state"], "blocked");
    let circle = json!([job("d", "e"), job("e", "d")]).to_string();
    let refused = app.post("/api/jobs/batch", &circle).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid".into()));
    assert_eq!(refused.json()["errors"][0]["field"], "[0].depends_on[0]");
    assert_eq!(app.get("/api/jobs/d").await.status, StatusCode::NOT_FOUND, "nothing of the call was created");
}

#[tokio::test]
async fn dependencies_that_cannot_be_are_refused_with_their_place() {
    let app = App::new();
    for (on, field, word) in [
        (json!(["nobody"]), "depends_on[0]", "nobody"),
        (json!([{"id": "no good id"}]), "depends_on[0]", "128"),
        (json!(["me"]), "depends_on[0]", "another job"),
        (json!([{"id": "x", "on_failure": "wait"}]), "depends_on[0].on_failure", "cancel"),
        (json!([{"on_failure": "run"}]), "depends_on[0]", "id"),
        (json!([{"id": "x", "when": 1}]), "depends_on[0].when", "unknown field"),
        (json!([7]), "depends_on[0]", "a job's id"),
        (json!("x"), "depends_on", "sequence"),
    ] {
        let refused = enqueue(&app, "me", json!({ "depends_on": on })).await;
        assert_eq!(refused.code(), "invalid", "{on}");
        let error = refused.json()["errors"][0].clone();
        assert_eq!(error["field"], field, "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    assert_eq!(app.get("/api/jobs/me").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_job_tells_what_becomes_of_it_when_its_attempts_are_used_up() {
    let app = App::new();
    assert_eq!(enqueue(&app, "a", json!({"on_exhausted": "pause"})).await.json()["on_exhausted"], "pause");
    assert_eq!(job(&app, "a").await["on_exhausted"], "pause");
    assert_eq!(enqueue(&app, "b", json!({})).await.json()["on_exhausted"], "fail");
    let refused = enqueue(&app, "c", json!({"on_exhausted": "stop"})).await;
    assert_eq!(refused.json()["errors"][0]["field"], "on_exhausted");
}
