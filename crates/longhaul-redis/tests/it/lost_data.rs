//! Data that somebody takes from under the store: an eviction, a hand, a program that thinks the keys are its own.
//! The rest of such a job is cleared away when it is met; nothing fails, and nothing is met for ever.

use std::collections::BTreeMap;

use longhaul::{Clock, JobFilter, Keep, LeaseStatus, Lookup, NewJob, QueueConfig, Retention, State};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, LEASE, claim, completed, delayed, id, named, secs, unique};
use longhaul_redis::RedisStore;

use crate::server::shared;

struct Robbed {
    fx: Fixture,
    prefix: String,
}

impl Robbed {
    async fn new() -> Self {
        let (options, clock) = (shared().options(), Clock::manual());
        let prefix = options.prefix.clone();
        let store = RedisStore::open_with_clock(options, clock.clone()).await.unwrap();
        Self { fx: Fixture::new(store, clock), prefix }
    }

    /// Takes a part of a job: `m` is its fields, `d` its data.
    fn take(&self, part: &str, job: &str) {
        shared().say(&format!("DEL {{{}}}:{part}:{job}", self.prefix));
    }

    async fn assert_counts(&self, expected: &[(State, u64)]) {
        let expected: BTreeMap<State, u64> = expected.iter().copied().collect();
        assert_eq!(self.fx.counts("images").await, expected);
    }
}

#[tokio::test]
async fn an_available_job_without_data_does_not_keep_others_from_being_claimed() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    fx.enqueue_all(["a", "b", "c", "d"].map(named).to_vec()).await;
    robbed.take("m", "a");
    robbed.take("d", "b");
    assert_eq!(fx.list(&JobFilter::default()).await, [id("d"), id("c")]);
    assert_eq!(fx.lookup_all(&[id("a"), id("b")]).await, [Lookup::Unknown, Lookup::Unknown]);
    let one_slot =
        longhaul::Claim { queues: vec![longhaul_conformance::jobs::slots("images", 1)], ..claim() };
    let claimed = fx.claim(one_slot).await;
    assert_eq!(claimed[0].lease.id, id("c"), "what is whole is claimed in the same call");
    robbed.assert_counts(&[(State::Available, 1), (State::Running, 1)]).await;
    fx.enqueue(named("a")).await;
    assert_eq!(fx.claim_ids().await, [id("d"), id("a")], "the id may be used again");
}

#[tokio::test]
async fn a_job_that_was_made_anew_under_the_id_of_a_lost_one_is_met_once() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    let lose_and_make = async |job: NewJob| {
        let name = job.id.clone().unwrap();
        fx.enqueue(job.clone()).await;
        robbed.take("m", name.as_str());
        fx.enqueue(job).await;
    };
    let limited = |name| NewJob { limit_keys: vec!["provider".into()], ..named(name) };
    let slots = |slots| QueueConfig { slots, ..QueueConfig::default() };
    // By a claim: of plain jobs, of those with limit keys, and of a queue with limits.
    lose_and_make(named("plain")).await;
    assert_eq!(fx.claim_ids().await, [id("plain")]);
    lose_and_make(limited("keyed")).await;
    assert_eq!(fx.claim_ids().await, [id("keyed")]);
    fx.set_queue("images", &slots(Some(9))).await;
    lose_and_make(named("counted")).await;
    assert_eq!(fx.claim_ids().await, [id("counted")]);
    assert_eq!(fx.queue("images").await.used, Some(3));
    robbed.assert_counts(&[(State::Running, 3)]).await;
    // By a sweep: of what falls due, and of what is rescued.
    lose_and_make(NewJob { id: Some(id("later")), ..delayed(secs(1)) }).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.sweep().await.promoted, 1);
    robbed.assert_counts(&[(State::Available, 1), (State::Running, 3)]).await;
    robbed.take("m", "plain");
    fx.enqueue(named("plain")).await;
    assert_eq!(fx.claim_ids().await.len(), 2);
    assert_eq!(fx.crash_workers().await.rescued, 4);
    assert_eq!(fx.job(&id("plain")).await.crashes, 1);
    robbed.assert_counts(&[(State::Available, 4)]).await;
    assert_eq!(fx.queue("images").await.used, Some(0));
}

#[tokio::test]
async fn a_running_job_without_data_is_lost_and_then_forgotten() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    let lease = fx.running_from(named("a")).await.lease;
    fx.act(&id("a"), longhaul::Action::cancel(secs(1))).await;
    robbed.take("m", "a");
    assert_eq!(fx.heartbeat(&lease).await, LeaseStatus::Lost);
    assert_eq!(fx.finish(&lease, completed()).await, LeaseStatus::Lost);
    fx.clock.advance(LEASE + secs(1));
    assert!(fx.sweep().await.is_empty());
    robbed.assert_counts(&[]).await;
    assert!(fx.sweep().await.is_empty());
    robbed.assert_counts(&[]).await;
}

#[tokio::test]
async fn a_scheduled_job_without_data_is_not_promoted() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    fx.enqueue_all(["a", "b"].map(|name| NewJob { id: Some(id(name)), ..delayed(secs(5)) }).to_vec()).await;
    robbed.take("m", "a");
    fx.clock.advance(secs(6));
    assert_eq!(fx.claim_ids().await, [id("b")]);
    robbed.assert_counts(&[(State::Running, 1)]).await;
}

#[tokio::test]
async fn a_finished_job_without_data_is_pruned_away() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    for name in ["a", "b"] {
        let lease = fx.running_from(named(name)).await.lease;
        fx.end(&lease, completed()).await;
    }
    robbed.take("m", "a");
    let completed = Keep { age: Some(HOUR), count: None };
    let retention = Retention { completed, ..Retention::default() };
    fx.set_queue("images", &QueueConfig { retention, ..QueueConfig::default() }).await;
    fx.clock.advance(2 * HOUR);
    assert_eq!(fx.sweep().await.pruned, 1, "only what was there is said to be pruned");
    robbed.assert_counts(&[]).await;
}

#[tokio::test]
async fn a_job_without_data_holds_no_unique_key() {
    let robbed = Robbed::new().await;
    let fx = &robbed.fx;
    let first = fx.enqueue(unique("k", None)).await;
    assert!(fx.offer(unique("k", None)).await.is_duplicate());
    robbed.take("m", first.as_str());
    let second = fx.enqueue(unique("k", None)).await;
    assert_eq!(fx.claim_ids().await, [second]);
}
