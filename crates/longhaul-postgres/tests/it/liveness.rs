//! Heartbeats and other calls beside a transaction of an application that holds what some of them want.

use std::time::Duration;

use longhaul::{Claim, Error, JobFilter, LeaseStatus, NewJob, Page, Store};
use longhaul_conformance::jobs::{claim, completed, finish, id, named, slots, unique, worker};
use longhaul_conformance::retry_until_available;
use longhaul_postgres::{PostgresOptions, PostgresStore};

use crate::releases::client;
use crate::server::{PATIENCE, shared};

/// No call of these tests is answered by giving up.
const LONG: Duration = Duration::from_secs(300);

async fn patient() -> (PostgresStore, PostgresOptions) {
    let options = PostgresOptions { response_timeout: LONG, ..shared().options() };
    (PostgresStore::open(options.clone()).await.unwrap(), options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_are_answered_while_many_want_a_key_that_an_open_transaction_holds() {
    let (store, options) = patient().await;
    store.enqueue(vec![named("running")]).await.unwrap();
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    let mut client = client(&options).await;
    let transaction = client.transaction().await.unwrap();
    let first = store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap().remove(0);
    let waiting: Vec<_> = (0..12)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.enqueue(vec![unique("key", None)]).await })
        })
        .collect();
    for n in 0..6 {
        let beaten = store.heartbeat(&worker("w1"), std::slice::from_ref(&lease), LONG).await.unwrap();
        assert_eq!(beaten, [LeaseStatus::Held]);
        assert!(!store.enqueue(vec![named(&format!("job-{n}"))]).await.unwrap()[0].is_duplicate());
        store.sweep(10).await.unwrap();
    }
    assert!(waiting.iter().all(|call| !call.is_finished()), "they wait for the verdict");
    transaction.commit().await.unwrap();
    for call in waiting {
        let enqueued = call.await.unwrap().unwrap().remove(0);
        assert!(enqueued.is_duplicate() && enqueued.id == first.id);
    }
}

/// "Duplicate" must not be answered with a job that is then rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_wait_for_a_key_one_creates_its_job_once_the_holder_is_rolled_back() {
    let (store, options) = patient().await;
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let mut client = client(&options).await;
        client.batch_execute(&format!("SET default_transaction_isolation = '{isolation}'")).await.unwrap();
        let transaction = client.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![unique(isolation, None)]).await.unwrap();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.enqueue(vec![unique(isolation, None)]).await })
            })
            .collect();
        // Everybody else is served meanwhile.
        store.enqueue(vec![job_of("other", isolation)]).await.unwrap();
        transaction.rollback().await.unwrap();
        let mut ids = Vec::new();
        let mut created = 0;
        for call in waiting {
            let enqueued = call.await.unwrap().unwrap().remove(0);
            created += usize::from(!enqueued.is_duplicate());
            ids.push(enqueued.id);
        }
        ids.dedup();
        assert_eq!((created, ids.len()), (1, 1));
        assert!(store.get(&ids).await.unwrap().remove(0).found().is_some(), "and it is there");
    }
}

fn job_of(queue: &'static str, name: &str) -> NewJob {
    NewJob { queue: queue.into(), ..named(&name.replace(' ', "-")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_a_locked_row_does_not_delay_other_calls() {
    let (store, options) = patient().await;
    store.enqueue(vec![named("held"), named("free")]).await.unwrap();
    let claimed = store.claim(claim()).await.unwrap();
    let mut client = client(&options).await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("SELECT 1 FROM jobs WHERE id = 'held' FOR UPDATE", &[]).await.unwrap();
    store.enqueue_in(&transaction, vec![named("theirs")]).await.unwrap();

    let ends: Vec<_> = claimed.iter().map(|job| finish(&job.lease, completed())).collect();
    let held_at = claimed.iter().position(|job| job.lease.id.as_str() == "held").unwrap();
    let (waits, free) = (ends[held_at].clone(), ends[1 - held_at].clone());
    let finishing = tokio::spawn({
        let store = store.clone();
        async move { store.finish(vec![waits]).await }
    });
    // An id that the open transaction has created is waited for, too.
    let same_id = tokio::spawn({
        let store = store.clone();
        async move { store.enqueue(vec![named("theirs")]).await }
    });
    let beaten = store.heartbeat(&worker("w1"), &[claimed[held_at].lease.clone()], LONG).await.unwrap();
    assert_eq!(beaten, [LeaseStatus::Held], "its row cannot be written, and its lease is current");
    assert_eq!(store.finish(vec![free]).await.unwrap(), [LeaseStatus::Held]);
    for n in 0..20 {
        store.enqueue(vec![named(&format!("job-{n}"))]).await.unwrap();
    }
    let one = Claim { queues: vec![slots("images", 1)], ..claim() };
    assert_eq!(store.claim(one).await.unwrap().len(), 1);
    store.sweep(10).await.unwrap();
    assert!(!finishing.is_finished() && !same_id.is_finished());
    transaction.commit().await.unwrap();
    assert_eq!(finishing.await.unwrap().unwrap(), [LeaseStatus::Held]);
    assert!(same_id.await.unwrap().unwrap()[0].is_duplicate());
}

/// The row was locked when its heartbeat came: the lease is extended once it is free, without another heartbeat.
#[tokio::test]
async fn a_lease_whose_row_was_locked_is_extended_once_it_is_free() {
    let (store, options) = patient().await;
    store.enqueue(vec![named("a")]).await.unwrap();
    let lease = store.claim(claim()).await.unwrap().remove(0).lease;
    let mut holder = client(&options).await;
    let reader = client(&options).await;
    let lease_until = async || -> i64 {
        reader.query_one("SELECT lease_until FROM jobs WHERE id = 'a'", &[]).await.unwrap().get(0)
    };
    let before = lease_until().await;
    let transaction = holder.transaction().await.unwrap();
    transaction.execute("SELECT 1 FROM jobs WHERE id = 'a' FOR UPDATE", &[]).await.unwrap();
    let beaten = store.heartbeat(&worker("w1"), &[lease], 10 * LONG).await.unwrap();
    assert_eq!((beaten, lease_until().await), (vec![LeaseStatus::Held], before));
    transaction.rollback().await.unwrap();
    let extended = async {
        while lease_until().await <= before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, extended).await.expect("the lease stays as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_longer_than_the_response_timeout_is_unavailable() {
    let (patient, options) = patient().await;
    let options = PostgresOptions { response_timeout: Duration::from_secs(3), ..options };
    let store = retry_until_available(PATIENCE, async || PostgresStore::open(options.clone()).await).await;
    let mut client = client(&options).await;
    let transaction = client.transaction().await.unwrap();
    store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap();
    let kept = store.enqueue(vec![unique("key", None)]).await;
    assert!(matches!(kept, Err(Error::Unavailable { .. })), "{kept:?}");
    transaction.rollback().await.unwrap();
    // Not by the impatient store: what it gives up it may have done, and then its own job has the key.
    assert!(!patient.enqueue(vec![unique("key", None)]).await.unwrap()[0].is_duplicate(), "nobody has it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_given_up_is_cancelled_on_the_server() {
    let options = PostgresOptions { response_timeout: Duration::from_secs(3), ..shared().options() };
    let name = format!("reader-{}", options.schema);
    let mut named_options = options.clone();
    named_options.config.application_name(&name);
    let store =
        retry_until_available(PATIENCE, async || PostgresStore::open(named_options.clone()).await).await;
    retry_until_available(PATIENCE, async || store.enqueue(vec![named("a")]).await).await;
    let mut holder = client(&options).await;
    let transaction = holder.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let read = store.list(&JobFilter::default(), Page::default()).await;
    assert!(matches!(read, Err(Error::Unavailable { .. })), "{read:?}");
    let watcher = client(&options).await;
    let running = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = $1 AND state = 'active' AND query LIKE 'SELECT id, kind%'";
    let cancelled = async {
        while watcher.query_one(running, &[&name]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG / 5, cancelled).await.expect("the server still waits for the lock");
    transaction.rollback().await.unwrap();
    retry_until_available(PATIENCE, async || store.get(&[id("a")]).await).await;
}
