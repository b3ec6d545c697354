use axum::http::StatusCode;
use insta::assert_snapshot;

use crate::app::App;

#[tokio::test]
async fn a_batch_answers_one_for_each_job_in_order() {
    let app = App::new();
    let body = r#"[
        {"kind":"greet","args":{"name":"a"},"id":"a"},
        {"kind":"greet","args":{"name":"b"},"id":"b"},
        {"kind":"greet","args":{"name":"c"},"id":"a"}
    ]"#;
    assert_snapshot!(app.post("/api/jobs/batch", body).await.text());
    assert_eq!(app.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_batch_with_one_bad_job_creates_none() {
    let app = App::new();
    let body = r#"[
        {"kind":"greet","args":{"name":"a"},"id":"a"},
        {"kind":"greet","args":{"name":"b"},"max_attempts":0},
        {"kind":"who","args":{}}
    ]"#;
    assert_snapshot!(app.post("/api/jobs/batch", body).await.text());
    assert_eq!(app.get("/api/jobs/a").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_batch_is_bounded_and_may_be_empty() {
    let app = App::new();
    // As many are more than the body of another request may have.
    let job = format!(r#"{{"kind":"greet","args":{{"name":"{}"}}}}"#, "x".repeat(200));
    let jobs = |n: usize| format!("[{}]", vec![job.as_str(); n].join(","));
    let most = app.post("/api/jobs/batch", &jobs(10_000)).await;
    assert_eq!(most.status, StatusCode::ACCEPTED);
    assert_eq!(most.json().as_array().unwrap().len(), 10_000);
    assert_eq!(app.post("/api/jobs/batch", &jobs(10_001)).await.code(), "invalid");
    let large = app.post("/api/jobs/batch", &format!("[{}]", " ".repeat(16 * 1024 * 1024))).await;
    assert_eq!((large.status, large.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    let none = app.post("/api/jobs/batch", "[]").await;
    assert_eq!((none.status, &none.body[..]), (StatusCode::ACCEPTED, &b"[]"[..]));
}
