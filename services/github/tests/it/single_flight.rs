use std::sync::Arc;
use std::time::Duration;

use fakes::Fault;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_analyses_of_one_user_are_one() {
    let f = Arc::new(Fixture::new().await);
    // It hangs on at its first call until all have asked.
    f.double.fail("/github/users/octocat", Fault::RateLimit("1".into()));
    let _worker = f.work();
    let names = ["octocat", "Octocat", "OCTOCAT"];
    let asked = (0..200).map(|n| {
        let f = Arc::clone(&f);
        tokio::spawn(async move {
            match n % 4 {
                // Whoever waits for the result joins as well.
                3 => None,
                n => Some(f.started(names[n]).await),
            }
        })
    });
    let tasks: Vec<String> = join_all(asked).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(tasks.len(), 150);
    assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
    let waiting = (0..50).map(|_| {
        let f = Arc::clone(&f);
        tokio::spawn(async move { f.get("/api/v1/github/user/octocat").await.json() })
    });
    let waiting: Vec<_> = waiting.collect();
    f.in_state(&tasks[0], longhaul::State::Scheduled).await;
    f.clock.advance(Duration::from_secs(2));
    let ended = f.ended(&tasks[0]).await;
    assert_eq!(ended["status"], "completed", "{ended}");

    let polled = join_all((0..150).map(|_| f.task(&tasks[0]))).await;
    assert!(polled.iter().all(|reply| reply.json() == ended));
    for result in join_all(waiting).await {
        assert_eq!(result.unwrap(), ended["result"]);
    }
    assert_eq!(f.jobs("github.analyze").await.len(), 1);
    let calls = f.double.github_calls();
    let mut repeated = calls.iter().filter(|(_, count)| **count > 1);
    assert_eq!(
        repeated.next().map(|(path, count)| (path.as_str(), *count)),
        Some(("/users/octocat", 2)),
        "one was refused"
    );
    assert_eq!(repeated.next(), None);
}

#[tokio::test]
async fn a_fresh_result_is_served_until_it_is_old() {
    let f = Fixture::with(&[("GITHUB_TOKEN", "t"), ("GITHUB_CACHE_TTL", "100")]).await;
    let _worker = f.work();
    let first = f.started("octocat").await;
    let result = f.ended(&first).await["result"].clone();
    let calls = f.double.github_calls();
    f.clock.advance(Duration::from_secs(99));
    let cached = f.analyze("octocat").await.json();
    assert_eq!(
        (&cached["user_data"]["task_id"], &cached["repositories"]),
        (&json!(first), &result["repositories"])
    );
    assert_eq!(f.double.github_calls(), calls, "GitHub was not asked");

    f.clock.advance(Duration::from_secs(1));
    let second = f.started("octocat").await;
    assert_ne!(first, second);
    f.ended(&second).await;
    assert_eq!(f.double.github_calls()["/users/octocat"], 2);
}

#[tokio::test]
async fn the_original_variable_for_the_lifetime_of_results_holds_where_ours_is_unset() {
    for (vars, expected) in [
        (vec![("REDIS_DEFAULT_TTL", "100")], 100),
        (vec![("REDIS_DEFAULT_TTL", "100"), ("GITHUB_CACHE_TTL", "200")], 200),
        (vec![], 3_600),
    ] {
        let health = Fixture::with(&vars).await.get("/api/v1/github/health").await.json();
        assert_eq!(health["cache_ttl"], expected);
    }
}

#[tokio::test]
async fn a_refresh_runs_anew_and_costs_no_quota_where_nothing_changed() {
    let f = Fixture::new().await;
    let worker = f.work();
    let first = f.started("octocat").await;
    let before = f.ended(&first).await;
    let used = f.double.github_used();
    assert!(used > 20, "{used}");
    let forced = json!({ "username": "octocat", "force_refresh": true });
    // In the same second: the task has an id of its own all the same.
    let second = f.post("/api/v1/github/analyze", &forced).await.json();
    let second = second["user_data"]["task_id"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert!(second.starts_with(&first), "{second}");
    let after = f.ended(&second).await;
    assert_eq!(after["result"], before["result"]);
    assert_eq!(f.double.github_used(), used, "every answer was 304, which costs nothing");
    assert!(f.double.github_calls().values().all(|count| *count == 2));

    // One that runs is joined by a refresh, too.
    drop(worker);
    f.clock.advance(Duration::from_secs(10));
    let ask = async || f.post("/api/v1/github/analyze", &forced).await.json()["user_data"]["task_id"].clone();
    let third: Value = ask().await;
    assert_eq!((ask().await, f.jobs("github.analyze").await.len()), (third, 3));
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let f = Fixture::new().await;
    let _worker = f.work();
    let first = f.started("ghost").await;
    f.ended(&first).await;
    let second = f.started("ghost").await;
    assert_ne!(first, second, "each has a task of its own, in one second too");
    assert_eq!(f.ended(&second).await["message"], "GitHub user 'ghost' not found");
}
