//! The original document of this service (docs/services/github.md) from its beginning to its end.

use std::time::Duration;

use fakes::Fault;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_original_document_is_answered_in_its_order() {
    let f = Fixture::new().await;

    // 1. Start background analysis: answered at once, before any worker is there.
    let request = json!({ "username": "octocat", "force_refresh": false });
    let started = f.post("/api/v1/github/analyze", &request).await;
    assert_eq!(started.status, 200);
    insta::assert_json_snapshot!("1_started", started.json());
    let task = "github_profile_octocat_1767225600";

    // 2. Check task status: a poll right after finds the task.
    let processing = f.task(task).await;
    assert_eq!(processing.status, 200);
    insta::assert_json_snapshot!("2_processing", processing.json());

    let worker = f.work();
    let completed = f.ended(task).await;
    insta::assert_json_snapshot!("2_completed", completed);
    let keys: Vec<&String> = completed.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["completed_at", "result", "status", "task_id"]);

    // A fresh result comes back whole, with the task that made it.
    let mut cached = f.analyze("octocat").await.json();
    assert_eq!(cached["user_data"]["task_id"], task);
    cached["user_data"].as_object_mut().unwrap().remove("task_id");
    assert_eq!(cached, completed["result"]);

    // 3. Synchronous analysis.
    let sync = f.post("/api/v1/github/analyze/sync", &json!({ "username": "octocat" })).await;
    assert_eq!((sync.status, sync.json()), (200, completed["result"].clone()));
    let other = f.post("/api/v1/github/analyze/sync", &json!({ "username": "torvalds" })).await.json();
    assert_eq!(other["user_data"]["name"], "Linus Torvalds");
    let missing = f.post("/api/v1/github/analyze/sync", &json!({ "username": "ghost-7" })).await;
    let detail = "GitHub user 'ghost-7' not found or could not be analyzed";
    assert_eq!(missing.error(), (404, detail.into()));

    // 4. The GET end points.
    let whole = f.get("/api/v1/github/user/octocat").await;
    assert_eq!((whole.status, whole.json()), (200, completed["result"].clone()));
    assert_eq!(f.get("/api/v1/github/user/ghost-7").await.error(), (404, detail.into()));
    drop(worker);
    let in_background = f.get("/api/v1/github/user/hubot/async").await;
    assert_eq!(in_background.status, 200);
    insta::assert_json_snapshot!("4_async", in_background.json());

    // Error handling.
    let unknown = f.task("github_profile_user_123").await;
    assert_eq!(unknown.error(), (404, "Task github_profile_user_123 not found".into()));
    let health = f.get("/api/v1/github/health").await;
    assert_eq!(health.status, 200);
    insta::assert_json_snapshot!("5_health", health.json(), { ".rate_limit.remaining" => "[remaining]" });
}

#[tokio::test]
async fn a_failed_task_tells_its_true_cause() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let missing = f.started("ghost").await;
    insta::assert_json_snapshot!("failed_not_found", f.ended(&missing).await);
    // A limit that is lifted later than anybody is let to wait.
    f.double.github_remaining(0, 3_600);
    let limited = f.started("user").await;
    insta::assert_json_snapshot!("failed_rate_limit", f.ended(&limited).await);
    // GitHub is down for every attempt.
    f.double.github_remaining(5_000, 3_600);
    f.clock.advance(Duration::from_secs(3_601));
    for _ in 0..3 {
        f.double.fail("/github/users/octocat", Fault::Status(502));
    }
    let broken = f.started("octocat").await;
    for attempt in 1..=2 {
        f.reaches(&broken, |job| job.state == longhaul::State::Scheduled && job.attempt == attempt).await;
        f.clock.advance(Duration::from_secs(60));
    }
    let failed = f.ended(&broken).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!(failed["message"], "GitHub failed: 502 Bad Gateway: the double refuses with 502 Bad Gateway");
}

#[tokio::test]
async fn a_task_is_forgotten_an_hour_after_its_end() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let tasks = [f.started("octocat").await, f.started("ghost").await];
    for task in &tasks {
        f.ended(task).await;
    }
    f.clock.advance(Duration::from_secs(3_599));
    for task in &tasks {
        assert_eq!(f.task(task).await.status, 200);
    }
    f.clock.advance(Duration::from_secs(1));
    for task in &tasks {
        assert_eq!(f.task(task).await.error(), (404, format!("Task {task} not found")));
    }
    // The result outlives its task, in the database.
    let kept = f.get("/api/v1/github/user/octocat/history").await.json();
    assert_eq!((&kept[0]["task_id"], kept.as_array().unwrap().len()), (&json!(tasks[0]), 1));
    assert_eq!(kept[0]["result"]["user_data"]["login"], "octocat");
    assert_eq!(f.get("/api/v1/github/user/ghost/history").await.json(), json!([]));
}

#[tokio::test]
async fn tasks_of_one_second_have_ids_of_their_own() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let longest = format!("ghost{}", "x".repeat(34));
    let mut ids = Vec::new();
    for name in ["ghost", "ghost", longest.as_str()] {
        ids.push(f.started(name).await);
        f.ended(ids.last().unwrap()).await;
    }
    let expected = ["ghost_1767225600", "ghost_1767225600_2", &format!("{longest}_1767225600")];
    assert_eq!(ids, expected.map(|id| format!("github_profile_{id}")));
}

#[tokio::test]
async fn progress_is_told_while_it_is_made() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat/repos", Fault::Hang);
    let _worker = f.work();
    let task = f.started("octocat").await;
    f.double.wait_for("/github/users/octocat/repos", 1).await;
    f.reaches(&task, |job| job.progress.as_ref().is_some_and(|p| p.message.contains("repositories"))).await;
    let shown = f.task(&task).await.json();
    assert_eq!(shown["message"], "Analyzing repositories...");
    assert_eq!((&shown["status"], &shown["username"]), (&json!("processing"), &json!("octocat")));
}

#[tokio::test]
async fn a_task_ends_after_an_hour_whatever_it_waits_for() {
    let f = Fixture::new().await;
    let task = f.started("octocat").await;
    f.clock.advance(Duration::from_secs(3_600));
    let _worker = f.work();
    assert_eq!(f.ended(&task).await["message"], "Analysis timed out after 1 hour");
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_services_form() {
    let f = Fixture::new().await;
    assert_eq!(f.get("/api/v1/github/nothing").await.error(), (404, "Not Found".into()));
    assert_eq!(f.get("/api/v1/github/analyze").await.error(), (405, "Method Not Allowed".into()));
    assert_eq!(f.post("/api/v1/github/health", &json!({})).await.error(), (405, "Method Not Allowed".into()));
}
