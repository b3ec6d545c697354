//! Every sentence of the store's contract, the races and the model test, each on a file of its own.

use std::sync::Arc;

use longhaul::Clock;
use longhaul_conformance::{Fixture, conformance, histories};
use longhaul_sqlite::SqliteStore;

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let store = SqliteStore::open_with_clock(folder.path().join("jobs.db"), clock.clone()).await.unwrap();
    Fixture { keep: Arc::new(folder), ..Fixture::new(store, clock) }
}

conformance!(fixture);
histories!(fixture);
