use std::sync::Arc;

use axum::Router;
use longhaul::{Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, RemoteStore, router};
use tokio::net::TcpListener;

use super::{Animals, Cage, Visit, visit};
use crate::target::{StoreKind, Target};

async fn visit_on(kind: StoreKind) -> Visit {
    let target = Target::start(kind).await.unwrap();
    let cage = Cage::open(kind, &target).await.unwrap();
    visit(&cage, Animals::All).await.unwrap()
}

fn assert_good(visit: &Visit) {
    assert!(visit.broken.is_empty(), "{:#?}", visit.broken);
    assert!(visit.heartbeats > 0 && visit.bad > 20, "{visit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_job_ends_with_its_reason_and_no_good_one_suffers_in_memory() {
    assert_good(&visit(&Cage::Sound(Arc::new(MemoryStore::new())), Animals::All).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_job_ends_with_its_reason_and_no_good_one_suffers_on_sqlite() {
    assert_good(&visit_on(StoreKind::Sqlite).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_job_ends_with_its_reason_and_no_good_one_suffers_on_postgres() {
    assert_good(&visit_on(StoreKind::Postgres).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_job_ends_with_its_reason_and_no_good_one_suffers_on_redis() {
    assert_good(&visit_on(StoreKind::Redis).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_job_ends_with_its_reason_and_no_good_one_suffers_over_the_remote_protocol() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let api = Router::new().nest("/api", router(Longhaul::new(MemoryStore::new()), HttpConfig::default()));
    let serving = tokio::spawn(async move { axum::serve(listener, api).await });
    let remote = RemoteStore::connect(&url, None).await.unwrap();
    assert_good(&visit(&Cage::Sound(Arc::new(remote)), Animals::All).await.unwrap());
    serving.abort();
}
