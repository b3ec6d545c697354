//! The page on the service, held against what a server answers.

use fakes::pages::{Checker, Page};

use crate::fixture::Fixture;

#[tokio::test]
async fn the_page_is_true() {
    let f = Fixture::alone().await;
    let _worker = f.work();
    let page = Page::read(include_str!("../../../../docs/services/sessions.md"));
    assert!(page.exchanges.len() > 15, "the page's exchanges have been found");
    let mut checker = Checker::new(&f.url);
    for (name, user) in [("token", "ada"), ("bob", "bob"), ("carol", "carol")] {
        checker.set(name, &f.token(user));
    }
    checker.check_page(&page, async |note| panic!("nobody told this test what '{note}' is")).await;
}
