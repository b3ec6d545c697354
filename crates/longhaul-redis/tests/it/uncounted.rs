//! Limit keys that nothing limits: runs hold nothing of these, and count once that is asked for.

use longhaul::{Clock, KeyConfig, KeyFilter};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{completed, id, limited};
use longhaul_redis::{RedisOptions, RedisStore};

use crate::alike::kept;
use crate::server::shared;

async fn fixture() -> (Fixture, RedisOptions) {
    let (options, clock) = (shared().options(), Clock::manual());
    let store = RedisStore::open_with_clock(options.clone(), clock.clone()).await.unwrap();
    (Fixture::new(store, clock), options)
}

async fn set(fx: &Fixture, key: &str, config: Option<KeyConfig>) {
    fx.store.set_key(key, config.as_ref()).await.unwrap();
}

fn slots(slots: u32) -> Option<KeyConfig> {
    Some(KeyConfig { slots: Some(slots), ..KeyConfig::default() })
}

/// The slots that are taken of keys.
async fn used(fx: &Fixture, names: &[&str]) -> Vec<u64> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    let found = fx.store.keys(&KeyFilter { names, limit: 9, ..KeyFilter::default() }).await.unwrap();
    found.into_iter().map(|key| key.used).collect()
}

/// The numbers of fields of the hashes of running jobs and of used limits.
fn counted(options: &RedisOptions) -> [usize; 2] {
    let kept = kept(options);
    ["holding", "limits"].map(|name| kept.get(name).map_or(0, |values| values.len() / 2))
}

#[tokio::test]
async fn a_run_holds_nothing_of_a_key_without_limits_and_counts_as_soon_as_it_has_some() {
    let (fx, options) = fixture().await;
    fx.enqueue(limited("a", &["provider", "tenant:1"])).await;
    let lease = fx.claim_leases().await.remove(0);
    assert_eq!(counted(&options), [0, 0]);
    assert_eq!(used(&fx, &["provider", "tenant:1"]).await, [1, 1]);
    let all = fx.store.keys(&KeyFilter { limit: 9, ..KeyFilter::default() }).await.unwrap();
    assert_eq!(all.len(), 2, "what runs is listed");
    set(&fx, "provider", slots(1)).await;
    assert_eq!(counted(&options), [1, 1]);
    assert_eq!(used(&fx, &["provider", "tenant:1"]).await, [1, 1]);
    fx.enqueue(limited("b", &["provider"])).await;
    assert!(fx.claim_ids().await.is_empty(), "its slot is taken");
    fx.end(&lease, completed()).await;
    assert_eq!(counted(&options), [0, 0]);
    assert_eq!(fx.claim_ids().await, [id("b")]);
}

#[tokio::test]
async fn limits_that_a_prefix_has_count_what_runs_of_a_key_that_had_others() {
    let (fx, options) = fixture().await;
    set(&fx, "tenant:*", slots(1)).await;
    // Limits of its own, of which none is counted, go before those of the prefix.
    set(&fx, "tenant:1", Some(KeyConfig { weight: Some(2), ..KeyConfig::default() })).await;
    fx.enqueue_all(vec![limited("a", &["tenant:1"]), limited("b", &["tenant:1"])]).await;
    let leases = fx.claim_leases().await;
    assert_eq!((leases.len(), counted(&options)), (2, [0, 0]));
    set(&fx, "tenant:1", None).await;
    assert_eq!((used(&fx, &["tenant:1"]).await, counted(&options)), (vec![2], [2, 1]));
    fx.enqueue(limited("c", &["tenant:1"])).await;
    fx.end(&leases[0], completed()).await;
    assert!(fx.claim_ids().await.is_empty(), "one runs on");
    fx.end(&leases[1], completed()).await;
    assert_eq!(fx.claim_ids().await, [id("c")]);
}

#[tokio::test]
async fn runs_of_a_key_are_counted_for_as_long_as_any_run_holds_it() {
    let (fx, options) = fixture().await;
    set(&fx, "provider", slots(1)).await;
    fx.enqueue(limited("a", &["provider"])).await;
    let first = fx.claim_leases().await.remove(0);
    set(&fx, "provider", None).await;
    fx.enqueue(limited("b", &["provider"])).await;
    let second = fx.claim_leases().await.remove(0);
    assert_eq!((used(&fx, &["provider"]).await, counted(&options)), (vec![2], [2, 1]));
    fx.end(&first, completed()).await;
    set(&fx, "provider", slots(1)).await;
    assert_eq!((used(&fx, &["provider"]).await, counted(&options)), (vec![1], [1, 1]), "none counts twice");
    fx.end(&second, completed()).await;
    assert_eq!(counted(&options), [0, 0]);
}
