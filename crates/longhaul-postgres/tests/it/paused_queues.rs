//! Pauses of queues, as several processes see them.

use std::time::Duration;

use longhaul::{Claim, LeaseStatus, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, slots};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// Two processes that do not look for jobs by themselves within a test.
async fn two() -> ([PostgresStore; 2], PostgresOptions) {
    let options = PostgresOptions { look_every: 10 * LONG, ..shared().options() };
    let stores = [
        PostgresStore::open(options.clone()).await.unwrap(),
        PostgresStore::open(options.clone()).await.unwrap(),
    ];
    (stores, options)
}

#[tokio::test]
async fn a_waiting_claim_hears_that_another_process_resumed_its_queue() {
    let ([one, other], _) = two().await;
    for name in ["a", "b", "c", "d"] {
        other.pause_queue("images").await.unwrap();
        other.enqueue(vec![named(name)]).await.unwrap();
        let mut waiting = Box::pin(one.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        // On the same connection, and so after the claim has looked.
        one.pause_queue("elsewhere").await.unwrap();
        assert!(futures::poll!(&mut waiting).is_pending());
        other.resume_queue("images").await.unwrap();
        let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("nobody told it").unwrap();
        assert_eq!(claimed[0].lease.id, id(name));
    }
}

#[tokio::test]
async fn a_pause_holds_at_once_for_the_turns_of_every_process_and_after_a_restart() {
    let ([one, other], options) = two().await;
    one.enqueue(["a", "b", "c"].map(named).into()).await.unwrap();
    let single = || Claim { queues: vec![slots("images", 1)], ..claim() };
    let running = other.claim(single()).await.unwrap().remove(0).lease;
    // In one statement, as every turn that has nothing else to do.
    let turn = other.finish_and_claim(vec![finish(&running, completed())], single()).await.unwrap();
    let running = turn.claimed[0].lease.clone();
    one.pause_queue("images").await.unwrap();
    let turn = other.finish_and_claim(vec![finish(&running, completed())], single()).await.unwrap();
    assert_eq!((turn.finished, turn.claimed), (vec![LeaseStatus::Held], Vec::new()));
    drop((one, other));
    let restarted = PostgresStore::open(options).await.unwrap();
    assert!(restarted.claim(single()).await.unwrap().is_empty());
    assert!(restarted.queues().await.unwrap()[0].paused);
    restarted.resume_queue("images").await.unwrap();
    assert_eq!(restarted.claim(single()).await.unwrap()[0].lease.id, id("c"));
}
