//! The page on remote workers, done as it is printed.

use fakes::pages::Session;
use longhaul::{Clock, Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, router};
use tokio::net::TcpListener;
use tokio::process::Command;

const PAGE: &str = include_str!("../../../../docs/remote-workers.md");

#[tokio::test]
async fn the_session_in_the_page_on_remote_workers_works_as_printed() {
    let longhaul = Longhaul::new(MemoryStore::with_clock(Clock::system()));
    let api = axum::Router::new().nest("/api", router(longhaul, HttpConfig::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, api).await });
    let session = Session::read(PAGE);
    assert!(session.steps.len() >= 9, "the session has been found: {session:?}");
    session.check(&[("http://127.0.0.1:8000", &url)], Command::new("sh")).await;
    serving.abort();
}
