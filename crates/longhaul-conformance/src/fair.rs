//! The contract of fair queues: turns between limit keys.

use longhaul::{Claim, KeyConfig, NewJob, QueueConfig};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, claim, completed, job, named, secs, slots};

async fn make_fair(fx: &Fixture) {
    fx.set_queue(QUEUE, &QueueConfig { fair: true, ..QueueConfig::default() }).await;
}

/// Jobs of a key, whose ids are the key's name and a number.
async fn enqueue(fx: &Fixture, key: &str, jobs: u32) {
    let job = |n| NewJob {
        limit_keys: if key == "plain" { Vec::new() } else { vec![key.to_owned()] },
        ..named(&format!("{key}.{n}"))
    };
    fx.enqueue_all((0..jobs).map(job).collect()).await;
}

/// Claims so many jobs one at a time, each in its turn, and answers their keys.
async fn turns(fx: &Fixture, jobs: u32) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..jobs {
        let claimed = fx.claim_one().await;
        let (key, _) = claimed.lease.id.as_str().split_once('.').unwrap_or_default();
        keys.push(key.to_owned());
        fx.end(&claimed.lease, completed()).await;
    }
    keys
}

/// "A fair queue takes turns between its keys."
pub async fn a_fair_queue_takes_turns_between_its_keys(fx: &Fixture) {
    make_fair(fx).await;
    enqueue(fx, "a", 5).await;
    fx.clock.advance(secs(1));
    enqueue(fx, "b", 2).await;
    fx.enqueue(NewJob { priority: 1, limit_keys: vec!["b".into()], ..named("b.first") }).await;
    let three = Claim { queues: vec![slots(QUEUE, 3)], ..claim() };
    let ids: Vec<String> = fx.claim(three).await.into_iter().map(|job| job.lease.id.to_string()).collect();
    assert_eq!(ids, ["a.0", "b.first", "a.1"], "within a key, priority and age decide");
    assert_eq!(turns(fx, 5).await, ["b", "a", "b", "a", "a"]);
    fx.set_queue(QUEUE, &QueueConfig::default()).await;
    enqueue(fx, "c", 2).await;
    fx.enqueue(NewJob { id: None, limit_keys: vec!["b".into()], ..job() }).await;
    assert_eq!(fx.claim_ids().await.len(), 3, "and goes on when it is fair no more");
}

/// "A fair queue gives turns by weight."
pub async fn a_fair_queue_gives_turns_by_weight(fx: &Fixture) {
    make_fair(fx).await;
    for (key, weight) in [("b", 2), ("c*", 4)] {
        let config = KeyConfig { weight: Some(weight), ..KeyConfig::default() };
        ok("configure a key", fx.store.set_key(key, Some(&config)).await);
    }
    for key in ["a", "b", "c"] {
        enqueue(fx, key, 40).await;
    }
    let turns = turns(fx, 28).await;
    let of = |name: &str| turns.iter().filter(|key| *key == name).count();
    assert_eq!((of("a"), of("b"), of("c")), (4, 8, 16), "{turns:?}");
}

/// "Jobs without keys take turns as one key does."
pub async fn jobs_without_keys_take_turns_as_one_key_does(fx: &Fixture) {
    make_fair(fx).await;
    enqueue(fx, "a", 3).await;
    enqueue(fx, "plain", 4).await;
    assert_eq!(turns(fx, 7).await, ["plain", "a", "plain", "a", "plain", "a", "plain"]);
}

/// "A key that comes late to a fair queue has no turns to catch up with."
pub async fn a_key_that_comes_late_to_a_fair_queue_has_no_turns_to_catch_up_with(fx: &Fixture) {
    make_fair(fx).await;
    enqueue(fx, "a", 20).await;
    assert_eq!(turns(fx, 10).await, ["a"; 10]);
    enqueue(fx, "b", 5).await;
    assert_eq!(turns(fx, 6).await, ["b", "a", "b", "a", "b", "a"]);
}
