//! The service's page, done as it is printed.

use fakes::pages::{Checker, Page};

use crate::fixture::Fixture;

const PAGE: &str = include_str!("../../../../docs/services/curriculum.md");

#[tokio::test]
async fn the_page_says_what_the_service_answers() {
    let f = Fixture::alone().await;
    let mut checker = Checker::new(&f.url);
    let mut worker = None;
    let page = Page::read(PAGE);
    // Ids are known once the first answer has shown them.
    for exchange in &page.exchanges {
        for note in &exchange.notes {
            assert_eq!(note, "the plans are written");
            let id = checker.real("69246a5a3f0c9b7e5d000001").unwrap().to_owned();
            worker = Some(f.work());
            f.completes(&id, 2).await;
        }
        checker.check(exchange).await.unwrap_or_else(|reason| panic!("{reason}"));
    }
    assert!(worker.is_some(), "the page has its note");
}
