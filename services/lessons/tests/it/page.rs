//! The service's page is kept true.

use std::time::Duration;

use fakes::Double;
use fakes::pages::{Checker, Page};

use crate::fixture::{Fixture, wikipedia};

/// The task that the page prints.
const TASK: &str = "019aba1e-4d00-7000-8000-5a1f0c7e2b11";

#[tokio::test]
async fn the_page_says_what_the_service_does() {
    let double = Double::start().await;
    let f = Fixture::with(wikipedia(&double)).await;
    let page = Page::read(include_str!("../../../../docs/services/lessons.md"));
    let mut checker = Checker::new(&f.url);
    let mut workers = Vec::new();
    for exchange in &page.exchanges {
        for note in &exchange.notes {
            match note.as_str() {
                "a worker is started and the lesson is made" => {
                    workers.push(f.work());
                    f.job_ended(checker.real(TASK).unwrap()).await;
                }
                "its time is over" => f.clock.advance(Duration::from_secs(3_600)),
                other => panic!("nobody told this test what '{other}' is"),
            }
        }
        if let Err(reason) = checker.check(exchange).await {
            panic!("{reason}");
        }
    }
    assert!(!workers.is_empty(), "the page makes no lesson");
}
