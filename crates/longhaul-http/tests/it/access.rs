use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use insta::assert_snapshot;
use longhaul_http::{Access, HttpConfig, Identity, Role, Secret, Verifier};

use crate::app::{Answer, App, request};

/// Takes `jwt-of-NAME` for an admin's token, and `viewer-NAME` and its like for others.
pub(crate) fn bearer(token: &str) -> Option<Identity> {
    let (word, name) = token.split_once('-')?;
    let (role, name) = match name.strip_prefix("of-") {
        Some(name) if word == "jwt" => (Role::Admin, name),
        _ => (word.parse().ok()?, name),
    };
    Some(Identity { subject: name.into(), name: None, role, expires_at: None })
}

pub(crate) fn guarded() -> HttpConfig {
    let verifier = Verifier::new(bearer);
    HttpConfig {
        access: Access::Bearer { token: Secret(b"s3cret".to_vec()), verifier: Some(verifier) },
        read_token_secret: Some(Secret(b"a secret that signs".to_vec())),
        ..HttpConfig::default()
    }
}

async fn as_(app: &App, token: &str, path: &str) -> Answer {
    app.get_with(path, &[("authorization", &format!("Bearer {token}"))]).await
}

/// Makes the job `g` and a token that reads it.
async fn read_token(app: &App) -> String {
    let admin = ("authorization", "Bearer s3cret");
    let body = r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#;
    assert_eq!(app.post_with("/api/jobs", body, &[admin]).await.status, StatusCode::ACCEPTED);
    let answer = app.post_with("/api/jobs/g/token", r#"{"expires_in": 60}"#, &[admin]).await;
    assert_eq!(
        (answer.status, &answer.json()["expires_at"]),
        (StatusCode::CREATED, &"2026-01-01T00:01:00.000Z".into())
    );
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_stranger_is_told_what_is_needed() {
    let app = App::with(guarded());
    assert_snapshot!(app.get("/api/jobs").await.text());
    assert_snapshot!(as_(&app, "guess", "/api/jobs").await.text());
}

#[tokio::test]
async fn the_token_and_those_that_the_verifier_knows_are_let_in() {
    let app = App::with(guarded());
    assert_eq!(as_(&app, "s3cret", "/api/jobs").await.status, StatusCode::OK);
    assert_eq!(as_(&app, "jwt-of-ada", "/api/jobs").await.status, StatusCode::OK);
    for authorization in ["bearer s3cret", "BEARER  s3cret"] {
        let answer = app.get_with("/api/jobs", &[("authorization", authorization)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{authorization}");
    }
    for authorization in
        ["Bearer s3cre", "Bearer s3cretx", "Bearer", "Basic s3cret", "s3cret", "Bearer S3CRET"]
    {
        let answer = app.get_with("/api/jobs", &[("authorization", authorization)]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{authorization}");
    }
}

#[tokio::test]
async fn a_read_token_reads_its_job_and_nothing_else() {
    let app = App::with(guarded());
    let token = read_token(&app).await;
    assert_eq!(as_(&app, &token, "/api/jobs/g").await.status, StatusCode::OK);
    assert_eq!(app.get(&format!("/api/jobs/g?token={token}")).await.status, StatusCode::OK);
    let events = app.router.clone();
    let request = request(axum::http::Method::GET, &format!("/api/jobs/g/events?token={token}"));
    let events = tower::ServiceExt::oneshot(events, request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(events.status(), StatusCode::OK);

    assert_eq!(as_(&app, &token, "/api/jobs/other").await.code(), "forbidden");
    assert_eq!(as_(&app, &token, "/api/jobs").await.code(), "invalid_token");
    for path in ["/api/jobs/g/cancel", "/api/jobs/g/retry", "/api/jobs/g/token"] {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(app.post_with(path, "{}", &headers).await.code(), "invalid_token", "{path}");
        assert_eq!(app.post(&format!("{path}?token={token}"), "{}").await.code(), "unauthorized", "{path}");
    }
}

#[tokio::test]
async fn a_read_token_is_good_for_its_time() {
    let app = App::with(guarded());
    let token = read_token(&app).await;
    app.clock.advance(Duration::from_secs(59));
    assert_eq!(as_(&app, &token, "/api/jobs/g").await.status, StatusCode::OK);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(as_(&app, &token, "/api/jobs/g").await.code(), "invalid_token");
}

#[tokio::test]
async fn a_read_token_does_not_read_a_later_job_of_the_same_id() {
    let app = App::with(guarded());
    let token = read_token(&app).await;
    let id = longhaul::JobId::new("g").unwrap();
    app.longhaul.cancel(&id).await.unwrap();
    app.longhaul.delete(&id).await.unwrap();
    app.clock.advance(Duration::from_millis(1));
    let headers = [("authorization", "Bearer s3cret")];
    let again = r#"{"kind":"greet","args":{"name":"secret"},"id":"g"}"#;
    assert_eq!(app.post_with("/api/jobs", again, &headers).await.status, StatusCode::ACCEPTED);
    for path in ["/api/jobs/g", "/api/jobs/g/events"] {
        assert_eq!(as_(&app, &token, path).await.code(), "forbidden", "{path}");
    }
}

#[tokio::test]
async fn a_read_token_that_was_changed_or_signed_elsewhere_is_not_taken() {
    let app = App::with(guarded());
    let token = read_token(&app).await;
    let (head, signature) = token.rsplit_once('.').unwrap();
    let reversed: String = signature.chars().rev().collect();
    assert_eq!(as_(&app, &format!("{head}.{reversed}"), "/api/jobs/g").await.code(), "invalid_token");
    let other = HttpConfig { read_token_secret: Some(Secret(b"another".to_vec())), ..guarded() };
    assert_eq!(as_(&app, &read_token(&App::with(other)).await, "/api/jobs/g").await.code(), "invalid_token");
    // A token of another sort that the same secret signed.
    let claims = serde_json::json!({ "aud": "longhaul:job", "job": "g", "exp": 9_999_999_999_u64 });
    let key = jsonwebtoken::EncodingKey::from_secret(b"a secret that signs");
    let foreign = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    assert_eq!(as_(&app, &foreign, "/api/jobs/g").await.code(), "invalid_token");
}

#[tokio::test]
async fn a_read_token_is_made_of_a_job_that_is_there_and_bounds_that_are_kept() {
    let app = App::with(HttpConfig { access: Access::Open, ..guarded() });
    assert_eq!(app.post("/api/jobs/nobody/token", "{}").await.code(), "no_such_job");
    app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#).await;
    for body in [r#"{"expires_in":0}"#, r#"{"expires_in":86401}"#, r#"{"expires":1}"#] {
        assert_eq!(app.post("/api/jobs/g/token", body).await.code(), "invalid", "{body}");
    }
    let empty = request(axum::http::Method::POST, "/api/jobs/g/token").body(Body::empty()).unwrap();
    assert_eq!(app.send(empty).await.json()["expires_at"], "2026-01-01T01:00:00.000Z");
    for body in ["", "null", "{}"] {
        assert_eq!(app.post("/api/jobs/g/token", body).await.status, StatusCode::CREATED, "{body}");
    }
    let untyped = request(axum::http::Method::POST, "/api/jobs/g/token").body(Body::from("{}")).unwrap();
    assert_eq!(app.send(untyped).await.code(), "unsupported_media_type");

    let without = App::new();
    without.post("/api/jobs", r#"{"kind":"greet","args":{"name":"x"},"id":"g"}"#).await;
    assert_eq!(without.post("/api/jobs/g/token", "{}").await.code(), "read_tokens_off");
}

#[tokio::test]
async fn secrets_are_not_printed() {
    let printed = format!("{:?}", guarded());
    assert!(
        !printed.contains("s3cret") && !printed.contains("signs") && !printed.contains("115"),
        "{printed}"
    );
}
