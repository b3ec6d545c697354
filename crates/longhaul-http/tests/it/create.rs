use axum::http::StatusCode;
use insta::assert_snapshot;
use longhaul_http::{HttpConfig, UnknownKinds};

use crate::app::App;

#[tokio::test]
async fn a_job_is_accepted_with_its_location_and_when_to_ask_again() {
    let app = App::new();
    let answer = app.post("/api/jobs", r#"{"kind": "greet", "args": {"name": "Ada"}, "id": "g1"}"#).await;
    assert_snapshot!(answer.text());
}

#[tokio::test]
async fn what_is_accepted_is_what_is_then_found() {
    let app = App::new();
    let body = r#"{
        "kind": "nap", "args": {"seconds": 1}, "queue": "beds", "delay": 90.5, "priority": -7,
        "max_attempts": 9, "timeout": 0.25, "labels": {"who": "Ada", "where": "here"}
    }"#;
    let accepted = app.post("/api/jobs", body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let found = app.get(accepted.header("location")).await;
    assert_eq!(found.json(), accepted.json());
    assert_snapshot!(accepted.text());
}

#[tokio::test]
async fn a_time_in_the_past_means_at_once_and_one_in_the_future_waits() {
    let app = App::new();
    let at = |time: &str| format!(r#"{{"kind":"greet","args":{{"name":"x"}},"run_at":"{time}"}}"#);
    let past = app.post("/api/jobs", &at("2020-01-01T00:00:00Z")).await.json();
    assert_eq!((&past["state"], &past["run_at"]), (&"available".into(), &"2026-01-01T00:00:00.000Z".into()));
    let future = app.post("/api/jobs", &at("2026-01-01T03:00:10.5+02:00")).await;
    let job = future.json();
    assert_eq!((&job["state"], &job["run_at"]), (&"scheduled".into(), &"2026-01-01T01:00:10.500Z".into()));
    assert_eq!(future.header("retry-after"), "3600");
}

#[tokio::test]
async fn an_id_that_exists_is_answered_with_the_job_that_has_it() {
    let app = App::new();
    let body = r#"{"kind":"greet","args":{"name":"Ada"},"id":"g1"}"#;
    assert_eq!(app.post("/api/jobs", body).await.status, StatusCode::ACCEPTED);
    let answer = app.post("/api/jobs", r#"{"kind":"greet","args":{"name":"Bob"},"id":"g1"}"#).await;
    assert_snapshot!(answer.text());
}

#[tokio::test]
async fn jobs_that_are_unique_by_key_join_within_their_kind() {
    let app = App::new();
    let with =
        |kind: &str, args: &str| format!(r#"{{"kind":"{kind}","args":{args},"unique":{{"key":"k"}}}}"#);
    let first = app.post("/api/jobs", &with("greet", r#"{"name":"a"}"#)).await.json();
    let second = app.post("/api/jobs", &with("greet", r#"{"name":"b"}"#)).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!((&second.json()["id"], &second.json()["duplicate"]), (&first["id"], &true.into()));
    assert_eq!(second.json()["args"], first["args"]);
    let other_kind = app.post("/api/jobs", &with("nap", r#"{"seconds":1}"#)).await;
    assert_eq!(other_kind.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn jobs_that_are_unique_by_fields_join_whatever_else_their_args_say() {
    let app = App::new();
    let with = |args: &str, unique: &str| format!(r#"{{"kind":"greet","args":{args},"unique":{unique}}}"#);
    let by_name = r#"{"fields":["name"],"period":60}"#;
    let first = app.post("/api/jobs", &with(r#"{"name":"Ada","n":1}"#, by_name)).await;
    let same = app.post("/api/jobs", &with(r#"{ "n":2, "name":"\u0041da" }"#, by_name)).await;
    let other = app.post("/api/jobs", &with(r#"{"name":"Bob","n":1}"#, by_name)).await;
    assert_eq!([first.status, same.status, other.status], [202, 200, 202]);
    assert_eq!(same.json()["id"], first.json()["id"]);

    let whole = app.post("/api/jobs", &with(r#"{"name":"Ada","n":1}"#, "{}")).await;
    let same = app.post("/api/jobs", &with(r#"{"n":1,"name":"Ada"}"#, "{}")).await;
    let other = app.post("/api/jobs", &with(r#"{"n":2,"name":"Ada"}"#, "{}")).await;
    assert_eq!([whole.status, same.status, other.status], [202, 200, 202]);

    let missing = app.post("/api/jobs", &with(r#"{"name":"Ada"}"#, r#"{"fields":["nmae"]}"#)).await;
    assert_eq!(missing.code(), "invalid");
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let app = App::new();
    let body = r#"{
        "kind": "greet", "args": {}, "id": "no spaces", "delay": -1, "timeout": 1e99, "priority": 101,
        "max_attempts": 0, "queue": "a b", "key": "", "labels": {"a b": ""},
        "unique": {"key": "k", "fields": ["f"], "on_clash": "replace"}, "depends_on": ["no good id"], "webhook": "x"
    }"#;
    assert_snapshot!(app.post("/api/jobs", body).await.text());
}

#[tokio::test]
async fn an_unknown_kind_is_refused_with_those_that_are_known() {
    let app = App::new();
    assert_snapshot!(app.post("/api/jobs", r#"{"kind":"gret","args":null}"#).await.text());
}

#[tokio::test]
async fn an_unknown_kind_is_accepted_where_that_is_allowed() {
    let app = App::with(HttpConfig { unknown_kinds: UnknownKinds::Accept, ..HttpConfig::default() });
    let answer = app.post("/api/jobs", r#"{"kind":"elsewhere","args":[1, 2]}"#).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let job = answer.json();
    assert_eq!(
        (&job["kind"], &job["queue"], &job["version"]),
        (&"elsewhere".into(), &"default".into(), &1.into())
    );
}

#[tokio::test]
async fn a_webhook_is_a_url_or_one_with_events_and_null_is_none() {
    let app = App::new();
    let with = |value: &str| format!(r#"{{"kind":"greet","args":{{"name":"x"}},"webhook":{value}}}"#);
    for (value, field) in [
        (r#""ftp://example.com""#, "webhook.url"),
        (r#""https://user:secret@example.com""#, "webhook.url"),
        (r#"{"url":"https://example.com","events":[]}"#, "webhook.events"),
    ] {
        let refused = app.post("/api/jobs", &with(value)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{value}");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.text());
        assert!(!refused.text().contains("secret"));
    }
    for value in [
        r#"["x"]"#,
        r#"{"url":"https://example.com","event":"failed"}"#,
        r#"{"url":"https://example.com","events":["ended"]}"#,
    ] {
        let refused = app.post("/api/jobs", &with(value)).await;
        assert_eq!(refused.status.as_u16() / 100, 4, "{value}: {}", refused.text());
    }
    let fine = [r#""https://example.com""#, r#"{"url":"https://example.com","events":["failed"]}"#, "null"];
    for value in fine {
        assert_eq!(app.post("/api/jobs", &with(value)).await.status, StatusCode::ACCEPTED, "{value}");
    }
}

#[tokio::test]
async fn args_are_stored_as_they_were_written() {
    let app = App::new();
    let args = r#"{"name": "x", "exact": 1.50, "big": 123456789012345678901234567890}"#;
    let body = format!(r#"{{"kind":"greet","args":{args},"id":"exact"}}"#);
    assert_eq!(app.post("/api/jobs", &body).await.status, StatusCode::ACCEPTED);
    let found = app.get("/api/jobs/exact").await;
    assert!(String::from_utf8_lossy(&found.body).contains(args), "{found:?}");
}
