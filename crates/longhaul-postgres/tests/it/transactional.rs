//! Jobs that are enqueued in the caller's own transaction.

use std::time::Duration;

use longhaul::{Claim, Error, JobId, Lookup, NewJob, Start, Store};
use longhaul_conformance::jobs::{claim, id, idempotent, named, unique};
use longhaul_postgres::{PostgresStore, tokio_postgres};

use crate::server::shared;

const LONG: Duration = Duration::from_secs(300);

/// A store, and a connection of somebody else to the same database.
async fn store_and_client() -> (PostgresStore, tokio_postgres::Client) {
    let store = PostgresStore::open(shared().options()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&shared().url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE TEMPORARY TABLE orders (id BIGINT PRIMARY KEY)").await.unwrap();
    (store, client)
}

async fn orders(client: &tokio_postgres::Client) -> i64 {
    client.query_one("SELECT count(*) FROM orders", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_job_and_a_row_are_committed_together_and_a_waiting_claim_hears_of_it() {
    let (store, mut client) = store_and_client().await;
    let mut waiting = Box::pin(store.claim(Claim { wait: LONG, ..claim() }));
    assert!(futures::poll!(&mut waiting).is_pending());

    let transaction = client.transaction().await.unwrap();
    let enqueued = store.enqueue_in(&transaction, vec![named("a")]).await.unwrap();
    assert!(!enqueued[0].is_duplicate());
    // The caller's own names are found as before.
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    assert_eq!(store.get(&[id("a")]).await.unwrap(), [Lookup::Unknown], "nobody sees it before the commit");
    assert!(futures::poll!(&mut waiting).is_pending());
    transaction.commit().await.unwrap();

    let claimed = tokio::time::timeout(LONG / 5, waiting).await.unwrap().unwrap();
    assert_eq!(claimed[0].lease.id, id("a"));
    assert_eq!(orders(&client).await, 1);
}

#[tokio::test]
async fn a_job_whose_transaction_is_rolled_back_was_never_there() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    let jobs = vec![named("a"), unique("key", None), idempotent("request", "digest")];
    assert_eq!(store.enqueue_in(&transaction, jobs).await.unwrap().len(), 3);
    transaction.rollback().await.unwrap();

    assert_eq!(orders(&client).await, 0);
    assert_eq!(store.get(&[id("a")]).await.unwrap(), [Lookup::Unknown]);
    assert!(store.queues().await.unwrap().is_empty(), "nothing is counted");
    assert!(!store.enqueue(vec![unique("key", None)]).await.unwrap()[0].is_duplicate(), "the key is free");
}

#[tokio::test]
async fn a_key_that_a_transaction_holds_is_waited_for() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let first = store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap().remove(0);
    let mut second = Box::pin(store.enqueue(vec![unique("key", None)]));
    assert!(futures::poll!(&mut second).is_pending());
    transaction.commit().await.unwrap();
    let second = second.await.unwrap().remove(0);
    assert!(second.is_duplicate());
    assert_eq!(second.id, first.id);
}

#[tokio::test]
async fn a_transaction_that_holds_a_key_for_long_keeps_nobody_else_waiting() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    store.enqueue_in(&transaction, vec![unique("key", None)]).await.unwrap();
    let (kept, other) = futures::join!(
        store.enqueue(vec![unique("key", None)]),
        store.enqueue(vec![named("a"), unique("another", None)])
    );
    assert!(matches!(kept, Err(Error::Unavailable { .. })), "{kept:?}");
    assert_eq!(other.unwrap().len(), 2);
    transaction.rollback().await.unwrap();
    assert!(!store.enqueue(vec![unique("key", None)]).await.unwrap()[0].is_duplicate());
}

#[tokio::test]
async fn a_batch_can_be_enqueued_in_a_transaction() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let jobs = NewJob::batch(named("closing"), vec![named("one"), named("two")]);
    assert_eq!(jobs[0].start, Start::AfterChildren);
    store.enqueue_in(&transaction, jobs).await.unwrap();
    transaction.commit().await.unwrap();
    let claimed: Vec<JobId> =
        store.claim(claim()).await.unwrap().into_iter().map(|job| job.lease.id).collect();
    assert_eq!(claimed, [id("one"), id("two")]);
}

#[tokio::test]
async fn a_job_that_breaks_a_bound_is_refused_before_anything_is_written() {
    let (store, mut client) = store_and_client().await;
    let transaction = client.transaction().await.unwrap();
    let refused = store.enqueue_in(&transaction, vec![NewJob { max_attempts: 0, ..named("a") }]).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    transaction.execute("INSERT INTO orders VALUES (7)", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(orders(&client).await, 1);
}
