use std::sync::Arc;
use std::time::Duration;

use fakes::{Double, Fault};
use longhaul::{Clock, Cost, KeyConfig, KeyFilter, Longhaul, MemoryStore, QueueConfig, Rate, State};
use longhaul_sqlite::SqliteStore;
use serde_json::json;
use service_support::Db;

use crate::fixture::{Fixture, TOKEN};

#[tokio::test]
async fn a_primary_limit_pauses_until_its_reset_and_costs_no_attempt() {
    let f = Fixture::new().await;
    f.double.github_remaining(7, 600);
    let _worker = f.work();
    let task = f.started("octocat").await;
    let job = f.in_state(&task, State::Scheduled).await;
    assert_eq!((job.attempt, job.errors.len()), (0, 0));
    assert_eq!(job.run_at, f.clock.now().plus(Duration::from_secs(601)));
    let shown = f.task(&task).await.json();
    assert_eq!(shown["status"], "processing");
    assert!(
        shown["message"].as_str().unwrap().ends_with("(waiting for GitHub until 2026-01-01T00:10:01)"),
        "{shown}"
    );

    let before = f.double.github_calls();
    f.double.github_remaining(5_000, 600);
    f.clock.advance(Duration::from_secs(601));
    assert_eq!(f.ended(&task).await["status"], "completed");
    let job = f.job(&task).await;
    assert_eq!((job.attempt, job.errors.len()), (1, 0));
    // Calls that were answered before the limit are not repeated.
    let after = f.double.github_calls();
    let repeated = before.iter().filter(|(path, count)| after[*path] != **count).count();
    assert!(repeated <= 3, "at most the calls that were refused: {before:?} {after:?}");
}

#[tokio::test]
async fn a_spent_limit_is_not_tried_before_its_reset() {
    let f = Fixture::new().await;
    // The last call of the hour is answered; the service knows then that there is none left.
    f.double.github_remaining(1, 600);
    let _worker = f.work();
    let task = f.started("octocat").await;
    f.in_state(&task, State::Scheduled).await;
    let calls: usize = f.double.github_calls().values().sum();
    assert_eq!(calls, 1, "{:?}", f.double.github_calls());
}

#[tokio::test]
async fn secondary_limits_wait_as_told_or_for_a_minute() {
    for (told, waited) in [(Some(17), 17), (None, 60)] {
        let f = Fixture::new().await;
        f.double.github_secondary_limit(told);
        let _worker = f.work();
        let task = f.started("octocat").await;
        let job = f.in_state(&task, State::Scheduled).await;
        assert_eq!((job.attempt, job.run_at), (0, f.clock.now().plus(Duration::from_secs(waited))));
        f.clock.advance(Duration::from_secs(waited));
        assert_eq!(f.ended(&task).await["status"], "completed");
    }
}

#[tokio::test]
async fn a_429_pauses_every_analysis_of_this_provider() {
    let f = Fixture::new().await;
    f.double.fail("/github/users/octocat", Fault::RateLimit("30".into()));
    let worker = f.work();
    let first = f.started("octocat").await;
    f.in_state(&first, State::Scheduled).await;
    let second = f.started("torvalds").await;
    let until = f.clock.now().plus(Duration::from_secs(30));
    let held = f.job(&second).await;
    assert_eq!((held.state, f.longhaul.waits_until(&held).await.unwrap()), (State::Available, Some(until)));
    assert!(f.double.seen("/github/users/torvalds").is_empty());
    f.clock.advance(Duration::from_secs(30));
    for task in [&first, &second] {
        assert_eq!(f.ended(task).await["status"], "completed");
        assert_eq!(f.job(task).await.attempt, 1);
    }
    drop(worker);
}

#[tokio::test]
async fn the_budget_of_an_hour_holds_across_restarts() {
    let vars = [("GITHUB_TOKEN", "t"), ("GITHUB_RATE_LIMIT", "5"), ("PROVIDER_MAX_WAIT", "3600")];
    let f = Fixture::with(&vars).await;
    let worker = f.work();
    f.clock.advance(Duration::from_secs(600));
    let task = f.started("octocat").await;
    let job = f.in_state(&task, State::Scheduled).await;
    assert_eq!(job.run_at, f.clock.now().plus(Duration::from_secs(3_000)), "until the next full hour");
    assert_eq!(f.double.github_calls().values().sum::<usize>(), 5);
    drop(worker);
    let f = f.reopen(&vars).await;
    let _worker = f.work();
    // Another task of this hour's has nothing left of it either.
    f.clock.advance(Duration::from_secs(60));
    let other = f.started("torvalds").await;
    let held = f.job(&other).await;
    assert_eq!(f.longhaul.waits_until(&held).await.unwrap(), Some(job.run_at), "{held:?}");
    assert_eq!(f.double.github_calls().values().sum::<usize>(), 5);
}

#[tokio::test]
async fn a_full_queue_is_told_as_such_and_counts_against_nobody() {
    let beside = Fixture::with(&[("GITHUB_TASKS_PER_USER", "1")]).await;
    let (folder, clock, double) =
        (tempfile::tempdir().unwrap(), Clock::manual(), Arc::new(Double::start().await));
    let rows = SqliteStore::open_with_clock(folder.path().join("test.db"), clock.clone()).await.unwrap();
    let jobs = Longhaul::new(MemoryStore::with_clock(clock.clone()));
    let db = Db::sqlite(rows).with_jobs_in(jobs.clone());
    let apart = Fixture::over(folder, clock, double, &[("GITHUB_TASKS_PER_USER", "1")], db, jobs).await;
    for f in [beside, apart] {
        let bound = |max_waiting| QueueConfig { max_waiting, ..QueueConfig::default() };
        f.store().set_queue(github::QUEUE, &bound(Some(1))).await.unwrap();
        f.store().set_queue(github::BATCH_QUEUE, &bound(Some(1))).await.unwrap();
        let path = "/api/v1/github/analyze";
        assert_eq!(f.post_as("ada", path, &json!({ "username": "a" })).await.status, 200);
        for path in [path, "/api/v1/github/analyze/sync"] {
            let crowded = f.post_as("bob", path, &json!({ "username": "b" })).await;
            assert_eq!((crowded.status, &crowded.headers["retry-after"]), (429, &"5".parse().unwrap()));
            assert!(crowded.error().1.starts_with("Too many requests are waiting"), "{crowded:?}");
        }
        let batch = json!({ "usernames": ["x", "y", "z"] });
        assert_eq!(f.post_as("bob", "/api/v1/github/analyze/batch", &batch).await.status, 429);
        assert!(
            f.jobs("github.member").await.iter().all(|job| job.state == State::Cancelled),
            "no part is left"
        );
        f.store().set_queue(github::QUEUE, &bound(None)).await.unwrap();
        assert_eq!(f.post_as("bob", path, &json!({ "username": "b" })).await.status, 200);
    }
}

#[tokio::test]
async fn a_caller_has_so_many_tasks_in_flight() {
    let f = Fixture::with(&[("GITHUB_TOKEN", "t"), ("GITHUB_TASKS_PER_USER", "3")]).await;
    let path = "/api/v1/github/analyze";
    let body = |name: &str| json!({ "username": name });
    for name in ["a", "b", "c"] {
        assert_eq!(f.post_as("ada", path, &body(name)).await.status, 200);
    }
    let refused = f.post_as("ada", path, &body("d")).await;
    assert_eq!(refused.error(), (429, "Too many tasks: at most 3 may be in progress at a time".into()));
    assert_eq!(refused.headers["retry-after"], "5");
    for (method, path) in [("POST", "analyze/sync"), ("POST", "analyze/stream")] {
        let reply = f.post_as("ada", &format!("/api/v1/github/{path}"), &body("d")).await;
        assert_eq!(reply.status, 429, "{method} {path}");
    }
    let batch = f.post_as("ada", "/api/v1/github/analyze/batch", &json!({ "usernames": ["x", "y"] })).await;
    assert_eq!(batch.status, 429);
    // An analysis that runs is joined, and others have limits of their own: users, and addresses without a user.
    assert_eq!(f.post_as("ada", path, &body("a")).await.status, 200);
    assert_eq!(f.post_as("bob", path, &body("d")).await.status, 200);
    assert_eq!(f.post(path, &body("e")).await.status, 200);
    // A reservation is released when its task has ended, however it ended.
    let _worker = f.work();
    for job in f.jobs("github.analyze").await {
        f.ended(job.id.as_str()).await;
    }
    for name in ["ghost-1", "ghost-2", "ghost-3"] {
        let reply = f.post_as("ada", path, &body(name)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        f.ended(reply.json()["user_data"]["task_id"].as_str().unwrap()).await;
    }
    assert_eq!(f.post_as("ada", path, &body("g")).await.status, 200);
}

#[tokio::test]
async fn a_place_that_a_cancelled_task_left_taken_is_found_free() {
    let f = Fixture::with(&[("GITHUB_TOKEN", "t"), ("GITHUB_TASKS_PER_USER", "1")]).await;
    let task = f.started("octocat").await;
    assert_eq!(f.analyze("torvalds").await.status, 429);
    // Nobody runs, so nobody releases the reservation.
    f.longhaul.cancel(&longhaul::JobId::new(&*task).unwrap()).await.unwrap();
    let shown = f.task(&task).await.json();
    assert_eq!((&shown["status"], &shown["message"]), (&json!("failed"), &json!("Analysis was cancelled")));
    assert_eq!(f.analyze("torvalds").await.status, 200);
}

#[tokio::test]
async fn an_analysis_without_a_token_keeps_to_what_github_gives_strangers() {
    let f = Fixture::with(&[]).await;
    let _worker = f.work();
    let task = f.started("manyrepos").await;
    let ended = f.ended(&task).await;
    assert_eq!(ended["status"], "completed");
    let calls = f.double.github_calls();
    let count: usize = calls.values().sum();
    assert!(count <= 42, "{count}: {calls:?}");
    let commits = ended["result"]["commit_analysis"]["total_commits_analyzed"].as_u64().unwrap();
    assert!((100..=150).contains(&commits), "{commits}");

    let f = Fixture::with(TOKEN).await;
    let _worker = f.work();
    let task = f.started("manyrepos").await;
    f.ended(&task).await;
    let calls = f.double.github_calls();
    let count: usize = calls.values().sum();
    assert!((60..=88).contains(&count), "{count}: {calls:?}");
    // Three pages by `Link`, of 230 repositories.
    let pages: Vec<_> = calls.keys().filter(|path| path.starts_with("/users/manyrepos/repos")).collect();
    assert_eq!(pages.len(), 3, "{pages:?}");
}

#[tokio::test]
async fn a_budget_counts_the_calls_that_were_made_in_place_of_those_that_were_reserved() {
    let f = Fixture::new().await;
    let budget = Rate { n: 1, per: Duration::from_secs(3_600), burst: Some(170) };
    let limits = KeyConfig { rate: Some(budget), ..KeyConfig::default() };
    f.longhaul.store().set_key("provider:github", Some(&limits)).await.unwrap();
    let _worker = f.work();
    let task = f.started("octocat").await;
    assert_eq!(f.ended(&task).await["status"], "completed");
    assert_eq!(f.job(&task).await.policy.cost.rate, 88);
    let made: usize = f.double.github_calls().values().sum();
    let left = |rate| KeyFilter {
        names: vec!["provider:github".into()],
        cost: Cost { rate, ..Cost::default() },
        limit: 1,
        ..KeyFilter::default()
    };
    for (rate, is_left) in [(170 - made as u32, true), (171 - made as u32, false)] {
        let key = f.store().keys(&left(rate)).await.unwrap().remove(0);
        assert_eq!(key.rate_free_at.is_none(), is_left, "{made} calls: {key:?}");
    }
}
