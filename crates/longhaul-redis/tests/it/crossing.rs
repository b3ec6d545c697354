//! Two stores on one prefix, as two processes have them.

use std::time::Duration;

use longhaul::{Claim, EventBody, State, Store};
use longhaul_conformance::jobs::{claim, delayed, id, named, slots};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::server::{Cluster, shared};

const LONG: Duration = Duration::from_secs(300);

/// Options of stores that do not look by themselves within a test, as long as notifications come.
fn told_only(options: RedisOptions) -> RedisOptions {
    RedisOptions { look_every: 10 * LONG, ..options }
}

async fn two(options: RedisOptions) -> [RedisStore; 2] {
    [RedisStore::open(options.clone()).await.unwrap(), RedisStore::open(options).await.unwrap()]
}

/// Answers once `store` waits for news of something.
async fn until_watched(options: &RedisOptions, topic: &str) {
    let client = longhaul_redis::redis::Client::open(options.nodes[0].as_str()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let key = format!("{{{}}}:watched", options.prefix);
    loop {
        let mut command = longhaul_redis::redis::cmd("SISMEMBER");
        if command.arg(&key).arg(topic).query::<bool>(&mut connection).unwrap() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_waiting_claim_hears_of_a_job_that_another_process_enqueued() {
    let options = told_only(shared().options());
    let [one, other] = two(options.clone()).await;
    let waiting = tokio::spawn(async move { one.claim(Claim { wait: LONG, ..claim() }).await });
    until_watched(&options, "qimages").await;
    other.enqueue(vec![named("a")]).await.unwrap();
    let claimed = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn claims_of_one_process_that_wait_for_the_same_jobs_are_all_served() {
    let options = told_only(shared().options());
    let [one, other] = two(options.clone()).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let one_slot = Claim { wait: LONG, queues: vec![slots("images", 1)], ..claim() };
        let mut claimed = Box::pin(async { one.claim(one_slot).await });
        assert!(futures::poll!(&mut claimed).is_pending());
        // On the same connection, and so after the claim has looked.
        one.queues().await.unwrap();
        assert!(futures::poll!(&mut claimed).is_pending());
        waiting.push(claimed);
    }
    other.enqueue(["a", "b", "c", "d"].map(named).into()).await.unwrap();
    let served = futures::future::join_all(waiting);
    for claimed in tokio::time::timeout(LONG / 5, served).await.unwrap() {
        assert_eq!(claimed.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_pause_holds_for_the_claims_of_every_process_and_a_resume_wakes_them() {
    for options in [shared().options(), Cluster::shared().options()].map(told_only) {
        let [one, other] = two(options).await;
        one.pause_queue("images").await.unwrap();
        other.enqueue(vec![named("a")]).await.unwrap();
        let mut waiting = Box::pin(other.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        // On the same connection, and so after the claim has begun to wait.
        other.queues().await.unwrap();
        assert!(futures::poll!(&mut waiting).is_pending());
        one.resume_queue("images").await.unwrap();
        assert_eq!(tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_waiting_claim_answers_when_a_job_falls_due_by_the_servers_clock() {
    let [one, other] = two(told_only(shared().options())).await;
    other.enqueue(vec![delayed(Duration::from_millis(30))]).await.unwrap();
    let waiting = one.claim(Claim { wait: LONG, ..claim() });
    assert_eq!(tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_waiting_reader_hears_of_a_change_that_another_process_made() {
    let options = told_only(shared().options());
    let [one, other] = two(options.clone()).await;
    one.enqueue(vec![named("a")]).await.unwrap();
    let waiting = tokio::spawn(async move { one.events(&id("a"), 1, 10, LONG).await });
    until_watched(&options, "ja").await;
    other.claim(claim()).await.unwrap();
    let events = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().unwrap().unwrap();
    let running = |body: &EventBody| matches!(body, EventBody::State { state: State::Running, .. });
    assert!(events.iter().any(|event| running(&event.body)), "{events:?}");
}

#[tokio::test]
async fn wake_ups_cross_a_cluster() {
    // Whichever node has the keys, whichever node each store listens to.
    for _ in 0..5 {
        let mut options = told_only(Cluster::shared().options());
        let one = RedisStore::open(options.clone()).await.unwrap();
        options.nodes.rotate_left(1);
        let other = RedisStore::open(options).await.unwrap();
        let mut waiting = Box::pin(one.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        // On the same connection, and so after the claim has begun to wait.
        one.queues().await.unwrap();
        other.enqueue(vec![named("a")]).await.unwrap();
        assert_eq!(tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap().len(), 1);
    }
}
