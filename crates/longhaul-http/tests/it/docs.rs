//! The page on remote workers, done as it is printed.

use fakes::pages::Session;
use longhaul::{Clock, Longhaul, MemoryStore};
use longhaul_http::{HttpConfig, router};
use tokio::net::TcpListener;
use tokio::process::Command;

const PAGE: &str = include_str!("../../../../docs/remote-workers.md");
/// The same page as the release of 2026-11-25 had it: what a client and a worker of that release say and expect.
const LAST_PAGE: &str = include_str!("release_2026_11_25/remote-workers.md");

#[tokio::test]
async fn the_session_in_the_page_on_remote_workers_works_as_printed() {
    work_through(Session::read(PAGE)).await;
}

/// Answers may have more fields than the last release knew, and must have all of those, in their order.
#[tokio::test]
async fn a_client_and_a_worker_of_the_last_release_are_answered_as_they_expect() {
    let mut session = Session::read(LAST_PAGE);
    for step in session.steps.iter_mut().filter(|step| step.output.starts_with('{')) {
        step.output = step.output.replace('}', "…}").replace(",\"", "…,\"");
    }
    work_through(session).await;
}

async fn work_through(session: Session) {
    let longhaul = Longhaul::new(MemoryStore::with_clock(Clock::system()));
    let api = axum::Router::new().nest("/api", router(longhaul, HttpConfig::default()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, api).await });
    assert!(session.steps.len() >= 9, "the session has been found: {session:?}");
    session.check(&[("http://127.0.0.1:8000", &url)], Command::new("sh")).await;
    serving.abort();
}
