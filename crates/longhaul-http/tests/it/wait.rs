use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use futures::FutureExt;
use insta::assert_snapshot;
use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, Longhaul, MemoryStore};
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
async fn b5_an_answer_is_held_a_little_less_than_was_asked_because_proxies_are_not_more_patient() {
    let clock = Clock::manual();
    let asked: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let longhaul = Longhaul::new(Intercept::new(MemoryStore::with_clock(clock.clone()), {
        let asked = Arc::clone(&asked);
        move |store, call| {
            if let Call::Events(.., wait) = &call {
                asked.lock().unwrap().push(*wait);
            }
            async move { call.on(&*store).await }
        }
    }));
    kinds::declare(&longhaul);
    let app = App::over(longhaul, HttpConfig { clock, ..HttpConfig::default() });
    let body = r#"{"kind":"greet","args":{"name":"Ada"}}"#;
    let held = app.post_with("/api/jobs", body, &[("prefer", "wait=60")]);
    assert!(held.now_or_never().is_none(), "it is held");
    let longest = asked.lock().unwrap().iter().max().copied().unwrap();
    assert!(longest <= Duration::from_secs(57) && longest > Duration::from_secs(50), "{longest:?}");
}

#[tokio::test]
async fn b7_a_preference_in_an_odd_form_is_ignored_and_never_an_error() {
    let app = App::new();
    let body = r#"{"kind":"greet","args":{"name":"Ada"}}"#;
    for odd in [
        "wait=0",
        "wait=abc",
        "wait=-1",
        "wait=1.5",
        "wait",
        "wait=",
        "",
        ",;=",
        "return=minimal, wait=x",
        "\u{e9}",
    ] {
        let answer = app.post_with("/api/jobs", body, &[("prefer", odd)]).await;
        assert_eq!((answer.status, answer.header("preference-applied")), (StatusCode::ACCEPTED, ""), "{odd}");
    }
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
