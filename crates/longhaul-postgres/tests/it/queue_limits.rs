//! Limits of whole queues and preferences in the tables, as several processes and releases see them.

use std::time::Duration;

use longhaul::{Claim, KeyConfig, Lease, NewJob, Prefer, QueueConfig, Store, WorkerInfo};
use longhaul_conformance::jobs::{claim, completed, finish, limited, named, worker};
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// A process that does not look for jobs by itself within a test.
async fn open(options: &PostgresOptions) -> PostgresStore {
    PostgresStore::open(PostgresOptions { look_every: 10 * LONG, ..options.clone() }).await.unwrap()
}

async fn set_slots(store: &PostgresStore, slots: u32) {
    let config = QueueConfig { slots: Some(slots), ..QueueConfig::default() };
    store.set_queue("images", &config).await.unwrap();
}

async fn used(store: &PostgresStore) -> Option<u64> {
    store.queues().await.unwrap().into_iter().find(|queue| queue.name == "images").unwrap().used
}

async fn claim_leases(store: &PostgresStore) -> Vec<Lease> {
    store.claim(claim()).await.unwrap().into_iter().map(|job| job.lease).collect()
}

fn ids(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.id.as_str()).collect()
}

#[tokio::test]
async fn a_waiting_claim_hears_that_another_process_gave_a_slot_of_its_queue_back() {
    let options = shared().options();
    let (one, other) = (open(&options).await, open(&options).await);
    set_slots(&one, 1).await;
    one.enqueue(["a", "b", "c"].map(named).into()).await.unwrap();
    let mut running = claim_leases(&other).await;
    for name in ["b", "c"] {
        assert_eq!(running.len(), 1);
        let mut waiting = Box::pin(one.claim(Claim { wait: LONG, ..claim() }));
        assert!(futures::poll!(&mut waiting).is_pending());
        other.finish(vec![finish(&running[0], completed())]).await.unwrap();
        let claimed = tokio::time::timeout(LONG / 5, waiting).await.expect("nobody told it").unwrap();
        running = claimed.into_iter().map(|job| job.lease).collect();
        assert_eq!(ids(&running), [name]);
    }
}

#[tokio::test]
async fn processes_that_claim_together_take_no_more_than_the_slots_of_a_queue() {
    let options = shared().options();
    let stores = [open(&options).await, open(&options).await];
    set_slots(&stores[0], 3).await;
    stores[0].enqueue((0..40).map(|n| named(&format!("job-{n}"))).collect()).await.unwrap();
    let mut ran = 0;
    while ran < 40 {
        let (one, other) = tokio::join!(claim_leases(&stores[0]), claim_leases(&stores[1]));
        let claimed: Vec<Lease> = one.into_iter().chain(other).collect();
        assert!(claimed.len() <= 3, "{}", claimed.len());
        assert_eq!(used(&stores[0]).await, Some(claimed.len() as u64));
        ran += claimed.len();
        stores[0].finish(claimed.iter().map(|lease| finish(lease, completed())).collect()).await.unwrap();
    }
    assert_eq!(used(&stores[1]).await, Some(0));
}

/// The release before ignores the limits of queues, and its claims mark no run.
#[tokio::test]
async fn a_sweep_counts_the_runs_of_the_previous_release_and_both_may_end_them() {
    let options = shared().options();
    let store = open(&options).await;
    let other = client(&options).await;
    set_slots(&store, 2).await;
    store.enqueue(["a", "b", "c"].map(named).into()).await.unwrap();
    let run = "UPDATE jobs SET state = 'running', token = 7, lease_until = 1 + (extract(epoch FROM now()) * 2000)::bigint
               WHERE id = ";
    other.batch_execute(&format!("{run} 'a'")).await.unwrap();
    store.sweep(10).await.unwrap();
    assert_eq!(used(&store).await, Some(1));
    assert_eq!(ids(&claim_leases(&store).await), ["b"]);
    assert_eq!(used(&store).await, Some(2));
    for name in ["a", "b"] {
        let end = format!("UPDATE jobs SET state = 'completed', lease_until = NULL WHERE id = '{name}'");
        other.batch_execute(&end).await.unwrap();
    }
    assert_eq!(used(&store).await, Some(0));
    // A configuration that it writes has no limits.
    other.batch_execute("UPDATE queues SET config = '{}'").await.unwrap();
    assert_eq!(used(&store).await, None);
    assert_eq!(ids(&claim_leases(&store).await), ["c"]);
}

#[tokio::test]
async fn keys_of_jobs_that_prefer_workers_are_counted_and_found_as_those_of_others() {
    let store = open(&shared().options()).await;
    store.set_key("k", Some(&KeyConfig { slots: Some(1), ..KeyConfig::default() })).await.unwrap();
    let prefers = |name: &str| NewJob {
        prefer: Some(Prefer::hard([("gpu", "a100")])),
        ..limited(name, &["k", "other"])
    };
    store.enqueue(vec![prefers("a"), prefers("b"), limited("c", &["k"])]).await.unwrap();
    let filter = longhaul::KeyFilter { names: vec!["k".into()], limit: 1, ..Default::default() };
    let key = store.keys(&filter).await.unwrap().remove(0);
    assert_eq!((key.used, key.waiting), (0, 3));
    let labels = [("gpu".to_owned(), "a100".to_owned())].into();
    let with = Claim { worker: WorkerInfo { labels, ..worker("w2") }, ..claim() };
    let claimed = store.claim(with.clone()).await.unwrap();
    assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(store.keys(&filter).await.unwrap()[0].used, 1);
    assert_eq!(claim_leases(&store).await, [], "the key has no slot");
    store.finish(vec![finish(&claimed[0].lease, completed())]).await.unwrap();
    assert_eq!(ids(&claim_leases(&store).await), ["c"], "the other prefers a worker with the label");
}
