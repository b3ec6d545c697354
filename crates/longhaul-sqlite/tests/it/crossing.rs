//! Two stores on one file, as two processes have them: neither hears the other's signals.

use std::time::Duration;

use longhaul::{JobId, State, Store, process_id};
use longhaul_sqlite::SqliteStore;

use crate::owner::{claim, job};

/// Far beyond the 100 ms within which a change is noticed: only a lost wake-up takes this long.
const GUARD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_waiting_claim_hears_of_a_job_that_another_process_enqueued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (one, other) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    let mut waiting = Box::pin(one.claim(claim("w", process_id(), 10 * GUARD)));
    assert!(futures::poll!(&mut waiting).is_pending());
    other.enqueue(vec![job("a")]).await.unwrap();
    let claimed = tokio::time::timeout(GUARD, waiting).await.unwrap().unwrap();
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn claims_of_one_process_that_wait_for_the_same_jobs_are_served_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (one, other) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    let names = ["a", "b", "c", "d"];
    let mut waiting = Vec::new();
    for worker in names {
        let claim = claim(worker, process_id(), 10 * GUARD);
        let queues = claim.queues.iter().map(|queue| longhaul::QueueSlots { slots: 1, ..queue.clone() });
        let mut claimed = Box::pin(one.claim(longhaul::Claim { queues: queues.collect(), ..claim.clone() }));
        assert!(futures::poll!(&mut claimed).is_pending());
        // By the same thread, and so after the claim has been parked.
        one.ready().await.unwrap();
        waiting.push(claimed);
    }
    other.enqueue(names.map(job).into()).await.unwrap();
    for (claimed, name) in waiting.into_iter().zip(names) {
        let claimed = tokio::time::timeout(GUARD, claimed).await.unwrap().unwrap();
        assert_eq!(claimed.iter().map(|job| job.lease.id.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[tokio::test]
async fn a_waiting_reader_hears_of_a_change_that_another_process_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (one, other) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    one.enqueue(vec![job("a")]).await.unwrap();
    let id = JobId::new("a").unwrap();
    let mut waiting = Box::pin(one.events(&id, 1, 10, 10 * GUARD));
    assert!(futures::poll!(&mut waiting).is_pending());
    other.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    let events = tokio::time::timeout(GUARD, waiting).await.unwrap().unwrap().unwrap();
    let running =
        |body: &longhaul::EventBody| matches!(body, longhaul::EventBody::State { state: State::Running, .. });
    assert!(events.iter().any(|event| running(&event.body)), "{events:?}");
}
