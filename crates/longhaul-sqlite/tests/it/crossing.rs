//! Two stores on one file, as two processes have them: neither hears the other's signals.

use std::time::Duration;

use longhaul::{JobId, LeaseStatus, State, Store, process_id};
use longhaul_sqlite::SqliteStore;

use crate::owner::{claim, close, completed, job};

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

#[tokio::test]
async fn a_pause_holds_for_the_claims_of_other_processes_at_once_and_its_end_reaches_those_that_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let (one, other) = (SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap());
    one.enqueue(vec![job("first"), job("second")]).await.unwrap();
    let of_one = |wait| {
        let claim = claim("w", process_id(), wait);
        let queues = claim.queues.iter().map(|queue| longhaul::QueueSlots { slots: 1, ..queue.clone() });
        longhaul::Claim { queues: queues.collect(), ..claim.clone() }
    };
    let running = one.claim(of_one(Duration::ZERO)).await.unwrap();
    other.pause_queue("default").await.unwrap();
    assert!(one.claim(of_one(Duration::ZERO)).await.unwrap().is_empty());
    let turn = one.finish_and_claim(vec![completed(&running[0])], of_one(Duration::ZERO)).await.unwrap();
    assert_eq!(
        (turn.finished.as_slice(), turn.claimed.len()),
        (&[LeaseStatus::Held][..], 0),
        "nor in a turn"
    );
    let mut waiting = Box::pin(one.claim(of_one(10 * GUARD)));
    assert!(futures::poll!(&mut waiting).is_pending());
    // By the same thread, and so after the claim has been parked.
    one.enqueue(vec![job("third")]).await.unwrap();
    assert!(futures::poll!(&mut waiting).is_pending(), "a job that comes to a paused queue wakes nobody");
    other.resume_queue("default").await.unwrap();
    let claimed = tokio::time::timeout(GUARD, waiting).await.unwrap().unwrap();
    assert_eq!(claimed[0].lease.id.as_str(), "second");
}

#[tokio::test]
async fn a_pause_outlives_the_processes_that_have_the_file_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let first = SqliteStore::open(&path).await.unwrap();
    first.enqueue(vec![job("a")]).await.unwrap();
    first.pause_queue("default").await.unwrap();
    close(first).await;
    let second = SqliteStore::open(&path).await.unwrap();
    assert!(second.queues().await.unwrap()[0].paused);
    assert!(second.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().is_empty());
}
