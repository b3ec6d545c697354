use axum::http::StatusCode;
use insta::assert_snapshot;
use longhaul::{Longhaul, MemoryStore};
use longhaul_http::HttpConfig;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::kinds;

#[tokio::test]
async fn a_held_post_answers_with_the_output() {
    let app = App::new();
    let worker = app.work();
    let body = r#"{"kind":"greet","args":{"name":"Ada"},"id":"g"}"#;
    let answer = app.post_with("/api/jobs", body, &[("prefer", "respond-async, wait=30")]).await;
    assert_snapshot!(answer.text());
    drop(worker);
}

#[tokio::test]
async fn a_held_post_of_a_job_that_fails_answers_with_its_errors() {
    let app = App::new();
    let worker = app.work();
    let body = r#"{"kind":"greet","args":{"name":""},"id":"g"}"#;
    let answer = app.post_with("/api/jobs", body, &[("prefer", "wait=30")]).await;
    assert_snapshot!(answer.text());
    drop(worker);
}

#[tokio::test]
async fn a_held_get_answers_when_the_job_ends() {
    let app = App::new();
    let worker = app.work();
    app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":1},"id":"t"}"#).await;
    let (held, ()) = tokio::join!(app.get_with("/api/jobs/t", &[("prefer", "wait=3600")]), async {
        tokio::task::yield_now().await;
        app.gate.add_permits(1);
    });
    assert_eq!((held.status, held.header("preference-applied")), (StatusCode::OK, "wait=60"));
    assert_eq!((&held.json()["state"], &held.json()["output"]), (&"completed".into(), &1.into()));
    drop(worker);
}

#[tokio::test]
async fn an_answer_is_held_no_longer_than_was_asked() {
    // On the machine's clock and without a worker: the second that passes is the one that was asked for.
    let longhaul = Longhaul::new(MemoryStore::new());
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig::default());
    let body = r#"{"kind":"greet","args":{"name":"Ada"}}"#;
    let answer = app.post_with("/api/jobs", body, &[("prefer", "wait=1")]).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (StatusCode::ACCEPTED, "wait=1"));
    assert_eq!(answer.json()["state"], "available");
}

#[tokio::test]
async fn a_server_that_stops_lets_go_of_held_answers() {
    let stopping = CancellationToken::new();
    let app = App::with(HttpConfig { stopping: stopping.clone(), ..HttpConfig::default() });
    let body = r#"{"kind":"greet","args":{"name":"Ada"}}"#;
    let (answer, ()) = tokio::join!(app.post_with("/api/jobs", body, &[("prefer", "wait=60")]), async {
        tokio::task::yield_now().await;
        stopping.cancel();
    });
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_held_duplicate_is_still_called_one() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"Ada"}"#).await;
    let body = r#"{"kind":"greet","args":{"name":"Bob"},"id":"g"}"#;
    let answer = app.post_with("/api/jobs", body, &[("prefer", "wait=30")]).await;
    assert_eq!((answer.status, &answer.json()["duplicate"]), (StatusCode::OK, &true.into()));
    assert_eq!(answer.json()["output"], "hello, Ada");
    drop(worker);
}
