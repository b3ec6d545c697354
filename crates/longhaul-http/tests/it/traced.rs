//! Requests that stand in a trace, in a process that traces nothing itself.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::app::App;

const PLACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn claimed(app: &App) -> Vec<Value> {
    let claim = json!({
        "worker": {"id": "painter"}, "queues": [{"queue": "default", "slots": 10}],
        "kinds": [{"kind": "greet"}, {"kind": "longhaul.webhook"}],
    });
    let answer = app.post("/api/worker/claim", &claim.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["claimed"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_job_carries_the_trace_context_of_its_request_to_its_worker() {
    let app = App::new();
    let job =
        json!({"kind": "greet", "args": {"name": "Ada"}, "id": "a", "webhook": "https://example.com/hook"});
    let accepted = app.post_with("/api/jobs", &job.to_string(), &[("traceparent", PLACE)]).await;
    assert_eq!(accepted.json()["traceparent"], PLACE);
    assert_eq!(app.get("/api/jobs/a").await.json()["traceparent"], PLACE);
    assert_eq!(
        app.get("/api/jobs/webhook:a").await.json()["traceparent"],
        PLACE,
        "its webhook is told there, too"
    );
    let [job] = &claimed(&app).await[..] else { panic!() };
    assert_eq!(job["traceparent"], PLACE);
    assert_eq!(job["policy"], Value::Null, "it is told once");
}

#[tokio::test]
async fn all_jobs_of_a_batch_carry_the_place_of_their_request() {
    let app = App::new();
    let jobs = json!([{"kind": "greet", "args": {"name": "a"}}, {"kind": "greet", "args": {"name": "b"}}]);
    let accepted = app.post_with("/api/jobs/batch", &jobs.to_string(), &[("traceparent", PLACE)]).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let claimed = claimed(&app).await;
    assert_eq!(
        claimed.iter().map(|job| job["traceparent"].as_str().unwrap()).collect::<Vec<_>>(),
        [PLACE; 2]
    );
}

#[tokio::test]
async fn a_place_that_cannot_be_read_is_none() {
    let app = App::new();
    for header in ["", "00", "00-0-0-0", &PLACE.to_uppercase(), &PLACE[..54]] {
        let accepted = app
            .post_with(
                "/api/jobs",
                r#"{"kind": "greet", "args": {"name": "Ada"}}"#,
                &[("traceparent", header)],
            )
            .await;
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{header}");
        assert_eq!(accepted.json().get("traceparent"), None, "{header}");
    }
    assert!(claimed(&app).await.iter().all(|job| job.get("traceparent").is_none()));
}
