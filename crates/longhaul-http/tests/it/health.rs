use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use insta::assert_snapshot;
use longhaul_http::HttpConfig;

use crate::app::{App, request};
use crate::fault::{Fault, longhaul};

#[tokio::test]
async fn a_server_tells_that_it_lives_and_what_it_is_made_of() {
    let health = BTreeMap::from([("llm".to_owned(), "outline composer".to_owned())]);
    let app = App::with(HttpConfig { health, ..HttpConfig::default() });
    assert_snapshot!(app.get("/health").await.text());
    assert_snapshot!(app.get("/ready").await.text());
}

#[tokio::test]
async fn a_server_whose_store_fails_lives_and_is_not_ready() {
    for fault in [Fault::Unavailable, Fault::Broken] {
        let app = App::over(longhaul(fault), HttpConfig::default());
        assert_eq!(app.get("/health").await.status, StatusCode::OK);
        let answer = app.get("/ready").await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_waited_for_for_two_seconds() {
    let app = App::over(longhaul(Fault::Hangs), HttpConfig::default());
    let early = tokio::time::timeout(std::time::Duration::from_millis(1_900), app.get("/ready")).await;
    assert!(early.is_err());
    let late = tokio::time::timeout(std::time::Duration::from_millis(2_100), app.get("/ready")).await;
    assert_snapshot!(late.expect("it answers").text());
}

#[tokio::test]
async fn probes_take_get_and_head_only() {
    let app = App::new();
    let answer = app.send(request(Method::POST, "/health").body(Body::empty()).unwrap()).await;
    assert_eq!((answer.code().as_str(), answer.header("allow")), ("method_not_allowed", "GET,HEAD"));
    let head = app.send(request(Method::HEAD, "/ready").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}
