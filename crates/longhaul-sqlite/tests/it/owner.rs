use std::time::Duration;

use longhaul::{
    Children, Claim, Claimed, Finish, JobId, Json, LeaseStatus, NewJob, Outcome, QueueSlots, Start, State,
    Store, SupportedKind, WorkerInfo, process_id,
};
use longhaul_sqlite::SqliteStore;

pub(crate) fn job(id: &str) -> NewJob {
    NewJob { id: Some(JobId::new(id).unwrap()), max_crashes: 5, ..NewJob::new("ship", Json::null()) }
}

pub(crate) fn claim(worker: &str, process: &str, wait: Duration) -> Claim {
    Claim {
        worker: WorkerInfo {
            id: worker.into(),
            process: process.into(),
            host: "test".into(),
            queues: Vec::new(),
            ..WorkerInfo::default()
        },
        queues: vec![QueueSlots { queue: "default".into(), slots: 10 }],
        kinds: vec![SupportedKind { kind: "ship".into(), version: 1 }],
        lease_for: Duration::from_secs(3600),
        wait,
    }
}

pub(crate) fn completed(claimed: &Claimed) -> Finish {
    Finish {
        lease: claimed.lease.clone(),
        outcome: Outcome::Completed { output: Json::null() },
        entries: Vec::new(),
        follow_ups: Vec::new(),
        cost: None,
    }
}

#[tokio::test]
async fn a_successor_takes_over_at_once_what_a_dead_owner_was_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let first = SqliteStore::open(&path).await.unwrap();
    assert!(first.is_owner());
    first.enqueue(vec![job("a"), job("b")]).await.unwrap();
    let taken = first.claim(claim("w1", process_id(), Duration::ZERO)).await.unwrap();
    assert_eq!(taken.len(), 2);
    close(first).await;

    let second = SqliteStore::open(&path).await.unwrap();
    let again = second.claim(claim("w2", process_id(), Duration::ZERO)).await.unwrap();
    assert_eq!(again.len(), 2, "the leases of the first had an hour to run");
    assert!(again.iter().all(|job| job.attempt == 1), "a crash costs no attempt");
    let record = second.get(&[again[0].lease.id.clone()]).await.unwrap().remove(0).found().unwrap();
    assert_eq!((record.crashes, record.state), (1, State::Running));
    let late = second.finish(vec![completed(&taken[0])]).await.unwrap();
    assert_eq!(late, [LeaseStatus::Lost]);
}

#[tokio::test]
async fn a_child_that_a_take_over_ends_is_counted_by_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let first = SqliteStore::open(&path).await.unwrap();
    let all = JobId::new("all").unwrap();
    let closing = NewJob { start: Start::AfterChildren, ..job("all") };
    let child = NewJob { parent: Some(all.clone()), max_crashes: 0, ..job("child") };
    first.enqueue(vec![closing, child]).await.unwrap();
    assert_eq!(first.claim(claim("w1", process_id(), Duration::ZERO)).await.unwrap().len(), 1);
    close(first).await;

    let second = SqliteStore::open(&path).await.unwrap();
    let all = second.get(&[all]).await.unwrap().remove(0).found().unwrap();
    assert_eq!(all.state, State::Available);
    assert_eq!(all.children, Some(Children { total: 1, completed: 0, failed: 1, cancelled: 0 }));
}

#[tokio::test]
async fn a_successor_leaves_alone_what_another_process_is_running() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let first = SqliteStore::open(&path).await.unwrap();
    first.enqueue(vec![job("a")]).await.unwrap();
    let taken = first.claim(claim("remote", "some-other-process", Duration::ZERO)).await.unwrap();
    close(first).await;

    let second = SqliteStore::open(&path).await.unwrap();
    assert!(second.claim(claim("w2", process_id(), Duration::ZERO)).await.unwrap().is_empty());
    assert_eq!(second.finish(vec![completed(&taken[0])]).await.unwrap(), [LeaseStatus::Held]);
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_a_guest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let owner = SqliteStore::open(&path).await.unwrap();
    owner.enqueue(vec![job("a")]).await.unwrap();
    let taken = owner.claim(claim("w1", process_id(), Duration::ZERO)).await.unwrap();
    let guest = SqliteStore::open(&path).await.unwrap();
    assert!(!guest.is_owner());
    assert!(guest.claim(claim("w2", process_id(), Duration::ZERO)).await.unwrap().is_empty());
    assert_eq!(owner.finish(vec![completed(&taken[0])]).await.unwrap(), [LeaseStatus::Held]);
}

/// Drops the store and waits until its thread has let go of the lock.
pub(crate) async fn close(store: SqliteStore) {
    let path = store.path().to_owned();
    drop(store);
    let lock = path.with_file_name("jobs.db.lock");
    let locked = move || std::fs::File::open(&lock).unwrap().lock().unwrap();
    tokio::task::spawn_blocking(locked).await.unwrap();
}
