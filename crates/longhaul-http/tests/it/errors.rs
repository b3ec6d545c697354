use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, StatusCode};
use insta::assert_snapshot;
use longhaul_http::HttpConfig;
use serde_json::Value;

use crate::app::{App, request};
use crate::fault::{Fault, SECRET, longhaul};

const GOOD: &str = r#"{"kind":"greet","args":{"name":"x"}}"#;

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let app = App::new();
    for body in ["", "{", "{\"kind\":}", "\u{1}", "{} {}", "{\"kind\":\"greet\",\"args\":1}x"] {
        let answer = app.post("/api/jobs", body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::BAD_REQUEST, "malformed_json"),
            "{body}"
        );
    }
    assert_snapshot!(app.post("/api/jobs", r#"{"kind": "greet", }"#).await.text());
}

#[tokio::test]
async fn a_body_of_another_shape_is_refused_with_the_field() {
    let app = App::new();
    for (body, field) in [
        ("[]", "body"),
        ("null", "body"),
        (r#"{"args":{}}"#, "body"),
        (r#"{"kind":"greet"}"#, "body"),
        (r#"{"kind":7,"args":{}}"#, "kind"),
        (r#"{"kind":"greet","args":{},"priority":"high"}"#, "priority"),
        (r#"{"kind":"greet","args":{},"priority":1.5}"#, "priority"),
        (r#"{"kind":"greet","args":{},"max_attempts":-1}"#, "max_attempts"),
        (r#"{"kind":"greet","args":{},"labels":{"a":1}}"#, "labels.a"),
        (r#"{"kind":"greet","args":{},"unique":{"on_clash":"explode"}}"#, "unique.on_clash"),
        (r#"{"kind":"greet","args":{},"unique":{"keys":"k"}}"#, "unique.keys"),
    ] {
        let answer = app.post("/api/jobs", body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            "{body}"
        );
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
    assert_snapshot!(app.post("/api/jobs", r#"{"kind":"greet","args":{},"prioritty":1}"#).await.text());
    let batch = app.post("/api/jobs/batch", &format!("[{GOOD},{{\"kind\":1}}]")).await;
    assert_eq!(batch.json()["errors"][0]["field"], "[1].kind");
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let app = App::new();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "json", "application/jsonp"] {
        let request = request(Method::POST, "/api/jobs").header("content-type", content_type);
        let answer = app.send(request.body(Body::from(GOOD)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(answer.code(), "unsupported_media_type");
    }
    let none = app.send(request(Method::POST, "/api/jobs").body(Body::from(GOOD)).unwrap()).await;
    assert_snapshot!(none.text());
    for content_type in ["Application/JSON; charset=utf-8", "application/vnd.api+json"] {
        let request = request(Method::POST, "/api/jobs").header("content-type", content_type);
        let answer = app.send(request.body(Body::from(GOOD)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_in_a_coding_is_refused_by_its_name() {
    let app = App::new();
    for path in ["/api/jobs", "/api/jobs/batch", "/api/worker/claim"] {
        let answer = app.post_with(path, GOOD, &[("content-encoding", "gzip")]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        );
        assert_eq!(answer.header("accept-encoding"), "identity", "which tells it from a wrong content type");
        assert!(answer.text().contains("'content-encoding: gzip'"), "{}", answer.text());
    }
    let plain = app.post_with("/api/jobs", GOOD, &[("content-encoding", "Identity")]).await;
    assert_eq!(plain.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    let app = App::new();
    let args = |bytes: usize| format!(r#"{{"kind":"greet","args":{{"name":"{}"}}}}"#, "x".repeat(bytes));
    let large = args(1024 * 1024);
    assert_snapshot!(app.post("/api/jobs", &large).await.text());
    let pieces = large.into_bytes().chunks(4096).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let unsized_body =
        Body::from_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let request = request(Method::POST, "/api/jobs").header("content-type", "application/json");
    assert_eq!(app.send(request.body(unsized_body).unwrap()).await.code(), "body_too_large");

    let answer = app.post("/api/jobs", &args(256 * 1024)).await;
    assert_eq!(
        (answer.status, &answer.json()["errors"][0]["field"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &"args".into())
    );
    assert_eq!(app.post("/api/jobs", &args(256 * 1024 - 11)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for_for_ever() {
    let app = App::new();
    let request = || request(Method::POST, "/api/jobs").header("content-type", "application/json");
    let stalled = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = app.send(request().body(stalled).unwrap()).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::REQUEST_TIMEOUT, "body_timeout"));
    let cut = futures::stream::iter([Ok(b"{\"kind\"".to_vec()), Err(std::io::Error::other("reset"))]);
    let answer = app.send(request().body(Body::from_stream(cut)).unwrap()).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "incomplete_body"));
}

#[tokio::test]
async fn a_body_that_is_too_deep_is_refused() {
    let app = App::new();
    let nested = |levels: usize| {
        // The args are one level themselves; the body around them does not count.
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"kind":"greet","args":{{"name":"x","deep":{open}{close}}}}}"#)
    };
    assert_eq!(app.post("/api/jobs", &nested(64)).await.status, StatusCode::ACCEPTED);
    let answer = app.post("/api/jobs", &nested(65)).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "too_deep"));
    let batch = |levels| format!("[{}]", nested(levels));
    assert_eq!(app.post("/api/jobs/batch", &batch(64)).await.status, StatusCode::ACCEPTED);
    assert_eq!(app.post("/api/jobs/batch", &batch(65)).await.code(), "too_deep");
    assert_eq!(app.post("/api/jobs", &"[".repeat(1_000_000)).await.code(), "malformed_json");
}

#[tokio::test]
async fn a_path_that_is_not_there_and_a_method_that_is_not_taken_are_problems() {
    let app = App::new();
    assert_snapshot!(app.get("/api/nowhere").await.text());
    assert_eq!(app.get("/api").await.code(), "no_such_route");
    assert_eq!(app.get("/api/jobs/a/b/c").await.code(), "no_such_route");
    assert_snapshot!(app.send(request(Method::PUT, "/api/jobs/x").body(Body::empty()).unwrap()).await.text());
}

#[tokio::test]
async fn a_path_with_a_slip_is_told_what_is_near_under_the_mount_or_in_the_application() {
    let near = async |app: &App, method: Method, path: &str| -> Vec<(String, String)> {
        let answer = app.send(request(method, path).body(Body::empty()).unwrap()).await.json();
        let near = answer["nearest"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        near.iter().map(|near| (text(&near["methods"][0]), text(&near["path"]))).collect()
    };
    let app = App::new();
    assert_eq!(
        near(&app, Method::POST, "/api/jobs/17/cancle").await[0],
        ("POST".into(), "/api/jobs/17/cancel".into())
    );
    assert_eq!(near(&app, Method::GET, "/helth").await, [("GET".into(), "/health".into())]);
    assert_eq!(near(&app, Method::GET, "/nothing-like-it").await, []);

    let other = serde_json::json!({
        "openapi": "3.1.0", "info": {"title": "", "version": ""},
        "paths": {"/lessons/{id}": {"get": {"responses": {}}}},
    });
    let whole = longhaul_http::document("", "/api", vec![serde_json::from_value(other).unwrap()]);
    let document = Some(longhaul_http::Described::of(&whole));
    let app = App::with(HttpConfig { document, ..HttpConfig::default() });
    assert_eq!(near(&app, Method::GET, "/lesson/17").await[0], ("GET".into(), "/lessons/17".into()));
    assert_eq!(near(&app, Method::GET, "/api/job").await[0], ("GET".into(), "/api/jobs".into()));
    let paths = app.get("/api/openapi.json").await.json()["paths"].clone();
    assert!(paths.get("/lessons/{id}").is_some() && paths.get("/api/jobs/{id}").is_some(), "{paths}");
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_503_and_worth_another_try() {
    let app = App::over(longhaul(Fault::Unavailable), HttpConfig::default());
    assert_snapshot!(app.post("/api/jobs", GOOD).await.text());
}

#[tokio::test]
async fn a_fault_says_nothing_of_its_cause() {
    for fault in [Fault::Broken, Fault::Unavailable, Fault::Panics] {
        let app = App::over(longhaul(fault), HttpConfig::default());
        for answer in [
            app.post("/api/jobs", GOOD).await,
            app.post("/api/jobs/batch", &format!("[{GOOD}]")).await,
            app.post("/api/jobs/x/cancel", "").await,
            app.post("/api/jobs/actions", r#"{"action":"retry","filter":{}}"#).await,
            app.delete("/api/jobs/x").await,
            app.get("/api/jobs/x").await,
            app.get("/api/jobs").await,
            app.get("/api/jobs/x/events").await,
            app.get("/ready").await,
        ] {
            assert!(answer.status.is_server_error(), "{answer:?}");
            assert!(["internal", "unavailable"].contains(&answer.code().as_str()), "{answer:?}");
            for word in SECRET.split(' ').chain(["panic", "faulty"]) {
                assert!(word == "of" || !answer.text().contains(word), "{answer:?} says '{word}'");
            }
        }
    }
}

#[tokio::test]
async fn the_log_has_the_cause_under_the_requests_id() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    // For the whole process: while there is one subscriber for one thread only, what other threads are the first to
    // log is switched off for all of them. Other tests' lines come in too, hence a job of this test's own.
    tracing::subscriber::set_global_default(subscriber).expect("no other test here listens to the log");
    for (fault, cause) in [(Fault::Broken, SECRET), (Fault::Panics, SECRET), (Fault::Unavailable, SECRET)] {
        let app = App::over(longhaul(fault), HttpConfig::default());
        app.get("/api/jobs/logged?token=s3cret").await;
        let lines = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
        let ours = |line: &&str| line.contains("failed to answer") && line.contains("/jobs/logged");
        let line = lines.lines().find(ours).expect("the log has a line");
        assert!(line.contains("request_id=\"test\"") && line.contains(cause), "{line}");
        assert!(line.contains("GET") && !line.contains("s3cret"), "{line}");
    }
}

/// The lines that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let app = App::over(longhaul(Fault::Panics), HttpConfig::default());
    assert_snapshot!(app.get("/api/jobs/x").await.text());
    assert_eq!(app.get("/health").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_id_is_taken_over_where_it_is_harmless() {
    let app = App::new();
    let given = app.get_with("/api/jobs/x", &[]).await;
    assert_eq!(given.header("x-request-id"), "test");
    let mut own = std::collections::BTreeSet::new();
    for id in ["", "a b", "<script>", &"x".repeat(65)] {
        let request = axum::http::Request::get("/api/jobs/x").header("x-request-id", id);
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.code(), "no_such_job");
        assert_ne!(answer.header("x-request-id"), id);
        own.insert(answer.header("x-request-id").to_owned());
    }
    assert_eq!(own.len(), 4, "each is another: {own:?}");
}
