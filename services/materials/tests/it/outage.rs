//! The disk of the rows and the files: full, or taken away.

use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use longhaul::testing::{Call, Intercept};
use longhaul::{Clock, Error, JobFilter, Json, Longhaul, MemoryStore, NewJob};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{Fixture, Reply};

fn told(reply: &Reply) -> &'static str {
    let (status, detail) = reply.error();
    assert_eq!((status, &reply.headers["retry-after"]), (503, &"1".parse().unwrap()), "{detail}");
    match detail.strip_prefix("Service temporarily unavailable: ").unwrap_or_default() {
        full if full.contains("Free space on the server's disk") => "free space",
        broken if broken.contains("See whether the data folder is there") => "see the folder",
        _ => panic!("it does not say what to do: {detail}"),
    }
}

impl Fixture {
    async fn limit(&self, pages: &'static str) {
        let set = move |tx: &mut longhaul_sqlite::Transaction<'_, '_>| {
            tx.connection().query_row(pages, [], |_| Ok(()))
        };
        self.store.as_ref().unwrap().transact(set).await.unwrap().unwrap();
    }

    /// Enqueues until the store is full.
    async fn fill(&self) {
        let args = Json::new(&"x".repeat(100_000)).unwrap();
        loop {
            match self.longhaul.store().enqueue(vec![NewJob::new("fill", args.clone())]).await {
                Ok(_) => {}
                Err(Error::Full { .. }) => return,
                Err(other) => panic!("{other}"),
            }
        }
    }

    async fn jobs(&self) -> usize {
        let filter = JobFilter { kinds: vec!["materials.process".into()], ..JobFilter::default() };
        self.longhaul.store().list(&filter, longhaul::Page::default()).await.unwrap().jobs.len()
    }
}

#[tokio::test]
async fn an_upload_whose_row_finds_no_room_leaves_no_file() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    // No page more than there are, of which the store does not know: the file is taken and its row is not.
    f.limit("PRAGMA max_page_count = 1").await;
    let name = "x".repeat(250) + ".txt";
    let refused = loop {
        let reply = f.upload(&course, &name, b"nine").await;
        if reply.status != 201 {
            break reply;
        }
    };
    assert_eq!(told(&refused), "free space");
    assert_eq!(f.files().len(), f.jobs().await, "each file has its row");
    f.limit("PRAGMA max_page_count = 100000").await;
    // A write that finds room tells the store that the outage is over.
    f.course().await;
    f.uploaded(&course, "nine.txt", b"nine").await;
}

#[tokio::test]
async fn a_material_whose_job_waits_for_its_store_is_pending_until_it_is_there() {
    let away = Arc::new(AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let jobs = Intercept::new(MemoryStore::new(), move |store, call| {
        let is_refused = matches!(call, Call::Enqueue(_)) && is_away.load(Ordering::SeqCst);
        async move {
            match is_refused {
                true => Err(Error::Unavailable { store: "test", source: "connection refused".into() }),
                false => call.on(store.as_ref()).await,
            }
        }
    });
    let f = Fixture::with_jobs_in(Longhaul::new(jobs)).await;
    let course = f.course().await;
    away.store(true, Ordering::SeqCst);
    let id = f.uploaded(&course, "leaf.txt", b"Leaves are green.").await;
    let path = format!("/materials/{id}");
    assert_eq!(f.get(&path).await.json()["processing_status"], "pending");
    let listed = f.get(&format!("/courses/{course}/materials")).await.json();
    assert_eq!(listed[0]["processing_status"], "pending");
    assert_eq!(f.post(&format!("{path}/reprocess"), &json!(null)).await.status, 409);

    away.store(false, Ordering::SeqCst);
    assert_eq!(f.db.deliver().await.unwrap(), 1);
    let _worker = f.work();
    assert_eq!(f.ended(&id).await["processing_status"], "completed");
}

#[tokio::test]
async fn while_the_store_is_full_no_upload_is_written_to_the_disk() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    f.limit("PRAGMA max_page_count = 600").await;
    f.fill().await;
    // Where an upload could not be written either, which would be told differently.
    std::fs::remove_dir_all(f.folder.path().join("files")).unwrap();
    assert_eq!(told(&f.upload(&course, "nine.txt", b"nine").await), "free space");
}

#[tokio::test]
async fn an_upload_into_a_deleted_folder_is_an_outage_that_says_what_to_do() {
    let f = Fixture::alone().await;
    let course = f.course().await;
    std::fs::remove_dir_all(f.folder.path().join("files")).unwrap();
    assert_eq!(told(&f.upload(&course, "nine.txt", b"nine").await), "see the folder");
    assert_eq!(told(&f.upload(&course, "large.txt", &[b'x'; 1_000_000]).await), "see the folder");
    assert_eq!(f.jobs().await, 0);
    std::fs::remove_dir_all(f.folder.path()).unwrap();
    assert_eq!(told(&f.upload(&course, "nine.txt", b"nine").await), "see the folder");
}

/// A small file system in memory, where this process may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn an_upload_to_a_full_disk_is_an_outage_that_says_what_to_do_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = format!("file://{}/files", disk.0.path().display());
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), &[("STORAGE_URL", url)]).await;
    let course = f.course().await;
    assert_eq!(told(&f.upload(&course, "two.txt", &vec![b'x'; 2 << 20]).await), "free space");
    let mut rest = std::fs::File::create(disk.0.path().join("rest")).unwrap();
    while rest.write_all(&[0; 4096]).is_ok() {}
    assert_eq!(told(&f.upload(&course, "nine.txt", b"nine").await), "free space");
    // Open, it would keep its room.
    drop(rest);
    std::fs::remove_file(disk.0.path().join("rest")).unwrap();
    for folder in ["materials", "materials-incoming"] {
        let folder = disk.0.path().join("files").join(folder);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }
    f.uploaded(&course, "nine.txt", b"nine").await;
}
