//! The suite, over HTTP to a store in a file.

use std::sync::Arc;

use longhaul::Clock;
use longhaul_conformance::{Fixture, conformance};
use longhaul_sqlite::SqliteStore;

use super::server::in_front_of;

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let store = SqliteStore::open_with_clock(folder.path().join("jobs.db"), clock.clone()).await.unwrap();
    in_front_of(Arc::new(store), clock, folder).await
}

conformance!(fixture);
