use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use insta::assert_snapshot;

use crate::app::{App, request};

#[tokio::test]
async fn a_completed_job_has_its_output_and_its_times() {
    let app = App::new();
    let worker = app.work();
    app.run("n", "nap", r#"{"seconds":3}"#).await;
    assert_snapshot!(app.get("/api/jobs/n").await.text());
    drop(worker);
}

#[tokio::test]
async fn a_job_that_failed_once_has_that_error_and_its_progress() {
    let app = App::new();
    let worker = app.work();
    app.run("s", "stumble", "{}").await;
    assert_snapshot!(app.get("/api/jobs/s").await.text());
    drop(worker);
}

#[tokio::test]
async fn a_waiting_job_has_its_position() {
    let app = App::new();
    for id in ["a", "b", "c"] {
        app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}"}}"#)).await;
    }
    assert_eq!(app.get("/api/jobs/c").await.json()["position"], 3);
    assert_eq!(app.get("/api/jobs/a").await.header("retry-after"), "1");
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind":"tell","args":{"lines":1},"id":"t"}"#).await;
    let first = app.get("/api/jobs/t").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".into()] {
        let same = app.get_with("/api/jobs/t", &[("if-none-match", &known)]).await;
        assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!((same.header("etag"), same.header("retry-after")), (tag.as_str(), "1"));
    }

    let worker = app.work();
    app.gate.add_permits(1);
    let ended = app.get_with("/api/jobs/t", &[("if-none-match", &tag), ("prefer", "wait=60")]).await;
    assert_eq!((ended.status, &ended.json()["state"]), (StatusCode::OK, &"completed".into()));
    assert_ne!(ended.header("etag"), tag);
    assert_eq!(ended.header("retry-after"), "", "there is nothing to come back for");
    drop(worker);
}

#[tokio::test]
async fn a_tag_changes_with_everything_that_the_answer_says() {
    let app = App::new();
    for id in ["a", "b"] {
        app.post("/api/jobs", &format!(r#"{{"kind":"greet","args":{{"name":"x"}},"id":"{id}"}}"#)).await;
    }
    let tag = app.get("/api/jobs/b").await.header("etag").to_owned();
    app.post("/api/jobs/a/cancel", "").await;
    let moved_up = app.get_with("/api/jobs/b", &[("if-none-match", &tag)]).await;
    assert_eq!((moved_up.status, &moved_up.json()["position"]), (StatusCode::OK, &1.into()));
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let app = App::new();
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#).await;
    let get = app.get("/api/jobs/g").await;
    let head = app.send(request(Method::HEAD, "/api/jobs/g").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_deleted_job_is_gone_for_a_day_and_then_unknown() {
    let app = App::new();
    let worker = app.work();
    app.run("g", "greet", r#"{"name":"x"}"#).await;
    assert_snapshot!(app.delete("/api/jobs/g").await.text());
    assert_snapshot!(app.get("/api/jobs/g").await.text());
    app.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert_snapshot!(app.get("/api/jobs/g").await.text());
    drop(worker);
}

#[tokio::test]
async fn an_id_that_could_not_be_is_unknown_and_one_that_is_no_text_is_refused() {
    let app = App::new();
    for id in ["a%20b", "%00", &"x".repeat(129), "..%2f..%2fetc"] {
        assert_eq!(app.get(&format!("/api/jobs/{id}")).await.code(), "no_such_job", "{id}");
    }
    let answer = app.get("/api/jobs/%ff").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_path"));
}
