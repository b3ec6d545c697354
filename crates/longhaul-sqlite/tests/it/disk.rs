//! A disk without room, a file that was taken away, a file that cannot be written.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use longhaul::{Action, Error, JobFilter, Json, LeaseStatus, NewJob, State, Store, process_id};
use longhaul_sqlite::SqliteStore;

use crate::application::store;
use crate::owner::{claim, completed, job};

const LEASE: Duration = Duration::from_secs(30);

fn large(name: &str) -> NewJob {
    NewJob { args: Json::new(&"x".repeat(200_000)).unwrap(), ..job(name) }
}

/// Enqueues until there is no room, and answers how many jobs were accepted.
async fn fill(store: &SqliteStore) -> usize {
    for n in 0.. {
        match store.enqueue(vec![large(&format!("fill-{n}"))]).await {
            Ok(_) => {}
            Err(Error::Full { .. }) => return n,
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!("no disk is endless")
}

/// Runs through a full disk: `make_room` ends it.
async fn runs_full(store: &SqliteStore, make_room: impl AsyncFnOnce()) {
    store.enqueue(vec![job("running"), job("over")]).await.unwrap();
    let claimed = store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap();
    store.finish(vec![completed(&claimed[1])]).await.unwrap();
    let accepted = fill(store).await;
    assert!(accepted > 0);
    let count =
        |state| async move { store.queues().await.unwrap()[0].counts.get(&state).copied().unwrap_or(0) };
    assert_eq!(
        count(State::Available).await,
        accepted as u64,
        "what was acknowledged is kept, and nothing else"
    );
    assert!(matches!(store.ready().await, Err(Error::Full { .. })));
    let leases = [claimed[0].lease.clone()];
    for _ in 0..20 {
        let statuses =
            store.heartbeat(&claim("w", process_id(), LEASE).worker, &leases, LEASE).await.unwrap();
        assert_eq!(statuses, [LeaseStatus::Held], "leases are kept alive");
        store.sweep(100).await.unwrap();
    }
    let deleted = store.act(&JobFilter::id(claimed[1].lease.id.clone()), Action::Delete, 1).await.unwrap();
    assert_eq!(deleted.done, 1, "history can be thrown away");
    make_room().await;
    store.enqueue(vec![large("after")]).await.unwrap();
    assert_eq!(store.finish(vec![completed(&claimed[0])]).await.unwrap(), [LeaseStatus::Held]);
    store.ready().await.unwrap();
}

#[tokio::test]
async fn a_file_that_may_not_grow_refuses_new_jobs_and_keeps_leases_alive() {
    let (_folder, store) = store().await;
    let limit =
        |pages: &'static str| store.transact(move |tx| tx.connection().query_row(pages, [], |_| Ok(())));
    limit("PRAGMA max_page_count = 600").await.unwrap().unwrap();
    runs_full(&store, async || limit("PRAGMA max_page_count = 100000").await.unwrap().unwrap()).await;
}

/// A small file system in memory, where this process may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then_some(Self(folder))
    }

    fn fill(&self) {
        let mut rest = std::fs::File::create(self.0.path().join("rest")).unwrap();
        while std::io::Write::write_all(&mut rest, &[0; 4096]).is_ok() {}
    }

    /// Takes some of the room, to be given back.
    fn put_ballast(&self) {
        std::fs::write(self.0.path().join("rest"), vec![0; 4 << 20]).unwrap();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("rest")).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_jobs_keeps_leases_alive_and_is_over_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = SqliteStore::open(disk.path().join("jobs.db")).await.unwrap();
    disk.put_ballast();
    runs_full(&store, async || disk.make_room()).await;
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.enqueue(vec![job("a")]).await.unwrap();
    assert_eq!(store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().len(), 1);
    crate::owner::close(store).await;
    disk.fill();
    let store = SqliteStore::open(&path).await.unwrap();
    let taken = store.get(&[longhaul::JobId::new("a").unwrap()]).await.unwrap().remove(0).found().unwrap();
    assert_eq!(taken.state, State::Available, "what was running is taken over");
}

#[tokio::test]
async fn a_folder_that_is_deleted_is_noticed_and_one_that_comes_back_goes_on() {
    let (folder, store) = store().await;
    store.enqueue(vec![job("a")]).await.unwrap();
    let (home, away) = (folder.path().to_owned(), folder.path().with_extension("away"));
    std::fs::rename(&home, &away).unwrap();
    let gone = store.enqueue(vec![job("b")]).await.unwrap_err();
    assert!(matches!(gone, Error::Broken { .. }) && gone.to_string().contains("was deleted"), "{gone}");
    assert!(matches!(store.ready().await, Err(Error::Broken { .. })));
    let beat = store.heartbeat(&claim("w", process_id(), LEASE).worker, &[], LEASE).await;
    assert!(matches!(beat, Err(Error::Broken { .. })), "nothing is written where nobody will find it");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("jobs.db"), "another").unwrap();
    assert!(store.enqueue(vec![job("b")]).await.unwrap_err().to_string().contains("was replaced"));
    std::fs::remove_dir_all(&home).unwrap();
    std::fs::rename(&away, &home).unwrap();
    store.ready().await.unwrap();
    store.enqueue(vec![job("b")]).await.unwrap();
    assert_eq!(store.claim(claim("w", process_id(), Duration::ZERO)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_broken_and_can_be_read() {
    let (_folder, store) = store().await;
    store.enqueue(vec![job("a")]).await.unwrap();
    store.transact(|tx| tx.connection().execute_batch("PRAGMA query_only = 1")).await.unwrap().unwrap();
    let refused = store.enqueue(vec![job("b")]).await.unwrap_err();
    assert!(matches!(refused, Error::Broken { .. }), "{refused}");
    assert!(matches!(store.ready().await, Err(Error::Broken { .. })));
    assert_eq!(store.list(&JobFilter::default(), longhaul::Page::default()).await.unwrap().jobs.len(), 1);
}
