use std::sync::Arc;

use fakes::{Double, Fault};
use longhaul::{Clock, JobId, Longhaul, State};
use longhaul_sqlite::SqliteStore;
use serde_json::{Value, json};
use service_support::{Db, Write};

use crate::fixture::{Fixture, PATIENCE, TOKEN};

async fn start(f: &Fixture, names: &[String]) -> Value {
    let reply = f.post("/api/v1/github/analyze/batch", &json!({ "usernames": names })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_names_are_one_task() {
    let f = Fixture::new().await;
    // One is known already, and one runs when the batch begins: neither is analyzed again.
    let worker = f.work();
    let known = f.started("user-1").await;
    f.ended(&known).await;
    // Dropped, it could take the next job with it, whose lease never ends while the clock stands still.
    worker.shutdown(PATIENCE).await;
    let running = f.started("user-2").await;

    let mut names: Vec<String> = (1..=95).map(|n| format!("user-{n}")).collect();
    names.extend((1..=5).map(|n| format!("ghost-{n}")));
    let batch = start(&f, &names).await;
    assert_eq!((&batch["status"], &batch["total"]), (&json!("processing"), &json!(100)));
    let task = batch["task_id"].as_str().unwrap().to_owned();
    assert_eq!(batch["poll_url"], format!("/api/v1/github/task/{task}"));
    assert!(task.starts_with("github_batch_1767225600_"), "{task}");

    let mut shown = f.task(&task).await.json();
    assert_eq!(shown["progress"], json!({ "total": 100, "completed": 0, "failed": 0 }));
    shown["task_id"] = "[task]".into();
    insta::assert_json_snapshot!("batch_processing", shown);

    // Two of them hang, and the rest goes on around them.
    for name in ["user-7", "user-8"] {
        f.double.fail(&format!("/github/users/{name}"), Fault::RateLimit("901".into()));
    }
    let _worker = f.work();
    f.reaches(&task, |job| job.children.is_some_and(|children| children.completed >= 10)).await;
    let shown = f.task(&task).await.json();
    let done = shown["progress"]["completed"].as_u64().unwrap();
    assert!(shown["status"] == "completed" || (10..100).contains(&done), "{}", shown["progress"]);

    let ended = f.ended(&task).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["progress"], json!({ "total": 100, "completed": 93, "failed": 7 }));
    let result = ended["result"].as_object().unwrap();
    assert_eq!(result.len(), 100);
    assert_eq!(result["ghost-3"], json!({ "error": "GitHub user 'ghost-3' not found" }));
    assert_eq!(result["user-7"], json!({ "error": "GitHub API rate limit exceeded" }));
    assert_eq!(result["user-1"], f.task(&known).await.json()["result"]);
    assert_eq!(result["user-2"], f.task(&running).await.json()["result"]);
    assert_eq!(result["user-95"]["user_data"]["login"], "user-95");
    assert_eq!(f.double.github_calls()["/users/user-1"], 1);
    assert_eq!(f.double.github_calls()["/users/user-2"], 1);
    assert_eq!(f.jobs("github.batch").await.len(), 1);
}

#[tokio::test]
async fn each_spelling_of_a_name_has_a_result_and_all_of_them_one_analysis() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let names: Vec<String> = ["octocat", "Octocat", "torvalds", "octocat"].map(String::from).to_vec();
    let batch = start(&f, &names).await;
    assert_eq!(batch["total"], 3);
    let first = f.ended(batch["task_id"].as_str().unwrap()).await;
    assert_eq!(first["progress"], json!({ "total": 3, "completed": 3, "failed": 0 }));
    let result = first["result"].as_object().unwrap();
    assert_eq!(result.keys().collect::<Vec<_>>(), ["Octocat", "octocat", "torvalds"]);
    assert_eq!(result["Octocat"], result["octocat"]);
    assert_eq!(f.double.github_calls()["/users/octocat"], 1);

    f.clock.advance(std::time::Duration::from_secs(1));
    let body = json!({ "usernames": names, "force_refresh": true });
    let again = f.post("/api/v1/github/analyze/batch", &body).await.json();
    f.ended(again["task_id"].as_str().unwrap()).await;
    assert_eq!(f.double.github_calls()["/users/octocat"], 2);
    assert_eq!(f.double.github_calls()["/users/torvalds"], 2);
}

#[tokio::test]
async fn a_batch_that_is_asked_for_again_with_its_key_is_one_whatever_died_between() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, double) = (Clock::manual(), Arc::new(Double::start().await));
    let store = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
    let (db, longhaul) = (Db::sqlite(store.clone()), Longhaul::new(store));
    let f = Fixture::over(folder, clock, double, TOKEN, db.clone(), longhaul).await;
    let ask = || {
        let request = f.client.post(format!("{}/api/v1/github/analyze/batch", f.url));
        let body = json!({ "usernames": ["octocat", "torvalds"] }).to_string();
        f.send(request.header("idempotency-key", "k").body(body))
    };
    let write = async |sql: &'static str| db.commit(vec![Write::new(sql, vec![])], vec![]).await.unwrap();
    // The process gets no further than to the answer that it is to keep.
    write("CREATE TRIGGER no_answers BEFORE INSERT ON answers BEGIN SELECT RAISE(ABORT, 'no answers'); END")
        .await;
    assert!(ask().await.status >= 500);
    assert_eq!(f.jobs("github.batch").await.len(), 0, "a batch is enqueued with its answer, or not at all");

    write("DROP TRIGGER no_answers").await;
    let answers = [ask().await, ask().await];
    assert_eq!((answers[0].status, &answers[0].text), (200, &answers[1].text));
    assert_eq!(f.jobs("github.batch").await.len(), 1);
}

#[tokio::test]
async fn a_cancelled_batch_says_so() {
    let f = Fixture::new().await;
    let batch = start(&f, &["octocat".to_owned()]).await;
    let task = batch["task_id"].as_str().unwrap();
    f.longhaul.cancel(&JobId::new(task).unwrap()).await.unwrap();
    f.in_state(task, State::Cancelled).await;
    let shown = f.task(task).await.json();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("failed"), &json!("Analysis was cancelled")));
}

#[tokio::test]
async fn a_batch_of_many_names_leaves_a_turn_to_another_and_to_a_caller_who_waits() {
    let f = Fixture::new().await;
    let many: Vec<String> = (1..=30).map(|n| format!("user-{n}")).collect();
    start(&f, &many).await;
    start(&f, &["octocat".to_owned()]).await;
    // So many slots of batches that all of their analyses wait side by side, and one slot of analyses.
    let _batches = f.work_in(github::BATCH_QUEUE, 128);
    while f.jobs("github.analyze").await.len() < 31 {
        tokio::task::yield_now().await;
    }
    let single = f.started("torvalds").await;
    let _analyses = f.work_in(github::QUEUE, 1);
    f.ended(&single).await;
    for job in f.jobs("github.analyze").await {
        f.ended(job.id.as_str()).await;
    }
    let rows = f.db.read("SELECT login FROM github_results ORDER BY rowid", vec![]).await.unwrap();
    let logins: Vec<String> = rows.iter().map(|row| row.get("login").unwrap()).collect();
    assert_eq!(logins.len(), 32);
    for login in ["octocat", "torvalds"] {
        assert!(logins[..4].contains(&login.to_owned()), "{login}: {logins:?}");
    }
}
