use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Answer, App};

/// Asks until the answer has an estimate. The figures behind it are read in the background, and nothing tells
/// from outside when they have come; this is the one place that polls.
async fn estimated(app: &App, path: &str) -> Answer {
    asked_until(app, path, |eta| *eta != Value::Null).await
}

async fn asked_until(app: &App, path: &str, is_meant: impl Fn(&Value) -> bool) -> Answer {
    let asking = async {
        loop {
            let answer = app.get(path).await;
            if is_meant(&answer.json()["eta_seconds"]) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("the figures stayed as they were")
}

async fn nap(app: &App, id: &str, more: &str) -> Answer {
    app.post("/api/jobs", &format!(r#"{{"kind":"nap","args":{{"seconds":4}},"id":"{id}"{more}}}"#)).await
}

/// An application whose naps have been measured to take 4 s, and whose worker, with two slots of the default
/// queue, has gone but is still known.
async fn measured() -> App {
    let app = App::new();
    let worker = app.work();
    for id in ["x", "y", "z"] {
        app.run(id, "nap", r#"{"seconds":4}"#).await;
    }
    // A worker makes itself known by its heartbeats.
    while app.longhaul.store().workers().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    worker.shutdown(Duration::from_secs(5)).await;
    app
}

#[tokio::test]
async fn where_nothing_has_been_measured_nothing_is_said() {
    let app = App::new();
    nap(&app, "a", "").await;
    let answer = app.get("/api/jobs/a").await;
    assert_eq!((&answer.json()["eta_seconds"], answer.header("retry-after")), (&Value::Null, "1"));
}

#[tokio::test]
async fn a_waiting_job_takes_its_own_time_and_that_of_those_ahead() {
    let app = measured().await;
    for id in ["a", "b", "c", "d"] {
        nap(&app, id, "").await;
    }
    let first = estimated(&app, "/api/jobs/a").await;
    assert_eq!((&first.json()["eta_seconds"], first.header("retry-after")), (&json!(4), "4"));
    // Three ahead, two at a time: 4 s × (1 + 3 / 2).
    let last = app.get("/api/jobs/d").await;
    assert_eq!((&last.json()["eta_seconds"], last.header("retry-after")), (&json!(10), "10"));
}

#[tokio::test]
async fn a_new_job_is_told_of_the_queue_before_it() {
    let app = measured().await;
    for id in ["a", "b", "c", "d"] {
        nap(&app, id, "").await;
    }
    estimated(&app, "/api/jobs/a").await;
    // Four ahead: 4 s × (1 + 4 / 2), and nobody serves the other queue.
    let fifth = nap(&app, "e", "").await;
    assert_eq!((&fifth.json()["eta_seconds"], fifth.header("retry-after")), (&json!(15), "12"));
    assert_eq!(nap(&app, "f", r#","queue":"nobody""#).await.json()["eta_seconds"], Value::Null);
}

#[tokio::test]
async fn a_delayed_job_takes_its_delay_too() {
    let app = measured().await;
    nap(&app, "a", "").await;
    estimated(&app, "/api/jobs/a").await;
    assert_eq!(nap(&app, "late", r#","delay":6"#).await.header("retry-after"), "10");
    app.clock.advance(Duration::from_secs(5));
    assert_eq!(app.get("/api/jobs/late").await.json()["eta_seconds"], 5);
    assert_eq!(nap(&app, "later", r#","delay":100000"#).await.header("retry-after"), "3600");
}

#[tokio::test]
async fn figures_are_measured_again_after_a_while() {
    let app = measured().await;
    nap(&app, "a", "").await;
    assert_eq!(estimated(&app, "/api/jobs/a").await.json()["eta_seconds"], 4);
    app.post("/api/jobs/a/cancel", "").await;
    let worker = app.work();
    for id in ["p", "q", "r", "s"] {
        app.run(id, "nap", r#"{"seconds":9}"#).await;
    }
    worker.shutdown(Duration::from_secs(5)).await;
    nap(&app, "b", "").await;
    app.clock.advance(Duration::from_secs(11));
    asked_until(&app, "/api/jobs/b", |eta| *eta == 9).await;
}
