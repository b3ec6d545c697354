//! The audit log: who has changed what.

use axum::http::{Method, StatusCode};
use longhaul_http::HttpConfig;
use serde_json::{Value, json};

use crate::access::guarded;
use crate::app::{App, json as request};
use crate::tokens::token;

const ADMIN: (&str, &str) = ("authorization", "Bearer s3cret");
const ADA: (&str, &str) = ("authorization", "Bearer operator-ada");

async fn log(app: &App, query: &str) -> Value {
    app.get_with(&format!("/api/audit{query}"), &[ADMIN]).await.json()
}

/// The members of all entries that tell what was done, the oldest first.
async fn told(app: &App) -> Vec<String> {
    let log = log(app, "").await;
    let told = |entry: &Value| {
        let word = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let count = entry["count"].as_u64().map_or_else(String::new, |count| format!(" {count}"));
        let reason =
            entry["reason"].as_str().map_or_else(String::new, |reason| format!(" refused: {reason}"));
        assert_eq!(entry["outcome"] == "refused", !reason.is_empty());
        format!("{} ({}) {} {}{count}{reason}", word("who"), word("role"), word("action"), word("object"))
    };
    let mut told: Vec<String> = log["entries"].as_array().unwrap().iter().map(told).collect();
    told.reverse();
    told
}

async fn enqueue(app: &App, id: &str) {
    let body = json!({"kind": "greet", "args": {"name": "x"}, "id": id});
    assert_eq!(app.post_with("/api/jobs", &body.to_string(), &[ADA]).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_was_changed_is_told_with_who_and_how_many() {
    let app = App::with(guarded());
    for id in ["a", "b", "c"] {
        enqueue(&app, id).await;
    }
    let operator = token(&app, &json!({"name": "the night shift", "scopes": ["operator"]})).await;
    let step = async |method: Method, path: &str, body: &str, who: (&str, &str)| {
        app.clock.advance(std::time::Duration::from_millis(1));
        let answer = app.send(request(method, path, body, &[who])).await;
        assert!(answer.status.is_success(), "{path} {answer:?}");
        answer
    };
    step(Method::POST, "/api/queues/default/pause", "", ADA).await;
    step(Method::POST, "/api/jobs/a/cancel", "", ADA).await;
    let cancel = r#"{"action":"cancel","filter":{"state":"available"},"dry_run":DRY}"#;
    step(Method::POST, "/api/jobs/actions", &cancel.replace("DRY", "true"), ADA).await;
    step(Method::POST, "/api/jobs/actions", &cancel.replace("DRY", "false"), ADA).await;
    step(Method::PUT, "/api/keys/tenant%3A7", r#"{"slots":2}"#, ADMIN).await;
    let secret = step(Method::POST, "/api/webhook-secrets", "", ADMIN).await.json();
    app.clock.advance(std::time::Duration::from_millis(1));
    assert_eq!(operator.post(&app, "/api/jobs/a/retry", &Value::Null).await.status, StatusCode::ACCEPTED);
    step(Method::GET, "/api/queues", "", ADA).await;
    let (id, secret) = (operator.id.clone(), secret["id"].as_str().unwrap());
    let expected = [
        format!("the administrator's token (admin) token.create {id}"),
        "ada (operator) queue.pause default".into(),
        "ada (operator) job.cancel a".into(),
        "ada (operator) jobs.cancel {\"state\":\"available\"} 2".into(),
        "the administrator's token (admin) key.set tenant:7".into(),
        format!("the administrator's token (admin) webhook_secret.create {secret}"),
        "the night shift (operator) job.retry a".into(),
    ];
    assert_eq!(told(&app).await, expected);
    let newest = &log(&app, "?limit=1").await["entries"][0];
    assert_eq!((&newest["token"], &newest["request_id"]), (&json!(id), &json!("test")));
    assert_eq!(newest["at"], "2026-01-01T00:00:00.007Z");
}

#[tokio::test]
async fn what_was_refused_for_want_of_rights_is_told_once_with_the_number_of_attempts() {
    let app = App::with(guarded());
    let shop = token(&app, &json!({"name": "shop", "scopes": ["enqueue:mail"]})).await;
    app.clock.advance(std::time::Duration::from_millis(1));
    let guess = ("authorization", "Bearer guess");
    let enqueue = r#"{"kind":"greet","args":{"name":"x"}}"#;
    for (method, path, body, who) in [
        (Method::PATCH, "/api/queues/default", r#"{"slots":1}"#, Some(ADA)),
        (Method::POST, "/api/queues/default/pause", "", Some(guess)),
        (Method::POST, "/api/queues/default/pause", "", Some(guess)),
        (Method::POST, "/api/queues/default/pause", "", None),
        (Method::POST, "/api/jobs", enqueue, Some(("authorization", "Bearer viewer-eva"))),
        (Method::GET, "/api/queues", "", None),
    ] {
        app.clock.advance(std::time::Duration::from_millis(1));
        let headers: Vec<_> = who.into_iter().collect();
        let answer = app.send(request(method, path, body, &headers)).await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{path} {answer:?}");
    }
    app.clock.advance(std::time::Duration::from_millis(1));
    let refused = shop.post(&app, "/api/jobs", &serde_json::from_str(enqueue).unwrap()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let expected = [
        format!("the administrator's token (admin) token.create {}", shop.id),
        "ada (operator) queue.set default refused: forbidden".into(),
        "unknown (-) queue.pause default 2 refused: invalid_token".into(),
        "unknown (-) queue.pause default refused: unauthorized".into(),
        "eva (viewer) job.enqueue  refused: forbidden".into(),
        "shop (-) job.enqueue  refused: forbidden".into(),
    ];
    assert_eq!(told(&app).await, expected);
}

#[tokio::test]
async fn what_has_changed_nothing_is_not_told() {
    let app = App::with(guarded());
    for (method, path, body, who) in [
        (Method::POST, "/api/jobs/nobody/cancel", "", ADA),
        (Method::PATCH, "/api/queues/default", r#"{"slots":-1}"#, ADMIN),
    ] {
        let answer = app.send(request(method, path, body, &[who])).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
    assert_eq!(told(&app).await, Vec::<String>::new());
    assert_eq!(app.get_with("/api/audit?limit=0", &[ADMIN]).await.code(), "invalid");
}

#[tokio::test]
async fn the_log_is_read_page_by_page_by_whoever_reads_everything() {
    let app = App::with(guarded());
    for n in 0..5 {
        app.clock.advance(std::time::Duration::from_secs(1_800));
        app.send(request(Method::POST, &format!("/api/queues/q{n}/pause"), "", &[ADA])).await;
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = app
            .get_with(&format!("/api/audit{query}"), &[("authorization", "Bearer viewer-eva")])
            .await
            .json();
        seen.extend(
            page["entries"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["object"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(seen, ["q4", "q3", "q2", "q1", "q0"]);
}

#[tokio::test]
async fn whoever_needs_no_token_has_the_name_that_the_application_gives() {
    for (local, who) in [(Some("ada (longhaul command)"), "ada (longhaul command)"), (None, "anybody")] {
        let app = App::with(HttpConfig { local: local.map(str::to_owned), ..HttpConfig::default() });
        app.post("/api/queues/mail/resume", "").await;
        assert_eq!(told(&app).await, [format!("{who} (admin) queue.resume mail")]);
    }
}
