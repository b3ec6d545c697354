//! The store taken away: another process holds SQLite's write lock, so nothing can be written.

use std::sync::Arc;

use fakes::{Double, Fault};
use futures::future::join_all;
use longhaul::testing::Intercept;
use longhaul::{Clock, Error, Longhaul, MemoryStore};
use longhaul_sqlite::SqliteStore;
use serde_json::{Value, json};
use service_support::Db;

use crate::fixture::{Fixture, PATIENCE, TOKEN, Vars};

const IMPATIENT: Vars<'static> = &[("GITHUB_TOKEN", "t0ken"), ("GITHUB_STORE_TIMEOUT", "1")];

/// Takes the store away until it is dropped.
pub(crate) fn take_away(f: &Fixture) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(f.folder.path().join("test.db")).unwrap();
    connection.busy_timeout(PATIENCE).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// Begins an analysis with the store that is back. What has waited for it is written first, so that on a slow disk
/// another start or two may be given up.
async fn started_again(f: &Fixture, username: &str) -> String {
    let starting = async {
        loop {
            let reply = f.analyze(username).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let reply = reply.json();
            if reply["degraded"] != true {
                assert_eq!(reply["user_data"]["processing"], true, "{reply}");
                return reply["user_data"]["task_id"].as_str().unwrap().to_owned();
            }
        }
    };
    tokio::time::timeout(PATIENCE, starting).await.expect("the store never came back")
}

#[tokio::test]
async fn without_its_store_an_analysis_runs_in_the_request() {
    let f = Fixture::with(IMPATIENT).await;
    let lock = take_away(&f);
    let whole = f.analyze("octocat").await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let degraded = whole.json();
    assert_eq!(degraded["degraded"], true);
    assert!(degraded["repositories"].as_array().unwrap().len() > 2);
    assert_eq!(degraded["analysis_context_type"], "profile");
    // A client that polls for what it was given finds it.
    let task = degraded["user_data"]["task_id"].as_str().unwrap();
    let shown = f.task(task).await.json();
    assert_eq!(
        (&shown["status"], &shown["result"]["repositories"]),
        (&json!("completed"), &degraded["repositories"])
    );

    // Another caller is served from what was answered.
    let calls = f.double.github_calls();
    let sync = f.get("/api/v1/github/user/octocat").await.json();
    assert_eq!((&sync["degraded"], &sync["skills"]), (&json!(true), &degraded["skills"]));
    assert_eq!(f.double.github_calls(), calls);
    let missing = f.analyze("ghost").await;
    assert_eq!(missing.error(), (404, "GitHub user 'ghost' not found or could not be analyzed".into()));
    let streamed = f.post("/api/v1/github/analyze/stream", &json!({ "username": "octocat" })).await;
    assert!(
        streamed.text.starts_with("event: completed\ndata: ") && streamed.text.contains("\"degraded\":true")
    );
    // A hundred analyses do not fit into a request.
    let batch = f.post("/api/v1/github/analyze/batch", &json!({ "usernames": ["a"] })).await;
    assert_eq!(batch.error(), (503, "Service temporarily unavailable".into()));
    assert_eq!(batch.headers["retry-after"], "5");

    // The store is back, and so are tasks. The very same code made both results.
    drop(lock);
    f.clock.advance(std::time::Duration::from_secs(1));
    let task = started_again(&f, "octocat").await;
    let _worker = f.work();
    let mut result = f.ended(&task).await["result"].clone();
    result["analyzed_at"] = degraded["analyzed_at"].clone();
    let mut expected: Value = degraded.clone();
    expected.as_object_mut().unwrap().remove("degraded");
    expected["user_data"].as_object_mut().unwrap().remove("task_id");
    assert_eq!(result, expected);
}

#[tokio::test]
async fn a_store_of_jobs_that_is_away_from_the_start_leaves_the_analysis_in_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, double) = (Clock::manual(), Arc::new(Double::start().await));
    let rows = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
    let away = Intercept::new(MemoryStore::new(), async |_, _| {
        Err(Error::Unavailable { store: "redis", source: "connection refused".into() })
    });
    let longhaul = Longhaul::new(away);
    let db = Db::sqlite(rows).with_jobs_in(longhaul.clone());
    let f = Fixture::over(folder, clock, double, TOKEN, db, longhaul).await;
    let whole = f.analyze("octocat").await;
    assert_eq!((whole.status, &whole.json()["degraded"]), (200, &json!(true)), "{whole:?}");
    let task = whole.json()["user_data"]["task_id"].as_str().unwrap().to_owned();
    assert_eq!(f.task(&task).await.json()["status"], "completed");
    // What was begun in vain counts against nobody.
    for n in 0..25 {
        assert_eq!(f.get(&format!("/api/v1/github/user/ghost-{n}")).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_does_not_stampede() {
    let f = Fixture::with(IMPATIENT).await;
    let _lock = take_away(&f);
    let replies = join_all((0..40).map(|n| f.analyze(if n % 2 == 0 { "octocat" } else { "Octocat" }))).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.json()["degraded"]), (200, &json!(true)));
    }
    let calls = f.double.github_calls();
    assert!(calls.values().all(|count| *count == 1), "{calls:?}");
}

#[tokio::test]
async fn a_limit_in_an_outage_is_told_with_its_wait() {
    let f = Fixture::with(IMPATIENT).await;
    let _lock = take_away(&f);
    f.double.fail("/github/users/octocat", Fault::RateLimit("45".into()));
    let reply = f.analyze("octocat").await;
    assert_eq!(reply.error(), (503, "GitHub API rate limit exceeded".into()));
    assert_eq!(reply.headers["retry-after"], "45");
    f.double.fail("/github/users/octocat", Fault::Status(500));
    let reply = f.analyze("octocat").await;
    assert_eq!(reply.status, 502, "{reply:?}");
}
