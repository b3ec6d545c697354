//! Bounds on what waits and ends by time, as far as only this store has something to keep for them.

use longhaul::{Action, Clock, KeyConfig, NewJob, OnFull, QueueConfig, State};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, QUEUE, claim, completed, delayed, id, job, named, retry, secs};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::alike::kept;
use crate::server::shared;

async fn fixture() -> (Fixture, RedisOptions) {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    (Fixture::new(store, clock), options)
}

fn most(max_waiting: u64) -> QueueConfig {
    QueueConfig { max_waiting: Some(max_waiting), on_full: OnFull::Reject, ..QueueConfig::default() }
}

fn keyed(name: &str) -> NewJob {
    NewJob { limit_keys: vec!["tenant:1".into()], ..named(name) }
}

/// The number of members of a sorted set.
fn members(options: &RedisOptions, name: &str) -> usize {
    kept(options).get(name).map_or(0, |values| values.len() / 2)
}

#[tokio::test]
async fn a_bound_counts_the_jobs_that_waited_before_it_was_set_and_forgets_them_when_it_is_taken_away() {
    let (fx, options) = fixture().await;
    fx.enqueue_all((0..1_100).map(|_| job()).collect()).await;
    fx.enqueue_all((0..100).map(|_| NewJob { queue: "mail".into(), ..delayed(HOUR) }).collect()).await;
    fx.enqueue_all(vec![keyed("a"), NewJob { queue: "mail".into(), ..keyed("b") }]).await;
    fx.set_queue(QUEUE, &most(1_102)).await;
    assert_eq!(members(&options, "waiting"), 1_101);
    let two = KeyConfig { max_waiting: Some(2), ..KeyConfig::default() };
    fx.store.set_key("tenant:*", Some(&two)).await.unwrap();
    assert_eq!(members(&options, "waiting"), 1_103);
    assert!(fx.offer(keyed("c")).await.full.is_some(), "two wait with its key");
    assert!(fx.offer(job()).await.is_created());
    assert!(fx.offer(job()).await.full.is_some(), "1,102 wait in its queue");
    // Limits of its own, without a bound, go before those of the prefix.
    fx.store.set_key("tenant:1", Some(&KeyConfig::default())).await.unwrap();
    fx.set_queue(QUEUE, &QueueConfig::default()).await;
    assert_eq!(members(&options, "waiting"), 0);
    assert!(fx.offer(keyed("c")).await.is_created());
}

#[tokio::test]
async fn a_bound_keeps_nothing_of_jobs_that_wait_no_more() {
    let (fx, options) = fixture().await;
    fx.set_queue(QUEUE, &most(5)).await;
    fx.enqueue_all(vec![job(), named("a"), delayed(secs(5))]).await;
    assert_eq!(members(&options, "waiting"), 3);
    let claimed = fx.claim(claim()).await;
    assert_eq!((claimed.len(), members(&options, "waiting")), (2, 1));
    fx.end(&claimed[0].lease, completed()).await;
    fx.end(&claimed[1].lease, retry(secs(5))).await;
    assert_eq!(members(&options, "waiting"), 2, "a job that is retried waits again");
    fx.clock.advance(secs(5));
    fx.sweep().await;
    assert_eq!(members(&options, "waiting"), 2);
    assert_eq!(fx.claim(claim()).await.len(), 2);
    assert_eq!(members(&options, "waiting"), 0);
}

#[tokio::test]
async fn nothing_is_kept_of_the_time_of_a_job_that_has_ended_before() {
    let (fx, options) = fixture().await;
    let timed = |name: &str| NewJob { expires_in: Some(HOUR), ..named(name) };
    fx.enqueue_all(vec![timed("a"), timed("b")]).await;
    assert_eq!(members(&options, "timed"), 2);
    let claimed = fx.claim(claim()).await;
    fx.end(&claimed[0].lease, completed()).await;
    fx.end(&claimed[1].lease, retry(HOUR)).await;
    fx.act(&claimed[1].lease.id, Action::cancel(secs(1))).await;
    assert_eq!(members(&options, "timed"), 0);
}

#[tokio::test]
async fn a_claim_behind_more_expired_jobs_than_it_passes_over_has_them_ended() {
    let (fx, options) = fixture().await;
    fx.enqueue_all((0..1_200).map(|_| NewJob { expires_in: Some(secs(1)), ..job() }).collect()).await;
    fx.enqueue(named("lasting")).await;
    fx.clock.advance(secs(1));
    assert_eq!(fx.claim_ids().await, [id("lasting")]);
    assert!(members(&options, "timed") < 1_000);
    while !fx.sweep().await.is_empty() {}
    assert_eq!(fx.counts(QUEUE).await.get(&State::Cancelled), Some(&1_200));
    assert_eq!(members(&options, "timed"), 0);
}
