//! Every sentence of the store's contract, the races and the model test, each in a schema of its own.

use longhaul::Clock;
use longhaul_conformance::{Fixture, conformance};
use longhaul_postgres::PostgresStore;

use crate::server;

async fn fixture() -> Fixture {
    let clock = Clock::manual();
    let store = PostgresStore::open_with_clock(server::shared().options(), clock.clone()).await.unwrap();
    Fixture::new(store, clock)
}

conformance!(fixture);
