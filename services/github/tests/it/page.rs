//! The page about the service, checked against it.

use fakes::pages::{Checker, Page};
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_page_is_true() {
    let f = Fixture::new().await;
    let page = Page::read(include_str!("../../../../docs/services/github.md"));
    let mut checker = Checker::new(&f.url);
    let mut worker = None;
    for exchange in &page.exchanges {
        for note in &exchange.notes {
            let worker = &mut worker;
            worker.get_or_insert_with(|| f.work());
            let task = match note.as_str() {
                "the analysis ends" => "github_profile_octocat_1767225600".to_owned(),
                "the analysis of ghost-writer ends" => "github_profile_ghost-writer_1767225600".to_owned(),
                "the batch ends" => checker.get("batch").unwrap().to_owned(),
                other => panic!("nobody told this test what '{other}' is"),
            };
            f.ended(&task).await;
        }
        checker.check(exchange).await.unwrap_or_else(|reason| panic!("{reason}"));
    }
    // Every route stands on the page.
    let routes = ["analyze/sync", "analyze/stream", "analyze/batch", "/async", "/history", "/ws", "/health"];
    for route in routes {
        assert!(page.exchanges.iter().any(|e| e.request.target.contains(route)) || route == "/ws", "{route}");
    }
    assert_eq!(f.get("/api/v1/github/health").await.json()["status"], json!("healthy"));
}
