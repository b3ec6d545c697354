//! Files elsewhere than in the data folder, and files of somebody else.

use std::path::Path;

use hyper_util::rt::TokioIo;
use longhaul::{Clock, Longhaul};
use longhaul_sqlite::SqliteStore;
use materials::Materials;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use service_support::{Db, Deps, Env, Service};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::fixture::{Fixture, sample};

/// A server that speaks S3, with a bucket named `uploads`.
async fn bucket() -> (TempDir, Vec<(&'static str, String)>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("uploads")).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    service.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(socket), service.clone()));
        }
    });
    let variables = [
        ("STORAGE_URL", "s3://uploads/longhaul".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
    ];
    (folder, variables.to_vec())
}

fn objects(folder: &Path) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(folder.join("uploads/longhaul/materials")) else { return Vec::new() };
    found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn files_in_a_bucket_are_read_downloaded_and_removed_as_those_of_a_folder() {
    let (folder, variables) = bucket().await;
    let f = Fixture::open(tempfile::tempdir().unwrap(), Clock::system(), &variables).await;
    let course = f.course().await;
    let pdf = f.uploaded(&course, "lecture.pdf", &sample("lecture.pdf")).await;
    // More than one part of an upload in parts.
    let mut large = b"%PDF-1.7\n".to_vec();
    large.extend((0..12_000_000_u32).map(|n| (n % 251) as u8));
    let large_id = f.uploaded(&course, "large.pdf", &large).await;
    assert_eq!(objects(folder.path()).len(), 2);
    assert_eq!(f.get(&format!("/materials/{large_id}/download")).await.body, large);

    let _worker = f.work();
    assert_eq!(f.ended(&pdf).await["processing_status"], "completed");
    assert_eq!(f.ended(&large_id).await["processing_status"], "failed");
    assert!(incoming(&f).is_empty(), "copies for programs are gone");

    std::fs::remove_file(folder.path().join("uploads/longhaul/materials").join(&large_id)).unwrap();
    let missing = f.get(&format!("/materials/{large_id}/download")).await.error();
    assert_eq!(missing, (404, "File not found".into()));
    for id in [&pdf, &large_id] {
        assert_eq!(f.call("DELETE", &format!("/materials/{id}"), "").await.status, 204);
    }
    f.all_ended("materials.purge").await;
    assert_eq!(objects(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn files_in_a_bucket_that_nobody_owns_are_cleared_away_once_they_are_old() {
    let (folder, variables) = bucket().await;
    let clock = Clock::manual();
    let f = Fixture::open(tempfile::tempdir().unwrap(), clock.clone(), &variables).await;
    let course = f.course().await;
    let id = f.uploaded(&course, "a.txt", b"Leaves are green.").await;
    let files = folder.path().join("uploads/longhaul/materials");
    std::fs::write(files.join("orphan"), "x").unwrap();
    let written = std::fs::metadata(files.join("orphan")).unwrap().modified().unwrap();
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = std::time::Duration::from_millis(clock.now().0.unsigned_abs());
    clock.advance(written.saturating_sub(now));
    assert_eq!(f.materials.reconcile().await.unwrap().orphans, 0, "its row may yet be written");
    clock.advance(std::time::Duration::from_secs(2 * 3600));
    assert_eq!(f.materials.reconcile().await.unwrap().orphans, 1);
    assert_eq!(objects(folder.path()), [id]);
}

fn incoming(f: &Fixture) -> Vec<std::path::PathBuf> {
    let folder = f.folder.path().join("files/materials-incoming");
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Opens the service with a database and the files of a place.
async fn open(database: &Path, variables: &[(&'static str, String)]) -> Result<(), String> {
    let vars = variables.to_vec();
    let find = move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
    let env = Env::new(database.parent().unwrap(), find);
    let store = SqliteStore::open(database).await.unwrap();
    let deps = Deps::new(env, Db::sqlite(store.clone()), Longhaul::new(store), Clock::system()).unwrap();
    Materials::open(deps).await.map(drop).map_err(|error| error.to_string())
}

async fn belongs_to_its_database(place: Vec<(&'static str, String)>, other: Vec<(&'static str, String)>) {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
    open(&first, &place).await.unwrap();
    open(&first, &place).await.unwrap();
    let stranger = open(&second, &place).await.unwrap_err();
    assert!(stranger.contains("belong to another database"), "{stranger}");
    let astray = open(&first, &other).await.unwrap_err();
    assert!(astray.contains("the files of this database are not in"), "{astray}");
    open(&second, &other).await.unwrap();
}

#[tokio::test]
async fn a_folder_of_files_belongs_to_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| vec![("STORAGE_URL", format!("file://{}/{name}", folder.path().display()))];
    belongs_to_its_database(place("one"), place("two")).await;
}

#[tokio::test]
async fn a_bucket_belongs_to_its_database() {
    let (_folder, variables) = bucket().await;
    let mut other = variables.clone();
    other[0].1 = "s3://uploads/elsewhere".to_owned();
    belongs_to_its_database(variables, other).await;
}

#[tokio::test]
async fn a_bucket_that_does_not_answer_is_an_outage_of_uploads() {
    let (_folder, variables) = bucket().await;
    let (f, gone) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        (Fixture::open(folder, Clock::system(), &variables).await, listener.local_addr().unwrap())
    };
    let mut away = variables.clone();
    away[1].1 = format!("http://{gone}");
    let refused = open(&f.folder.path().join("test.db"), &away).await.unwrap_err();
    assert!(refused.contains("failed to prepare s3://uploads/longhaul"), "{refused}");
}
