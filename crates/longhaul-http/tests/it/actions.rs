use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::json;

use crate::app::App;

const RUNNING: &str = r#"{"kind":"tell","args":{"lines":1},"id":"t"}"#;

/// Waits until a job's state is another than `available`, by its events.
async fn until_it_runs(app: &App, id: &str) {
    let id = longhaul::JobId::new(id).unwrap();
    let patience = std::time::Duration::from_secs(30);
    app.longhaul.events(&id, 1, 1, patience).await.unwrap().expect("the job is there");
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    assert_snapshot!(app.post("/api/jobs/t/cancel", "").await.text());
    let again = app.post("/api/jobs/t/cancel", "").await;
    assert_eq!((again.status, &again.json()["state"]), (StatusCode::OK, &json!("cancelled")));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let app = App::new();
    let worker = app.work_attentively();
    app.post("/api/jobs", RUNNING).await;
    until_it_runs(&app, "t").await;
    assert_snapshot!(app.post("/api/jobs/t/cancel", "").await.text());
    let ended = app.get_with("/api/jobs/t", &[("prefer", "wait=30")]).await;
    assert_eq!(ended.json()["state"], "cancelled");
    drop(worker);
}

#[tokio::test]
async fn a_finished_job_stays_as_it_is_when_cancelled() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    let answer = app.post("/api/jobs/g/cancel", "").await;
    assert_eq!((answer.status, &answer.json()["state"]), (StatusCode::OK, &json!("completed")));
    drop(worker);
}

#[tokio::test]
async fn a_finished_job_is_run_again() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":""}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    let answer = app.post("/api/jobs/g/retry", "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::ACCEPTED, "/api/jobs/g"));
    assert_eq!(answer.json()["state"], "available");
    let worker = app.work();
    let ended = app.get_with("/api/jobs/g", &[("prefer", "wait=30")]).await;
    assert_eq!(ended.json()["errors"].as_array().unwrap().len(), 2);
    drop(worker);
}

#[tokio::test]
async fn an_unfinished_job_is_neither_run_again_nor_deleted() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    assert_snapshot!(app.post("/api/jobs/t/retry", "").await.text());
    assert_eq!(app.delete("/api/jobs/t").await.code(), "not_finished");
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn a_job_whose_unique_key_another_holds_is_not_run_again() {
    let app = App::new();
    let unique =
        |id: &str| format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}","unique":{{"key":"k"}}}}"#);
    app.post("/api/jobs", &unique("first")).await;
    app.post("/api/jobs/first/cancel", "").await;
    app.post("/api/jobs", &unique("second")).await;
    let answer = app.post("/api/jobs/first/retry", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::CONFLICT, "unique_key_held"));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_acted_on() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    app.delete("/api/jobs/g").await;
    for path in ["/api/jobs/g/cancel", "/api/jobs/g/retry"] {
        assert_eq!(app.post(path, "").await.code(), "job_gone");
    }
    assert_eq!(app.delete("/api/jobs/g").await.code(), "job_gone");
    for path in ["/api/jobs/x/cancel", "/api/jobs/x/retry"] {
        assert_eq!(app.post(path, "").await.code(), "no_such_job");
    }
    assert_eq!(app.delete("/api/jobs/x").await.code(), "no_such_job");
    drop(worker);
}

#[tokio::test]
async fn many_jobs_are_acted_on_by_filter_and_limit() {
    let app = App::new();
    for n in 0..5 {
        let team = if n == 0 { "blue" } else { "red" };
        let body =
            format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"j{n}","labels":{{"team":"{team}"}}}}"#);
        app.post("/api/jobs", &body).await;
    }
    let act = async |body: &str| app.post("/api/jobs/actions", body).await.json();
    let red = r#""filter":{"labels":{"team":"red"},"state":"available"}"#;
    assert_eq!(
        act(&format!(r#"{{"action":"cancel",{red},"limit":3}}"#)).await,
        json!({"count": 3, "more": true})
    );
    assert_eq!(act(&format!(r#"{{"action":"cancel",{red}}}"#)).await, json!({"count": 1, "more": false}));
    let ids = r#""filter":{"ids":["j1","j2","nobody"]}"#;
    assert_eq!(act(&format!(r#"{{"action":"retry",{ids}}}"#)).await, json!({"count": 2, "more": false}));
    let ended = r#""filter":{"state":["cancelled","failed"],"kind":["greet"],"queue":"default","q":"j"}"#;
    assert_eq!(act(&format!(r#"{{"action":"delete",{ended}}}"#)).await, json!({"count": 2, "more": false}));
    assert_eq!(app.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_action_that_is_not_understood_does_nothing() {
    let app = App::new();
    app.post("/api/jobs", RUNNING).await;
    for body in [
        r#"{"action":"cancel"}"#,
        r#"{"action":"explode","filter":{}}"#,
        r#"{"action":"cancel","filter":{"state":"done"}}"#,
        r#"{"action":"cancel","filter":{"states":["available"]}}"#,
        r#"{"action":"cancel","filter":{"ids":["a b"]}}"#,
        r#"{"action":"cancel","filter":{},"limit":0}"#,
    ] {
        assert_eq!(app.post("/api/jobs/actions", body).await.code(), "invalid", "{body}");
    }
    assert_eq!(app.get("/api/jobs/t").await.json()["state"], "available");
}

#[tokio::test]
async fn all_failed_jobs_of_a_queue_are_retried_or_cleaned_away_in_one_call() {
    let app = App::new();
    let worker = app.work();
    for n in 0..5 {
        app.run(&format!("f{n}"), "greet", r#"{"name":""}"#).await;
    }
    app.run("good", "greet", r#"{"name":"x"}"#).await;
    worker.shutdown(std::time::Duration::from_secs(5)).await;
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":""},"id":"other","queue":"beds"}"#).await;
    app.post("/api/jobs/other/cancel", "").await;
    let states = async || app.get("/api/queues/default").await.json()["states"].clone();

    let retry = r#"{"action":"retry","filter":{"queue":"default","state":"failed"},"limit":2}"#;
    assert_snapshot!(app.post("/api/jobs/actions", retry).await.text());
    assert_eq!((&states().await["failed"], &states().await["available"]), (&json!(3), &json!(2)));
    let clean = r#"{"action":"delete","filter":{"queue":"default","state":"failed"}}"#;
    assert_eq!(app.post("/api/jobs/actions", clean).await.json(), json!({"count": 3, "more": false}));
    assert_eq!(app.post("/api/jobs/actions", clean).await.json(), json!({"count": 0, "more": false}));
    let left = states().await;
    assert_eq!((&left["failed"], &left["available"], &left["completed"]), (&json!(0), &json!(2), &json!(1)));
    assert_eq!(app.get("/api/jobs/other").await.json()["state"], "cancelled", "another queue's is let alone");
}
