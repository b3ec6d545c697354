//! Jobs of limit keys for which no limits are set: one statement ends and claims them, until limits are set.

use std::time::Duration;

use longhaul::{Claim, FinishAndClaim, KeyConfig, KeyFilter, Lease, NewJob, Store};
use longhaul_conformance::jobs::{claim, completed, finish, job, limited, named, slots};
use longhaul_postgres::tokio_postgres::Client;
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// A process whose last claim took a job with a limit key, and that job's lease.
async fn open(options: &PostgresOptions) -> (PostgresStore, Vec<Lease>) {
    let store = PostgresStore::open(options.clone()).await.unwrap();
    store.enqueue(vec![limited("first", &["any"])]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap().into_iter().map(|job| job.lease).collect();
    (store, claimed)
}

async fn set_slots(store: &PostgresStore, key: &str, slots: u32) {
    let config = KeyConfig { slots: Some(slots), ..KeyConfig::default() };
    store.set_key(key, Some(&config)).await.unwrap();
}

/// The number of used slots of a key.
async fn used(store: &PostgresStore, name: &str) -> u64 {
    let filter = KeyFilter { names: vec![name.to_owned()], limit: 1, ..KeyFilter::default() };
    store.keys(&filter).await.unwrap().remove(0).used
}

/// Ends runs and claims so many jobs.
async fn turn(store: &PostgresStore, ended: &[Lease], most: usize) -> Vec<Lease> {
    let ends = ended.iter().map(|lease| finish(lease, completed())).collect();
    let claim = Claim { queues: vec![slots("images", most)], ..claim() };
    let FinishAndClaim { claimed, .. } = store.finish_and_claim(ends, claim).await.unwrap();
    claimed.into_iter().map(|job| job.lease).collect()
}

fn ids(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.id.as_str()).collect()
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn jobs_of_keys_without_limits_come_in_their_order_among_others_and_are_counted_for_limits_to_come() {
    let options = shared().options();
    let (store, first) = open(&options).await;
    let client = client(&options).await;
    let urgent = NewJob { priority: 50, ..limited("urgent", &["a", "b"]) };
    let jobs = vec![limited("one", &["a"]), named("two"), limited("three", &["a"]), urgent, named("four")];
    store.enqueue(jobs).await.unwrap();
    let some = turn(&store, &first, 3).await;
    assert_eq!(ids(&some), ["urgent", "one", "two"]);
    let arrivals = count(&client, "SELECT count(*) FROM arrivals").await;
    assert_eq!(arrivals, 3, "no group was looked at, so none of these was folded in");
    assert_eq!((used(&store, "a").await, used(&store, "b").await, used(&store, "any").await), (2, 1, 0));
    set_slots(&store, "a", 2).await;
    let (urgent, others) = some.split_first().unwrap();
    assert_eq!(ids(&turn(&store, &[], 9).await), ["four"]);
    assert_eq!(ids(&turn(&store, std::slice::from_ref(urgent), 9).await), ["three"]);
    assert!(turn(&store, &others[1..], 9).await.is_empty());
    assert_eq!((used(&store, "a").await, used(&store, "b").await), (2, 0));
}

#[tokio::test]
async fn a_pause_and_the_limits_of_a_prefix_hold_and_keep_no_other_key_back() {
    let options = shared().options();
    let (store, mut running) = open(&options).await;
    set_slots(&store, "tenant:*", 1).await;
    store.pause_key("provider", LONG).await.unwrap();
    for (round, other) in ["x", "y", "z"].into_iter().enumerate() {
        let of = |n| limited(&format!("{other}-tenant-{n}"), &["tenant:one"]);
        let paused = limited(&format!("{other}-paused"), &["provider"]);
        store.enqueue(vec![paused, of(1), of(2), limited(other, &["any"])]).await.unwrap();
        let taken = turn(&store, &running, 9).await;
        let expected = match round {
            0 => vec![format!("{other}-tenant-1"), other.to_owned()],
            _ => vec![ids(&taken)[0].to_owned(), other.to_owned()],
        };
        assert_eq!(ids(&taken), expected);
        assert!(taken[0].id.as_str().contains("-tenant-"), "{taken:?}");
        assert_eq!((used(&store, "tenant:one").await, used(&store, "provider").await), (1, 0));
        running = taken;
    }
}

/// A claim that sees no limits, and those who set some, do not miss each other.
#[tokio::test]
async fn limits_are_set_once_the_claims_that_saw_none_are_committed() {
    let options = shared().options();
    let (store, first) = open(&options).await;
    let mut other = client(&options).await;
    let claims = other.transaction().await.unwrap();
    let sees_none = "SELECT are_unlimited(ARRAY['provider'], 0)";
    assert!(claims.query_one(sees_none, &[]).await.unwrap().get::<_, bool>(0));
    let mut setting = Box::pin(set_slots(&store, "provider", 1));
    let looker = client(&options).await;
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid IN
                 (SELECT pid FROM pg_stat_activity WHERE query LIKE '%key_configs%')";
    while count(&looker, waits).await == 0 {
        assert!(futures::poll!(&mut setting).is_pending());
        tokio::task::yield_now().await;
    }
    claims.commit().await.unwrap();
    setting.await;

    let sets = other.transaction().await.unwrap();
    sets.batch_execute("INSERT INTO key_configs (key, config) VALUES ('any', '{\"slots\":1}')")
        .await
        .unwrap();
    assert!(!looker.query_one(sees_none, &[]).await.unwrap().get::<_, bool>(0));
    // Nobody waits for it, and its limits do not hold yet.
    store.enqueue(vec![limited("one", &["any"]), limited("two", &["any"])]).await.unwrap();
    let running = turn(&store, &first, 9).await;
    assert_eq!(ids(&running), ["one", "two"]);
    sets.commit().await.unwrap();
    store.enqueue(vec![limited("three", &["any"])]).await.unwrap();
    assert!(turn(&store, &running[..1], 9).await.is_empty(), "the other run has the slot");
    assert_eq!(ids(&turn(&store, &running[1..], 9).await), ["three"]);
}

#[tokio::test]
async fn groups_whose_jobs_were_claimed_as_plain_ones_do_not_delay_claims() {
    const MANY: usize = 3_000;
    let options = shared().options();
    let (store, mut running) = open(&options).await;
    let client = client(&options).await;
    let keyed = |n: usize| NewJob { limit_keys: vec![format!("tenant:{n}")], ..job() };
    store.enqueue((0..MANY).map(keyed).collect()).await.unwrap();
    while count(&client, "SELECT count(*) FROM arrivals").await > 0 {
        store.sweep(10).await.unwrap();
    }
    let open = "SELECT count(*) FROM limit_groups WHERE closed_by IS NULL";
    assert!(count(&client, open).await >= i64::try_from(MANY).unwrap());
    let mut left = MANY;
    while left > 0 {
        running = turn(&store, &running, 500).await;
        assert!(!running.is_empty(), "{left} are left");
        left -= running.len();
    }
    set_slots(&store, "provider", 1).await;
    store.enqueue(vec![limited("last", &["provider"])]).await.unwrap();
    assert_eq!(ids(&turn(&store, &running, 9).await), ["last"]);
    assert!(turn(&store, &[], 9).await.is_empty());
    assert_eq!(count(&client, open).await, 0);
}
