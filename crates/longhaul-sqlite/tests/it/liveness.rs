//! Leases are kept alive whatever the writer has to do, and no jump of the wall clock ends one.

use std::sync::Arc;
use std::time::Duration;

use longhaul::{Action, Claim, Clock, Error, JobFilter, LeaseStatus, State, Store, process_id};
use longhaul_conformance::Fixture;
use longhaul_conformance::jobs::{HOUR, LEASE, claim, completed, id, job, named, secs, worker};
use longhaul_sqlite::SqliteStore;
use longhaul_sqlite::rusqlite::Connection;

use crate::application::busy;

async fn store() -> (SqliteStore, Fixture) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let store = SqliteStore::open_with_clock(folder.path().join("jobs.db"), clock.clone()).await.unwrap();
    (store.clone(), Fixture { keep: Arc::new(folder), ..Fixture::new(store, clock) })
}

#[tokio::test]
async fn a_heartbeat_is_answered_while_an_application_holds_the_transaction_and_is_kept() {
    let (store, fx) = store().await;
    let lease = fx.running().await.lease;
    fx.clock.advance(LEASE - secs(5));
    let busy = busy(&store).await;
    let (worker, leases) = (worker("w1"), [lease.clone()]);
    let mut beat = std::pin::pin!(store.heartbeat(&worker, &leases, LEASE));
    assert!(futures::poll!(beat.as_mut()).is_pending());
    fx.clock.advance(LEASE / 10);
    let told = tokio::time::timeout(Duration::from_secs(60), beat).await.unwrap().unwrap();
    assert_eq!(told, [LeaseStatus::Held], "within the tenth of a lease that a worker waits");
    fx.clock.advance(secs(20));
    busy.end().await;
    assert_eq!(fx.sweep().await.rescued, 0, "it was written before anybody else could end the lease");
    fx.clock.advance(LEASE);
    assert_eq!(fx.sweep().await.rescued, 1);
}

#[tokio::test]
async fn a_heartbeat_of_a_lost_lease_hears_of_it_while_an_application_holds_the_transaction() {
    let (store, fx) = store().await;
    let lease = fx.running().await.lease;
    fx.clock.advance(LEASE);
    assert_eq!(fx.sweep().await.rescued, 1);
    let _busy = busy(&store).await;
    let (worker, leases) = (worker("w1"), [lease]);
    let mut beat = std::pin::pin!(store.heartbeat(&worker, &leases, LEASE));
    assert!(futures::poll!(beat.as_mut()).is_pending());
    fx.clock.advance(LEASE / 10);
    assert_eq!(beat.await.unwrap(), [LeaseStatus::Lost]);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_ends_neither_leases_nor_graces_nor_waits() {
    let (store, fx) = store().await;
    fx.enqueue_all(vec![named("a"), named("b")]).await;
    assert_eq!(fx.claim_ids().await.len(), 2);
    store.act(&JobFilter::id(id("b")), Action::cancel(secs(10)), 1).await.unwrap();
    let mut waiting = Box::pin(store.claim(Claim { wait: LEASE * 4, ..claim() }));
    assert!(futures::poll!(&mut waiting).is_pending());
    fx.clock.set_wall_forward(HOUR);
    assert_eq!((fx.sweep().await.rescued, fx.job(&id("b")).await.state), (0, State::Running));
    assert!(futures::poll!(&mut waiting).is_pending());
    // A process that opens the file after the jump counts as those before it do.
    let other = SqliteStore::open_with_clock(store.path(), fx.clock.clone()).await.unwrap();
    assert_eq!(other.sweep(10).await.unwrap().rescued, 0);
    fx.clock.advance(secs(10));
    assert_eq!(fx.sweep().await.fenced, 1);
    fx.clock.advance(LEASE);
    assert_eq!(other.sweep(10).await.unwrap().rescued, 1);
    assert_eq!(waiting.await.unwrap().len(), 1, "it hears of the rescue");
}

#[tokio::test]
async fn a_lease_of_the_release_before_ends_when_its_time_is_over() {
    let (store, fx) = store().await;
    let lease = fx.running().await.lease;
    let until = fx.now().plus(LEASE).0;
    let written = move |tx: &mut longhaul_sqlite::Transaction<'_, '_>| {
        tx.connection().execute("UPDATE jobs SET lease_until = ?1", [until])
    };
    store.transact(written).await.unwrap().unwrap();
    fx.clock.advance(LEASE - secs(1));
    assert_eq!(fx.sweep().await.rescued, 0);
    fx.clock.advance(secs(1));
    assert_eq!(fx.sweep().await.rescued, 1);
    assert_eq!(fx.finish(&lease, completed()).await, LeaseStatus::Lost);
}

#[tokio::test]
async fn a_store_that_joins_others_opens_while_one_of_them_keeps_the_write_lock() {
    let (store, _fx) = store().await;
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let joined = SqliteStore::open(store.path()).await.unwrap();
    assert_eq!(joined.queues().await.unwrap().len(), 0);
    other.execute_batch("COMMIT").unwrap();
}

#[tokio::test]
async fn another_process_that_keeps_the_write_lock_is_named_and_waited_for() {
    let (store, fx) = store().await;
    store.transact(|tx| tx.connection().busy_timeout(Duration::from_millis(1))).await.unwrap().unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.enqueue(vec![job()]).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }));
    assert!(refused.to_string().contains("another process holds the file's write lock"), "{refused}");
    assert!(store.ready().await.unwrap_err().is_outage());
    other.execute_batch("COMMIT").unwrap();
    fx.enqueue(job()).await;
    store.ready().await.unwrap();
    assert_eq!(
        store
            .claim(Claim {
                worker: longhaul::WorkerInfo { process: process_id().into(), ..worker("w") },
                ..claim()
            })
            .await
            .unwrap()
            .len(),
        1
    );
}
