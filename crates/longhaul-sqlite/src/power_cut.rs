//! The contents of a store with deferred syncs after a power cut. The cut is simulated: the disk has the log of writes
//! as of the last sync, and any part of the blocks written since, as blocks reach a disk in any order. Syncs of
//! SQLite's own (of the log's header, and of both files at a checkpoint) are not simulated: the logs here are too short
//! for a checkpoint.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use longhaul::{Clock, Error, JobId, Lookup, Store};
use longhaul_conformance::jobs::named;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::SqliteStore;
use crate::durability::Durability;
use crate::syncer::SyncLog;

const BOUND: Duration = Duration::from_millis(50);
const MILLISECOND: Duration = Duration::from_millis(1);
/// Far beyond what anything here takes: only a lost wake-up lasts this long.
const GUARD: Duration = Duration::from_secs(60);

/// A disk that has of the log what it was at the last sync.
#[derive(Clone, Default)]
struct Disk {
    log: Arc<Mutex<Vec<u8>>>,
}

struct Scene {
    folder: TempDir,
    clock: Clock,
    disk: Disk,
    store: SqliteStore,
}

fn log_of(database: &Path) -> PathBuf {
    database.with_extension("db-wal")
}

impl Scene {
    async fn new(before_sync: impl Fn() -> io::Result<()> + Clone + Send + 'static) -> Self {
        let (folder, clock, disk) = (tempfile::tempdir().unwrap(), Clock::manual(), Disk::default());
        let path = folder.path().join("jobs.db");
        let durable = Arc::clone(&disk.log);
        let sync = move |path: &Path| -> io::Result<SyncLog> {
            let (log, durable, before_sync) = (log_of(path), Arc::clone(&durable), before_sync.clone());
            // Opening syncs what it writes.
            *durable.lock() = std::fs::read(&log)?;
            Ok(Box::new(move || {
                before_sync()?;
                *durable.lock() = std::fs::read(&log)?;
                Ok(())
            }))
        };
        let store =
            SqliteStore::open_on(&path, clock.clone(), Durability::Within(BOUND), sync).await.unwrap();
        Self { folder, clock, disk, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }

    async fn enqueue(&self, name: &str) -> longhaul::Result<()> {
        self.store.enqueue(vec![named(name)]).await.map(drop)
    }
}

/// The contents of the disk after a power cut: the two files, with those of the log's blocks that `keeps` selects.
fn cut(scene: &Scene, keeps: impl Fn(usize) -> bool) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    let mut log = scene.disk.log.lock().clone();
    let written = std::fs::read(log_of(&scene.path())).unwrap();
    assert!(written.len() >= log.len() && written[..32] == log[..32], "the log was not begun anew");
    let durable = log.len();
    log.resize(written.len(), 0);
    for (place, block) in written.chunks(512).enumerate() {
        let from = place * 512;
        let is_new = from + block.len() > durable;
        if is_new && keeps(place) {
            log[from..from + block.len()].copy_from_slice(block);
        }
    }
    let path = left.path().join("jobs.db");
    std::fs::copy(scene.path(), &path).unwrap();
    std::fs::write(log_of(&path), log).unwrap();
    left
}

/// Which of the jobs are there after the cut.
async fn found(left: &TempDir, names: &[String]) -> Vec<bool> {
    let store = SqliteStore::open(left.path().join("jobs.db")).await.unwrap();
    let whole: String =
        store.read(|file| file.query_row("PRAGMA integrity_check", [], |row| row.get(0))).await.unwrap();
    assert_eq!(whole, "ok");
    let ids: Vec<JobId> = names.iter().map(|name| JobId::new(name).unwrap()).collect();
    let jobs = store.get(&ids).await.unwrap();
    jobs.iter().map(|job| matches!(job, Lookup::Found(_))).collect()
}

#[tokio::test]
async fn a_power_cut_loses_at_most_what_was_answered_within_the_bound() {
    let scene = Scene::new(|| Ok(())).await;
    let (mut names, mut answered) = (Vec::new(), Vec::new());
    let mut has_lost = false;
    for n in 0..120_u32 {
        names.push(format!("job-{n}"));
        scene.enqueue(&names[n as usize]).await.unwrap();
        answered.push(scene.clock.monotonic());
        if n % 6 == 5 {
            // No block of what was not synced, every one, and every third.
            for part in [0, 1, 3] {
                let left = cut(&scene, |place| part > 0 && place % part == 0);
                let found = found(&left, &names).await;
                let lost: Vec<Duration> =
                    answered.iter().zip(&found).filter(|(_, found)| !**found).map(|(at, _)| *at).collect();
                let is_tail = found.is_sorted_by_key(|found| !found);
                assert!(is_tail, "what is there is what was answered first: {found:?}");
                if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
                    assert!(*last - *first < BOUND, "{lost:?}");
                    has_lost = true;
                }
            }
        }
        scene.clock.advance(MILLISECOND * (n * 7 % 11));
    }
    assert!(has_lost, "a mode that syncs first is not relaxed");
}

/// A disk whose syncs report their begin, and wait until they may go on.
fn slow() -> (impl Fn() -> io::Result<()> + Clone + Send + 'static, Receiver<()>, Sender<io::Result<()>>) {
    let (begun, begins) = channel();
    let (go, goes) = channel::<io::Result<()>>();
    let goes = Arc::new(Mutex::new(goes));
    let before_sync = move || {
        let _ = begun.send(());
        goes.lock().recv().unwrap_or(Ok(()))
    };
    (before_sync, begins, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_synced_within_the_bound_though_nothing_follows_it() {
    let (before_sync, begins, go) = slow();
    let scene = Scene::new(before_sync).await;
    scene.enqueue("a").await.unwrap();
    scene.clock.advance(BOUND / 2 - MILLISECOND);
    assert!(begins.try_recv().is_err(), "more may share the sync");
    scene.clock.advance(MILLISECOND);
    begins.recv_timeout(GUARD).unwrap();
    go.send(Ok(())).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_more_is_answered_while_a_sync_takes_longer_than_the_bound() {
    let (before_sync, begins, go) = slow();
    let scene = Scene::new(before_sync).await;
    scene.enqueue("a").await.unwrap();
    scene.clock.advance(BOUND / 2);
    begins.recv_timeout(GUARD).unwrap();
    scene.enqueue("b").await.unwrap();
    scene.clock.advance(BOUND / 2);
    let (store, late) = (scene.store.clone(), named("late"));
    let mut late = tokio::spawn(async move { store.enqueue(vec![late]).await.map(drop) });
    // It is written, and is not answered.
    while !matches!(scene.store.get(&[JobId::new("late").unwrap()]).await.unwrap()[0], Lookup::Found(_)) {}
    assert!(futures::poll!(&mut late).is_pending());
    go.send(Ok(())).unwrap();
    // That of `b`, which is due as well.
    begins.recv_timeout(GUARD).unwrap();
    go.send(Ok(())).unwrap();
    late.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_any_more_once_a_sync_has_failed() {
    let (before_sync, begins, go) = slow();
    let scene = Scene::new(before_sync).await;
    scene.enqueue("a").await.unwrap();
    scene.clock.advance(BOUND);
    begins.recv_timeout(GUARD).unwrap();
    // Held until the sync has ended, and so behind its failure.
    let (store, held) = (scene.store.clone(), named("held"));
    let held = tokio::spawn(async move { store.enqueue(vec![held]).await.map(drop) });
    while !matches!(scene.store.get(&[JobId::new("held").unwrap()]).await.unwrap()[0], Lookup::Found(_)) {}
    go.send(Err(io::Error::other("the disk is gone"))).unwrap();
    assert!(matches!(held.await.unwrap(), Err(Error::Broken { .. })));
    let refused = scene.enqueue("b").await;
    assert!(matches!(&refused, Err(Error::Broken { .. })), "{refused:?}");
    assert!(scene.store.ready().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_syncs_what_it_has_answered() {
    let (before_sync, begins, go) = slow();
    let scene = Scene::new(before_sync).await;
    scene.enqueue("a").await.unwrap();
    let Scene { folder, clock, disk, store } = scene;
    drop(store);
    begins.recv_timeout(GUARD).unwrap();
    go.send(Ok(())).unwrap();
    drop((folder, clock, disk));
}
