//! The contract of what a run settles at its end.

use longhaul::{
    Cost, Finish, KeyConfig, KeyFilter, Lease, LeaseStatus, NewJob, Policy, QueueConfig, Rate, Timestamp,
};

use crate::Fixture;
use crate::fixture::ok;
use crate::jobs::{QUEUE, completed, failed, finish, id, limited, retry, secs};

/// A rate of ten units a second, and a burst of forty.
async fn set_rate(fx: &Fixture, key: &str) {
    let rate = Some(Rate { n: 10, per: secs(1), burst: Some(40) });
    ok("configure a key", fx.store.set_key(key, Some(&KeyConfig { rate, ..KeyConfig::default() })).await);
}

fn costing(name: &str, keys: &[&str], rate: u32) -> NewJob {
    NewJob { policy: Policy { cost: Cost { slots: 1, rate }, ..Policy::default() }, ..limited(name, keys) }
}

/// From when on a job that takes the whole burst could start.
async fn rested_at(fx: &Fixture, key: &str) -> Option<Timestamp> {
    let cost = Cost { slots: 1, rate: 40 };
    let filter = KeyFilter { names: vec![key.to_owned()], limit: 1, cost, ..KeyFilter::default() };
    ok("list keys", fx.store.keys(&filter).await).remove(0).rate_free_at
}

async fn settle(fx: &Fixture, lease: &Lease, outcome: longhaul::Outcome, cost: Option<u32>) -> LeaseStatus {
    fx.finish_all(vec![Finish { cost, ..finish(lease, outcome) }]).await[0]
}

/// "A run that settles its cost moves the rates of its keys by the difference."
pub async fn a_run_that_settles_its_cost_moves_the_rates_of_its_keys_by_the_difference(fx: &Fixture) {
    set_rate(fx, "a").await;
    set_rate(fx, "b").await;
    let keys = ["a", "b", "unlimited"];
    let first = fx.running_from(costing("first", &keys, 20)).await.lease;
    assert_eq!(rested_at(fx, "a").await, Some(fx.now().plus(secs(2))));
    assert_eq!(settle(fx, &first, completed(), Some(50)).await, LeaseStatus::Held);
    for key in ["a", "b"] {
        assert_eq!(rested_at(fx, key).await, Some(fx.now().plus(secs(5))), "{key}");
    }
    fx.enqueue(costing("second", &keys, 20)).await;
    assert!(fx.claim_ids().await.is_empty(), "later runs wait for it");
    fx.clock.advance(secs(3));
    let second = fx.claim_one().await.lease;
    assert_eq!(rested_at(fx, "a").await, Some(fx.now().plus(secs(4))));
    // Whatever the outcome; and what was reserved in vain is free at once.
    assert_eq!(settle(fx, &second, retry(secs(60)), Some(5)).await, LeaseStatus::Held);
    assert_eq!(rested_at(fx, "b").await, Some(fx.now().plus(crate::jobs::secs(5) / 2)));
    // Never below now: what was free cannot be saved up.
    fx.clock.advance(secs(10));
    let third = fx.running_from(costing("third", &keys, 20)).await.lease;
    fx.clock.advance(secs(10));
    assert_eq!(settle(fx, &third, failed(), Some(0)).await, LeaseStatus::Held);
    let fourth = fx.running_from(costing("fourth", &keys, 40)).await.lease;
    assert_eq!(rested_at(fx, "a").await, Some(fx.now().plus(secs(4))));
    settle(fx, &fourth, completed(), Some(40)).await;
    assert_eq!(rested_at(fx, "a").await, Some(fx.now().plus(secs(4))));
}

/// "A run that settles nothing moves no rate."
pub async fn a_run_that_settles_nothing_moves_no_rate(fx: &Fixture) {
    set_rate(fx, "a").await;
    let first = fx.running_from(costing("first", &["a"], 20)).await.lease;
    let rested = rested_at(fx, "a").await;
    fx.end(&first, completed()).await;
    assert_eq!(rested_at(fx, "a").await, rested);
    // Nor does one whose lease is lost, or that is sent again.
    let second = fx.running_from(costing("second", &["a"], 20)).await.lease;
    fx.crash_workers().await;
    let third = fx.claim_one().await.lease;
    assert_eq!(third.id, id("second"));
    let rested = rested_at(fx, "a").await;
    assert_eq!(settle(fx, &second, completed(), Some(40)).await, LeaseStatus::Lost);
    assert_eq!(rested_at(fx, "a").await, rested);
    settle(fx, &third, completed(), Some(30)).await;
    let settled = rested_at(fx, "a").await;
    assert_eq!(settle(fx, &third, completed(), Some(30)).await, LeaseStatus::Held);
    assert_eq!(rested_at(fx, "a").await, settled);
}

/// "A run that goes on after its rates are free again settles its cost whatever was swept."
pub async fn a_run_that_goes_on_after_its_rates_are_free_again_settles_its_cost_whatever_was_swept(
    fx: &Fixture,
) {
    set_rate(fx, "a").await;
    let rate = Some(Rate { n: 10, per: secs(1), burst: Some(40) });
    fx.set_queue(QUEUE, &QueueConfig { rate, ..QueueConfig::default() }).await;
    let queue_rested_at = async || fx.queue(QUEUE).await.rate_free_at;
    let (none, one): (&[&str], &[&str]) = (&[], &["a"]);
    for (reserved, keys) in [(0, none), (20, none), (0, one), (20, one)] {
        let run = fx.running_from(costing(&format!("{reserved}-{}", keys.len()), keys, reserved)).await.lease;
        fx.clock.advance(secs(2));
        // Once more, for a sweep may leave to the next what the one before has made possible.
        fx.sweep().await;
        fx.sweep().await;
        assert_eq!(queue_rested_at().await, None, "{reserved} {keys:?}");
        assert_eq!(settle(fx, &run, completed(), Some(reserved + 30)).await, LeaseStatus::Held);
        let free_at = Some(fx.now().plus(secs(3)));
        assert_eq!(queue_rested_at().await, free_at, "{reserved} {keys:?}");
        if let Some(key) = keys.first() {
            assert_eq!(rested_at(fx, key).await, free_at, "{reserved}");
        }
        fx.clock.advance(secs(10));
        fx.sweep().await;
    }
}
