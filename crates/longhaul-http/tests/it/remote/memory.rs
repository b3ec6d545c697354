//! The suite, over HTTP to a store in memory.

use std::sync::Arc;

use longhaul::{Clock, MemoryStore};
use longhaul_conformance::{Fixture, conformance};

use super::server::in_front_of;

async fn fixture() -> Fixture {
    let clock = Clock::manual();
    in_front_of(Arc::new(MemoryStore::with_clock(clock.clone())), clock, ()).await
}

conformance!(fixture);
